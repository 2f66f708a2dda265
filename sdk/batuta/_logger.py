"""Reporting: numbers and text of the run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batuta._run import Run


class Logger:
    """Reports to the run of this process. Get it by `task.get_logger()` or `Logger.current_logger()`."""

    def __init__(self, run: Run) -> None:
        """Made by the SDK; not by scripts."""
        self._run = run
        self._report = run.producer.scalars.report

    @classmethod
    def current_logger(cls) -> Logger:
        """The logger of this process's task. Raises RuntimeError before `Task.init`."""
        from batuta import _runtime

        if _runtime.process.run is None:
            raise RuntimeError("there is no task in this process: call Task.init() first")
        return _runtime.process.run.logger

    def report_scalar(self, title: str, series: str, value: float, iteration: int) -> None:
        """One point of the line `series` in the plot `title`. Takes about a microsecond; nothing is sent from here.

        Raises TypeError for a value or an iteration that is no number.
        """
        self._report(title, series, value, iteration)

    def report_text(self, msg: str, level: int = logging.INFO, print_console: bool = True) -> None:
        """A line of text in the task's log; also on the console unless `print_console` is False.

        `level` is taken for compatibility and not stored.
        """
        run = self._run
        if print_console:
            print(msg, flush=True)
        # What is printed is in the log already, when the console is watched: by us, or by an agent's shim.
        if not print_console or (run.console is None and run.mode != "agent"):
            run.producer.text(f"{msg}\n".encode("utf-8", "replace"))

    def flush(self, wait: bool = False) -> bool:
        """Make the courier look at once. With `wait`: return when the server has everything, at most 30 seconds."""
        self._run.producer.wake()
        if wait:
            self._run.drain()
        return True

    def rebind(self) -> None:
        """After a fork: report to the child's own part of the spool."""
        self._report = self._run.producer.scalars.report
