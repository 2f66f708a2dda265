"""What one process of a run writes: its scalars, its texts, and the run's console. Never touches the network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from batuta_courier import layout
from batuta_courier.room import Limits, Room
from batuta_courier.scalars import RECORDS, ScalarWriter
from batuta_courier.writing import LogWriter, Wakener

if TYPE_CHECKING:
    from collections.abc import Callable

    from batuta_rpc.clock import Clock


class ProducerSpool:
    """This process's part of a spool. A forked child makes one of its own; nothing is on disk before an event."""

    def __init__(
        self,
        spool_dir: Path,
        clock: Clock,
        nonce: str,
        *,
        records: int = RECORDS,
        notify: Callable[[str], object] = str,
    ) -> None:
        """`nonce` tells this process from an earlier one with the same pid; `records` is the size of a segment."""
        self.name = f"{os.getpid()}-{nonce}"
        self.spool_dir = spool_dir
        room = _room(spool_dir, clock)
        self._wakener = Wakener(spool_dir, clock)
        folder = spool_dir / self.name
        self._folder = folder
        self.scalars = ScalarWriter(
            folder,
            clock.unix_nanos,
            make_folder=self._make_folder,
            room=room.for_scalars,
            notify=notify,
            records=records,
        )
        self.console = LogWriter(spool_dir / "console.log", self._wakener, room.for_logs)
        self._text = LogWriter(folder / "text.log", self._wakener, room.for_logs)

    def text(self, data: bytes) -> None:
        """Append to this process's text log."""
        try:
            self._make_folder()
        except OSError as error:
            self._text.lose(len(data), error)
            return
        self._text.write(data)

    def wake(self) -> None:
        """Wake the courier for what has been written."""
        self._wakener.wake()

    def close(self) -> None:
        """Write what is held back and let go of the files; anything written later opens them again."""
        self.scalars.close()
        self.console.close()
        self._text.close()
        self._wakener.close()

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)


def _room(spool_dir: Path, clock: Clock) -> Room:
    """As large as whoever made the spool has allowed."""
    try:
        run = layout.read_run(spool_dir)
    except (OSError, ValueError):
        return Room(spool_dir, Limits(), clock.monotonic, of_agent=False)
    limits = Limits(run.spool_bytes, run.all_bytes)
    return Room(spool_dir, limits, clock.monotonic, of_agent=run.mode == layout.AGENT)
