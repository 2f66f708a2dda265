"""One spool from now to its end: ship what comes, notice how the run ends, say so to the server."""

from __future__ import annotations

import contextlib
import shutil
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from batuta_courier import layout, process, tails
from batuta_courier.abort_watch import AbortWatch
from batuta_courier.finish import STOPPED, Unfinished, finish_task, how_it_ended, wait_for_exit
from batuta_courier.ledger import Ledger
from batuta_courier.log_shipper import LogShipper
from batuta_courier.scalar_shipper import ScalarShipper
from batuta_courier.scalars_reader import SpoolDamaged
from batuta_proto.logs import v1 as logs
from batuta_proto.metrics import v1 as metrics
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.clock import Clock
from batuta_rpc.errors import RpcError
from batuta_rpc.ids import Ids

PATIENCE = 24 * 3600.0
"""Seconds after a local run's end for which an absent server is tried; then the spool waits for a later courier."""
IDLE_LIMIT = 3600.0
"""Seconds with nothing to ship after which an agent's courier ends."""
_LOOK = 0.05
_BEFORE_FINISH = 2.0
"""Seconds of an answering server for which the task's end waits for its last data; what comes later is taken too."""


class Stubs(NamedTuple):
    """The services that a courier calls, on one channel."""

    tasks: tasks.TaskServiceStub
    metrics: metrics.MetricServiceStub
    logs: logs.LogServiceStub


class Dropped(Exception):
    """Everything is settled, and some of it the server has refused for good; the message says what."""


class Courier:
    """Ships one spool. `run` returns None when everything is stored, else why it gave up."""

    def __init__(
        self,
        spool_dir: Path,
        run: layout.RunInfo,
        stubs: Stubs,
        clock: Clock,
        ids: Ids,
        idle_limit: float = IDLE_LIMIT,
        *,
        open_end: bool = False,
    ) -> None:
        """`open_end`: ship what an agent's run has written so far and leave its spool to whoever closes it."""
        self._spool_dir = spool_dir
        self._run = run
        self._stubs = stubs
        self._clock = clock
        self._ids = ids
        self._idle_limit = idle_limit
        self._open_end = open_end
        self._ledger = Ledger(spool_dir, clock)
        self._logs = LogShipper(spool_dir, run, stubs.logs, self._ledger, clock, ids)
        self._scalars = ScalarShipper(spool_dir, run, stubs.metrics, self._ledger, clock, ids)
        self._watch = AbortWatch(run, stubs.tasks, clock, ids)
        self._ledger.on_recovery += [self._logs.hurry, self._scalars.hurry]
        self._ordered_to_stop = threading.Event()
        self._broken: Exception | None = None

    def stop(self, *_: object) -> None:
        """Make `run` return soon with what has been stored until then. Also a signal handler."""
        self._ordered_to_stop.set()

    def silence(self) -> str | None:
        """Why the server does not answer, as far as known; None when it does."""
        return self._ledger.silence()

    def run(self) -> str | None:
        """Ship until the run has closed and the server has everything. A local spool is then deleted."""
        local = self._run.mode == layout.LOCAL
        work = [self._logs.run, self._scalars.run] + ([self._watch.run] if local else [])
        threads = [threading.Thread(target=self._guarded, args=(each,), daemon=True) for each in work]
        for thread in threads:
            thread.start()
        trouble: Exception | None = None
        try:
            self._until_the_end()
        except (Unfinished, Dropped, RpcError, SpoolDamaged, OSError) as error:
            trouble = error
        for each in (self._logs, self._scalars, self._watch):
            each.stop()
        for thread in threads:
            thread.join(2.0)
        final = None if trouble is None or isinstance(trouble, Unfinished) else str(trouble)
        self._ledger.finish(done=trouble is None and not self._open_end, error=final)
        if trouble is None and local:
            shutil.rmtree(self._spool_dir, ignore_errors=True)
        return None if trouble is None else str(trouble)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Run a thread's work. A mistake of ours ends the courier, whose spool waits for the next one."""
        try:
            work()
        except Exception as error:
            traceback.print_exc()
            self._broken = error

    def _until_the_end(self) -> None:
        close = self._until_closed()
        local = self._run.mode == layout.LOCAL
        deadline = self._clock.monotonic() + PATIENCE if local else None
        if close.finish:
            close = self._settle(close)
        ends = tails.tails(self._spool_dir)
        self._scalars.look()
        if close.finish:
            with contextlib.suppress(SpoolDamaged):  # the task ends all the same; said below
                self._until_nearly_stored(ends, deadline)
            if self._tell_dropped():
                ends = tails.tails(self._spool_dir)
            finish_task(
                self._stubs.tasks, self._run, close, ends, self._clock, self._ids, deadline, self._ordered_to_stop
            )
        if not self._until_stored(ends, deadline):
            raise Unfinished("the server could not be reached; a later courier goes on")
        if isinstance(self._scalars.error, SpoolDamaged):
            raise self._scalars.error  # what cannot be read is not among `ends`
        untold = self._ledger.take_untold()
        if untold:
            raise Dropped("; ".join(untold))  # too late for the console, whose end is declared: the spool says it

    def _tell_dropped(self) -> bool:
        """Say in the console, while it is open, what the server does not take. Whether there was anything to say."""
        untold = self._ledger.take_untold()
        for why in untold:
            with contextlib.suppress(OSError), open(self._spool_dir / "console.log", "ab", buffering=0) as console:
                console.write(f"\nbatuta: {why}\n".encode("utf-8", "replace"))
        return bool(untold)

    def _until_closed(self) -> layout.Close:
        """Wait for the end of the run's data. Raises what does not pass, or Unfinished."""
        while not self._ordered_to_stop.wait(_LOOK):
            with contextlib.suppress(SpoolDamaged):  # the console goes on, and so does the watch over the script
                self._raise_trouble()
            if self._run.mode == layout.LOCAL and self._watch.aborted.is_set():
                self._watch.drive()
            self._tell_dropped()  # before the look at the end: whoever declares ends finds this within them
            close = layout.read_close(self._spool_dir)
            if close is not None:
                return close
            if self._open_end:
                return layout.Close()
            if self._run.mode == layout.AGENT:
                self._raise_if_forgotten()
            if self._run.mode == layout.LOCAL and not self._script_lives():
                # Read again: it may have been written between the two looks.
                return layout.read_close(self._spool_dir) or layout.Close(finish=True, exiting=True)
        raise Unfinished(STOPPED)

    def _raise_if_forgotten(self) -> None:
        """An agent that is there starts its couriers again: nobody else's are to stay for ever."""
        if not self._spool_dir.is_dir():
            raise Unfinished("the spool is gone")
        if self._ledger.idle_seconds() > self._idle_limit:
            raise Unfinished("nothing to ship for a long time")

    def _settle(self, close: layout.Close) -> layout.Close:
        """The true end of a local run, once its process is gone."""
        if close.exiting:
            wait_for_exit(self._script_lives, self._watch, self._clock, self._ordered_to_stop)
        return how_it_ended(close, self._spool_dir, aborted=self._watch.aborted.is_set())

    def _script_lives(self) -> bool:
        return process.alive(self._run.script_pid, self._run.script_start_time)

    def _until_stored(self, ends: list[tails.Tail], deadline: float | None) -> bool:
        while not self._ledger.stored(ends):
            self._raise_trouble()
            if self._ordered_to_stop.is_set():
                raise Unfinished(STOPPED)
            if deadline is not None and self._clock.monotonic() >= deadline:
                return False
            self._ledger.wait(_LOOK)
        return True

    def _until_nearly_stored(self, ends: list[tails.Tail], deadline: float | None) -> None:
        """Wait until everything is stored, or has not come through a server that has answered for a while.

        Raises what does not pass.
        """
        closed = self._clock.monotonic()
        while not self._until_stored(ends, self._clock.monotonic() + _LOOK):
            now, up_since = self._clock.monotonic(), self._ledger.up_since()
            if up_since is not None and now - max(closed, up_since) >= _BEFORE_FINISH:
                return
            if deadline is not None and now >= deadline:
                return

    def _raise_trouble(self) -> None:
        """Raise what ended a shipper: a refusal of the server, SpoolDamaged, or Unfinished for a mistake of ours."""
        if self._broken is not None:
            raise Unfinished(f"the courier broke: {self._broken!r}; a later one goes on")
        error = self._logs.error or self._scalars.error
        if error is not None:
            raise error
