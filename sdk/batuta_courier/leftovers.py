"""Spools whose courier died with work to do, or that were finished with long ago."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from batuta_courier import layout, process
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


def _read(spool_dir: Path) -> layout.RunInfo | None:
    try:
        return layout.read_run(spool_dir)
    except (OSError, ValueError):
        return None
