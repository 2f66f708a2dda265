"""Notices how this process ends: by its own will, by an exception, by Ctrl-C."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple


class Ending(NamedTuple):
    """How the script ended, as far as Python tells: COMPLETED, FAILED or ABORTED, with one word and a sentence."""

    state: str
    reason: str = ""
    message: str = ""


class ExitWatch:
    """Calls `at_end` once, when the process that installed it ends in order. Forked children end without it."""

    def __init__(self, at_end: Callable[[Ending], None]) -> None:
        self._at_end = at_end
        self._owner = os.getpid()
        self._ending = Ending("COMPLETED")
        self._before = sys.excepthook

    def install(self) -> None:
        """From now on."""
        self._before = sys.excepthook
        sys.excepthook = self._on_exception
        atexit.register(self._on_exit)

    def remove(self) -> None:
        """No more."""
        if sys.excepthook == self._on_exception:
            sys.excepthook = self._before
        atexit.unregister(self._on_exit)

    def _on_exception(self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if os.getpid() == self._owner:
            self._ending = ending_of(error)
        self._before(kind, error, traceback)

    def _on_exit(self) -> None:
        if os.getpid() == self._owner:
            self._at_end(self._ending)


def ending_of(error: BaseException) -> Ending:
    """What an uncaught exception makes of a run."""
    if isinstance(error, KeyboardInterrupt):
        return Ending("ABORTED", "USER_ABORT", "interrupted by Ctrl-C")
    text = str(error)
    name = type(error).__name__
    return Ending("FAILED", "EXCEPTION", f"{name}: {text}" if text else name)
