"""What the agent itself has to say in an attempt's console, before the user's process writes there."""

from __future__ import annotations

from pathlib import Path

from batuta_courier import layout

PREFIX = "batuta: "
_LINE_BYTES = 4096
_LIMIT_BYTES = 16 * 1024 * 1024


class AgentConsole:
    """Appends lines to a spool's `console.log` and wakes the courier. Never raises: it only tells."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._written = 0

    def say(self, text: str) -> None:
        """Write each line of `text`, marked as ours."""
        data = "".join(f"{PREFIX}{line[:_LINE_BYTES]}\n" for line in text.splitlines()).encode("utf-8", "replace")
        self._written += len(data)
        if self._written > _LIMIT_BYTES:
            return
        try:
            with open(self._spool / "console.log", "ab", buffering=0) as file:
                file.write(data)
        except OSError:
            return
        layout.wake(self._spool)

    def last_words(self) -> str:
        """What an uncaught Python exception said at the end of the console, as in `ValueError: bad`; else empty."""
        try:
            with open(self._spool / "console.log", "rb") as file:
                file.seek(max(0, file.seek(0, 2) - 16 * 1024))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        starts = [place for place, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
        after = lines[starts[-1] + 1 :] if starts else []
        # The exception is the first line of a traceback that is not indented.
        return next((line.strip()[:500] for line in after if line and not line[0].isspace()), "")
