"""`python -m batuta_courier SPOOL_DIR`: ships one spool and, where nobody else will, those left behind beside it.

Exit codes: 0 everything is stored, or another courier is at it; 1 gave up (ack.json says why); 2 wrong use.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from batuta_courier import layout
from batuta_courier.connect import NoWay, open_channel
from batuta_courier.courier import Courier, Stubs
from batuta_courier.leftovers import leftovers, make_room, prune
from batuta_courier.lock import Locked, hold
from batuta_proto.logs import v1 as logs
from batuta_proto.metrics import v1 as metrics
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.clock import Clock, SystemClock
from batuta_rpc.ids import Ids, SystemIds


def main() -> int:
    """The program. Its one argument is the spool."""
    if len(sys.argv) < 2:
        print("usage: python -m batuta_courier SPOOL_DIR", file=sys.stderr)
        return 2
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a closed terminal is the script's business
    clock, ids = SystemClock(), SystemIds()
    spool_dir = Path(sys.argv[1])
    try:
        run = layout.read_run(spool_dir)
    except (OSError, ValueError) as error:
        print(f"not a spool: {spool_dir}: {error}", file=sys.stderr)
        return 2
    if run.mode == layout.LOCAL:
        make_room(spool_dir.parent, run.all_bytes)
    code = ship(spool_dir, run, clock, ids)
    if code == 0 and run.mode == layout.LOCAL:
        prune(spool_dir.parent, clock)
        for left_dir, left_run in leftovers(spool_dir.parent, run.api):
            ship(left_dir, left_run, clock, ids)
    return code


def ship(spool_dir: Path, run: layout.RunInfo, clock: Clock, ids: Ids) -> int:
    """Ship one spool, unless another courier is at it. Returns the exit code."""
    try:
        with hold(spool_dir / "courier.lock"):
            channel = open_channel(run, os.environ, clock)
            try:
                stubs = Stubs(
                    tasks.TaskServiceStub(channel), metrics.MetricServiceStub(channel), logs.LogServiceStub(channel)
                )
                courier = Courier(spool_dir, run, stubs, clock, ids)
                signal.signal(signal.SIGTERM, courier.stop)
                error = courier.run()
            finally:
                channel.close()
    except Locked:
        return 0
    except (NoWay, OSError) as trouble:
        error = str(trouble)
    if error is not None:
        print(f"{clock.now().isoformat(timespec='seconds')} {run.task_id}.{run.attempt}: {error}", file=sys.stderr)
    return 0 if error is None else 1


if __name__ == "__main__":
    sys.exit(main())
