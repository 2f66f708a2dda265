"""`DispatchService`: the stream that agents hold open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from batuta_proto.agents import v1 as agents
from batuta_queue.session_stream import SessionStreams

SERVICE_NAME = "batuta.agents.v1.DispatchService"
Context = grpc.aio.ServicerContext  # generic in the stubs only


class DispatchServicer(agents.DispatchServiceServicer):
    """Hands streams to `SessionStreams`."""

    def __init__(self, streams: SessionStreams) -> None:
        self._streams = streams

    async def Session(  # type: ignore[override]  # written to, not generated: the stub knows only the other way
        self, request_iterator: AsyncIterator[agents.SessionRequest], context: Context[Any, Any]
    ) -> None:
        """One agent's session."""
        await self._streams.serve(request_iterator, context.write)
