"""How far the producers of a spool have written: what is declared when an attempt ends."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple

from batuta_courier import layout
from batuta_courier.scalars_reader import ScalarReader, SpoolDamaged

LOG, SCALARS = "log", "scalars"


class Tail(NamedTuple):
    """The end of one stream: `kind` is `log` (`end` in bytes) or `scalars` (`end` is the last sequence)."""

    producer: str
    kind: str
    end: int


def tails(spool_dir: Path) -> list[Tail]:
    """Every stream of the spool that has anything in it, damaged ones left out. Raises OSError."""
    found = [Tail(producer, LOG, path.stat().st_size) for producer, path in layout.logs(spool_dir)]
    for folder in layout.producers(spool_dir):
        reader = ScalarReader(folder)
        try:
            with contextlib.suppress(SpoolDamaged):
                found.append(Tail(folder.name, SCALARS, reader.end()))
        finally:
            reader.close()
    return [tail for tail in found if tail.end > 0]


def stored(acks: layout.Acks, ends: list[Tail]) -> bool:
    """Whether the server has stored everything up to `ends`."""
    return all(
        (acks.log(tail.producer) if tail.kind == LOG else acks.scalars(tail.producer)) >= tail.end for tail in ends
    )
