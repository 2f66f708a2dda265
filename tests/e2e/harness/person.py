"""Somebody at a laptop: a home folder, a login, scripts, the `batuta` program."""

from __future__ import annotations

import re
import subprocess
import textwrap
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.harness import processes
from tests.e2e.harness.processes import Process, python


class Person:
    """Runs programs with a login of their own."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "batuta.conf"
        self.env = {**env, "HOME": str(folder), "BATUTA_CONFIG_FILE": str(self.config)}

    def batuta(self, *words: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run the `batuta` program."""
        return processes.run(python("-m", "batuta", *words), self.env, self.folder, seconds)

    def write(self, name: str, text: str) -> Path:
        """Write a script."""
        path = self.folder / name
        path.write_text(textwrap.dedent(text))
        return path

    def run(self, script: Path, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a script to its end."""
        return processes.run(python(str(script), *arguments), self.env, script.parent, seconds)

    def start(self, script: Path, *arguments: str) -> Process:
        """Start a script; the caller ends it."""
        log = self.folder / f"{script.stem}.log"
        return Process(script.name, python(str(script), *arguments), self.env, log, script.parent)


def task_id(output: str) -> str:
    """The first task id in what a script printed."""
    found = re.search(r"\b[0-9a-f]{32}\b", output)
    assert found is not None, f"no task id in:\n{output}"
    return found[0]
