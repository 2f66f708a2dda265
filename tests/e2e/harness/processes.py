"""Real processes: started with their output in a file, stopped by pid, and none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")
MARK = "BATUTA_E2E_MARK"
"""Variable that every process of a test inherits, so that what is left can be found."""


def poll(what: str, seconds: float, look: Callable[[], T | None]) -> T:
    """Call `look` until it gives something true. Fails the test after `seconds`, naming `what`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


class Process:
    """One running program."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path, cwd: Path) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            self._popen = subprocess.Popen(
                list(command), env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    @property
    def said(self) -> str:
        """All it has printed so far."""
        return self.log.read_text(errors="replace")

    def wait(self, seconds: float) -> int:
        """Its exit status. Fails the test when it does not end in time."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {seconds:g} s\n{self.said[-4000:]}") from None

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._popen.send_signal(number)

    def kill9(self) -> None:
        """SIGKILL, and wait for the end."""
        self._popen.kill()
        self._popen.wait(30)

    def stop(self, seconds: float = 30) -> None:
        """SIGTERM; SIGKILL when that does not do. Waits for the end."""
        if self.running:
            self._popen.terminate()
            try:
                self._popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill9()


def run(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and take what it prints."""
    return subprocess.run(
        list(command),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )


def marked(mark: str, folder: Path) -> list[psutil.Process]:
    """All living processes that carry `mark` in their environment or `folder` in their arguments, ours excepted.

    Couriers have an environment of their own, and the folder of a spool among their arguments.
    """
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            named = any(word.startswith(f"{folder}/") for word in process.cmdline())
            ours = named or process.environ().get(MARK) == mark
            if process.pid != os.getpid() and ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def kill_marked(mark: str, folder: Path) -> list[str]:
    """Kill what is left of a deployment, each by its pid, and say what it was."""
    names: list[str] = []
    for _ in range(5):  # a process may start another one while it is being looked at
        left = marked(mark, folder)
        if not left:
            break
        for process in left:
            try:
                names.append(" ".join(process.cmdline())[:200])
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=5)
    return names


def python(*arguments: str) -> list[str]:
    """A command for the interpreter that runs the tests."""
    return [sys.executable, *arguments]
