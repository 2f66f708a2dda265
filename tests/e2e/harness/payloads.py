"""Scripts that tasks run. They need nothing but the standard library; `TRACKED` ones also our SDK."""

from __future__ import annotations

import textwrap
from pathlib import Path

ONCE = textwrap.dedent(
    """
    import fcntl, os, sys, time

    # Written under a lock that is held to the end: a second run at the same time, or at another, leaves its own line.
    ledger = open(os.path.join(os.environ["E2E_LEDGER"], os.environ["BATUTA_TASK_ID"]), "a")
    try:
        fcntl.flock(ledger, fcntl.LOCK_EX | fcntl.LOCK_NB)
        overlap = ""
    except OSError:
        overlap = " overlap"
    ledger.write("%d %f%s\\n" % (os.getpid(), time.monotonic(), overlap))
    ledger.flush()
    gate = os.path.join(os.environ["E2E_LEDGER"], os.environ["BATUTA_TASK_ID"] + ".go")

    def wait(seconds=120):
        # Runs until the test says go.
        end = time.monotonic() + seconds
        while not os.path.exists(gate):
            if time.monotonic() > end:
                sys.exit("nobody said go")
            time.sleep(0.05)
    """
)
"""Begins a payload: it notes that it runs; `wait()` holds it until `Ledger.go`."""


class Ledger:
    """What payloads wrote down."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def runs(self, task_id: str) -> list[str]:
        """One line for each time the task's code was started."""
        path = self._folder / task_id
        return path.read_text().splitlines() if path.exists() else []

    def go(self, task_id: str) -> None:
        """Let a waiting payload go on."""
        (self._folder / f"{task_id}.go").touch()

    def pid(self, task_id: str) -> int:
        """The process of the only run."""
        (line,) = self.runs(task_id)
        return int(line.split()[0])
