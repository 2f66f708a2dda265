"""`MetricService`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from batuta_api.calls import Calls, Context
from batuta_api.closing import Closing
from batuta_api.meters import Arrivals
from batuta_api.metrics import appending, reading
from batuta_api.metrics.convert import batch, render_summaries, series_query
from batuta_chassis.caller import current_caller
from batuta_chassis.hub import Hub
from batuta_proto.metrics import v1 as metrics
from batuta_rpc.clock import Clock

SERVICE = "batuta.metrics.v1.MetricService"


class MetricServicer(metrics.MetricServiceServicer):
    """Scalars: parse, call, render."""

    def __init__(self, calls: Calls, hub: Hub, closing: Closing, clock: Clock, arrivals: Arrivals) -> None:
        self._calls = calls
        self._arrivals = arrivals
        self._clock = clock
        self._reader = reading.ScalarReader(self._calls, hub, closing, clock)

    async def AppendScalars(
        self, request: metrics.AppendScalarsRequest, context: Context
    ) -> metrics.AppendScalarsResponse:
        """Store a batch."""
        caller, told, now = current_caller(), batch(request), self._clock.now()
        # Without points it only asks, and shows that the run lives: a small change like any other.
        bulk = request.ByteSize() if request.columns else 0
        self._arrivals.scalar_bytes.add(bulk)
        committed = await self._calls.guarded(
            "AppendScalars", lambda work: appending.append(work, caller, told, now), bulk=bulk
        )
        return metrics.AppendScalarsResponse(committed_sequence=committed)

    async def ListScalars(self, request: metrics.ListScalarsRequest, context: Context) -> metrics.ListScalarsResponse:
        """One page of a task's series."""
        asked = series_query(request)
        found = await self._calls.ask("ListScalars", lambda work, caller: reading.summaries(work, caller, asked))
        return render_summaries(asked, found)

    async def ReadScalars(
        self, request: metrics.ReadScalarsRequest, context: Context
    ) -> AsyncIterator[metrics.ReadScalarsResponse]:
        """Stream points of a task."""
        async for part in self._reader.read(request):
            yield part
