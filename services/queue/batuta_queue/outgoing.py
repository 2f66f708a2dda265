"""What waits to be written to one agent: bounded, in order, and ended by one error or none."""

from __future__ import annotations

import asyncio
from collections import deque

from batuta_proto.agents import v1 as agents
from batuta_rpc.errors import SlowConsumer


class Outgoing:
    """A queue with one reader. Writers never wait: who reads too slowly loses the stream, not the broker's memory."""

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._messages: deque[agents.SessionResponse] = deque()
        self._bytes = 0
        self._ready = asyncio.Event()
        self._error: Exception | None = None
        self._finished = False

    @property
    def open(self) -> bool:
        """Whether messages are still taken."""
        return self._error is None and not self._finished

    def put(self, message: agents.SessionResponse) -> bool:
        """Append a message. False: the queue has ended, or just did because it is full."""
        if not self.open:
            return False
        size = message.ByteSize()
        # One message alone may be larger than the limit: a Welcome is what it is.
        if self._messages and (len(self._messages) >= self._max_messages or self._bytes + size > self._max_bytes):
            self.fail(
                SlowConsumer(
                    f"{len(self._messages)} messages wait that the agent does not read; reconnect for a snapshot",
                    waiting=len(self._messages),
                )
            )
            return False
        self._messages.append(message)
        self._bytes += size
        self._ready.set()
        return True

    def fail(self, error: Exception) -> None:
        """End at once with `error`; what waits is dropped. Only the first end counts."""
        if self.open:
            self._error = error
            self._messages.clear()
            self._ready.set()

    def finish(self) -> None:
        """End after what waits."""
        if self.open:
            self._finished = True
            self._ready.set()

    async def get(self) -> agents.SessionResponse | None:
        """The next message; None at the end. Raises the error that ended the queue."""
        while not self._messages:
            if self._error is not None:
                raise self._error
            if self._finished:
                return None
            self._ready.clear()
            await self._ready.wait()
        message = self._messages.popleft()
        self._bytes -= message.ByteSize()
        return message
