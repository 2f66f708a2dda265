"""`LogService`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from batuta_api.calls import Calls, Context
from batuta_api.closing import Closing
from batuta_api.limits import Budget, Limits, Places
from batuta_api.logs import appending, quota
from batuta_api.logs.convert import answer, chunks_of, reading, stream_of
from batuta_api.logs.followers import Followers
from batuta_api.logs.inflow import Inflow
from batuta_api.logs.model import Stream
from batuta_api.logs.reading import LogReader
from batuta_api.meters import Arrivals
from batuta_chassis.caller import current_caller
from batuta_chassis.hub import Hub
from batuta_proto.logs import v1 as logs
from batuta_rpc.clock import Clock

SERVICE = "batuta.logs.v1.LogService"


class LogServicer(logs.LogServiceServicer):
    """Logs: parse, call, render."""

    def __init__(
        self, calls: Calls, hub: Hub, closing: Closing, clock: Clock, limits: Limits, arrivals: Arrivals
    ) -> None:
        self._calls = calls
        self._arrivals = arrivals
        self._limits = limits
        self._writers = Places("log_writers", limits.log_writers)
        self._readers = Places("log_readers", limits.log_readers)
        self._budget = Budget(limits.log_bytes_in_flight)
        self._clock = clock
        self._closing = closing
        self._followers = Followers()
        self._reader = LogReader(self._calls, hub, self._followers, closing, clock)

    async def AppendLog(
        self, request_iterator: AsyncIterator[logs.AppendLogRequest], context: Context
    ) -> AsyncIterator[logs.AppendLogResponse]:
        """Store a producer's log."""
        stream: Stream | None = None
        with self._writers.one():
            async for group in Inflow(request_iterator, self._closing, self._budget).groups():
                stream = stream or stream_of(group[0])
                committed = await self._append(stream, group)
                yield answer(committed, self._followers.flush_interval(stream.task_id))

    async def _append(self, stream: Stream, group: Sequence[logs.AppendLogRequest]) -> int:
        caller, chunks, now = current_caller(), chunks_of(stream, group), self._clock.now()
        size = sum(len(chunk.data) for chunk in chunks)
        stored = await self._calls.guarded(
            "AppendLog", lambda work: appending.append(work, caller, stream, chunks, now), bulk=size, late=True
        )
        self._arrivals.log_bytes.add(size)
        if stored.over_quota:
            raise quota.refusal(stream, stored.committed, self._limits.log_bytes_per_attempt)
        return stored.committed

    async def ReadLog(self, request: logs.ReadLogRequest, context: Context) -> AsyncIterator[logs.ReadLogResponse]:
        """Stream a task's log."""
        with self._readers.one():
            async for part in self._reader.read(reading(request)):
                yield part
