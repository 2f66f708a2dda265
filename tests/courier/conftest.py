"""A run with its spool, and a server for it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batuta_courier import launch, layout
from batuta_courier.testing import FakeApi, end_couriers, fake_api


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with fake_api() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, api: FakeApi) -> Iterator[Path]:
    """A home whose couriers end with the test: without their server they would go on for a day."""
    api.save_credentials(tmp_path / "home")
    yield tmp_path / "home"
    end_couriers(tmp_path)


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("BATUTA_")}
    return {**env, "HOME": str(home)}


@pytest.fixture
def spool(home: Path, api: FakeApi) -> Path:
    """An agent's spool of task `t`, attempt 1, which runs."""
    api.state.add_task("t", local=False)
    spool_dir = layout.spool_root(home) / "t.1"
    layout.create(spool_dir, layout.RunInfo("t", 1, api.address, layout.AGENT))
    return spool_dir


@pytest.fixture
def start_courier(environment: dict[str, str]) -> Iterator[Callable[[Path], subprocess.Popen[bytes]]]:
    """Starts real courier processes and reaps them."""
    started: list[subprocess.Popen[bytes]] = []

    def start(spool_dir: Path) -> subprocess.Popen[bytes]:
        started.append(launch.start(spool_dir, {**environment, "BATUTA_ATTEMPT_TOKEN": "attempt-token"}))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def start_script(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts Python scripts given as text and reaps them."""
    started: list[subprocess.Popen[str]] = []

    def start(text: str) -> subprocess.Popen[str]:
        path = tmp_path / f"script{len(started)}.py"
        path.write_text(text)
        process = subprocess.Popen(
            [sys.executable, str(path)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, env=environment
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):  # not read: a child of it may hold them open
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what it never read
                    pipe.close()
