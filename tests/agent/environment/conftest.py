from __future__ import annotations

import os
from pathlib import Path

import pytest

from batuta_agent import run_environment
from batuta_agent.environment.tool import Tools
from batuta_rpc.clock import SystemClock


class Said(list[str]):
    """What the console was told."""

    def __str__(self) -> str:
        return "\n".join(self)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def tools(said: Said, tmp_path: Path) -> Tools:
    env = run_environment.machine(os.environ)
    env |= {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    return Tools(env, said.append, SystemClock())
