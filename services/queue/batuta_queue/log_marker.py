"""How a database that was restored from a backup is known: beside it lies a note of how far its log had come.

The note is never ahead of the database that it lies beside, unless that database is an older one than it was. Its log
then gets a new epoch: positions will be given out again for other events, and whoever followed the log has to begin
with a snapshot. A missing note counts as a restored database, which costs one snapshot and is never wrong.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from batuta_queue.store import LogBounds

_log = logging.getLogger(__name__)


class LogMarker:
    """The note beside one database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: LogBounds | None = None

    def was_restored(self, bounds: LogBounds) -> bool:
        """Whether the database is older than its note, or not the one that the note is about."""
        try:
            note = json.loads(self._path.read_text(encoding="utf-8"))
            known = (str(note["epoch"]), int(note["head"]))
        except (OSError, ValueError, KeyError, TypeError):
            return bounds.head > 0
        return known[0] != bounds.epoch or known[1] > bounds.head

    def write(self, bounds: LogBounds) -> None:
        """Note how far the log has come; a note that cannot be written is logged, and the one before stays."""
        if bounds == self._written:
            return
        new = self._path.with_suffix(".new")
        try:
            with new.open("w", encoding="utf-8") as file:
                json.dump({"epoch": bounds.epoch, "head": bounds.head}, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            _log.warning("%s cannot be written (%s): a restored database may go unnoticed", self._path, error.strerror)
            return
        self._written = bounds
