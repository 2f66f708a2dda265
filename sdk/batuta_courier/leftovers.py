"""Spools whose courier died with work to do, or that were finished with long ago."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from batuta_courier import layout, process, room
from batuta_courier.lock import Locked, hold
from batuta_rpc.clock import Clock

AT_ONCE = 20
"""Leftovers that one courier takes on."""
KEEP_SECONDS = 7 * 24 * 3600.0
"""How long a spool is kept that a server has refused."""


def leftovers(root: Path, api: str) -> Iterator[tuple[Path, layout.RunInfo]]:
    """Spools of local runs for that server whose script is gone. Another courier may be at them: their locks say so."""
    found = 0
    for spool_dir in layout.producers(root):
        run = _read(spool_dir)
        if run is None or run.mode != layout.LOCAL or run.api != api:
            continue
        if process.alive(run.script_pid, run.script_start_time) or layout.read_acks(spool_dir).error is not None:
            continue
        yield spool_dir, run
        found += 1
        if found >= AT_ONCE:
            return


def prune(root: Path, clock: Clock) -> None:
    """Delete spools of local runs that were given up longer ago than they are kept."""
    for spool_dir in layout.producers(root):
        run = _read(spool_dir)
        acks = layout.read_acks(spool_dir)
        if run is None or run.mode != layout.LOCAL or acks.error is None:
            continue
        try:
            since = acks.refused_millis or int((spool_dir / "ack.json").stat().st_mtime * 1000)
        except OSError:
            continue
        if clock.unix_millis() - since > KEEP_SECONDS * 1000:
            shutil.rmtree(spool_dir, ignore_errors=True)


def make_room(root: Path, limit_bytes: int) -> int:
    """Delete the oldest spools that were given up or finished with, until logs fit below the limit again.

    What a courier is at, what waits to be sent and what was made offline stays. Returns how many bytes are left.
    """
    total = 0
    over: list[tuple[int, int, Path]] = []
    for spool_dir in layout.producers(root):
        size = room.size_bytes(spool_dir)
        total += size
        run, acks = _read(spool_dir), layout.read_acks(spool_dir)
        if run is not None and run.mode == layout.LOCAL and (acks.done or acks.error is not None):
            over.append((acks.refused_millis, size, spool_dir))
    for _, size, spool_dir in sorted(over):
        if total < room.for_logs(limit_bytes):
            break
        if _delete_if_over(spool_dir):
            total -= size
    return total


def _delete_if_over(spool_dir: Path) -> bool:
    """Asked again under the courier's lock: since the look somebody may have begun to send it."""
    with contextlib.suppress(Locked, OSError, ValueError), hold(spool_dir / "courier.lock"):
        run, acks = layout.read_run(spool_dir), layout.read_acks(spool_dir)
        lives = process.alive(run.script_pid, run.script_start_time)
        if not lives and (acks.done or acks.error is not None):
            shutil.rmtree(spool_dir, ignore_errors=True)
            return True
    return False


def _read(spool_dir: Path) -> layout.RunInfo | None:
    try:
        return layout.read_run(spool_dir)
    except (OSError, ValueError):
        return None
