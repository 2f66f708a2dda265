"""What the agent tells the person who started it: short lines for people, or one JSON object per line for programs."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Protocol, TextIO

from rich.console import Console
from rich.text import Text

from batuta_rpc.clock import Clock

_STYLES = {"ok": "green", "warn": "yellow", "error": "bold red", "info": ""}


class Printer(Protocol):
    """Takes what happened."""

    def event(self, kind: str, text: str, level: str = "info", **facts: object) -> None:
        """`kind` is one word for programs, `text` a sentence for people, `level` one of info, ok, warn, error."""
        ...


class HumanPrinter:
    """Lines with a time of day, coloured where the terminal can."""

    def __init__(self, clock: Clock, stream: TextIO | None = None) -> None:
        self._clock = clock
        self._console = Console(file=stream or sys.stdout, highlight=False, soft_wrap=True)

    def event(self, kind: str, text: str, level: str = "info", **facts: object) -> None:
        """Print one line."""
        time = self._clock.now().astimezone().strftime("%H:%M:%S")
        with contextlib.suppress(OSError, ValueError):  # whoever read this is gone; the work goes on
            self._console.print(Text.assemble((time, "dim"), "  ", (text, _STYLES.get(level, ""))))


class JsonPrinter:
    """One JSON object per line."""

    def __init__(self, clock: Clock, stream: TextIO | None = None) -> None:
        self._clock = clock
        self._stream = stream or sys.stdout

    def event(self, kind: str, text: str, level: str = "info", **facts: object) -> None:
        """Print one line."""
        record = {"time": self._clock.now().isoformat(), "level": level, "event": kind, "message": text, **facts}
        with contextlib.suppress(OSError, ValueError):
            print(json.dumps(record, default=str), file=self._stream, flush=True)


def printer(clock: Clock, *, json_lines: bool) -> Printer:
    """The one for programs, or the one for people."""
    return JsonPrinter(clock) if json_lines else HumanPrinter(clock)
