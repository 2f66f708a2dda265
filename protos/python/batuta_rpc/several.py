"""Several servers of one service behind one channel object: each call goes to one that can be reached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import grpc
import grpc.aio


def split(endpoints: str) -> list[str]:
    """Addresses as people list them, separated by commas."""
    return [each.strip() for each in endpoints.split(",") if each.strip()]


class Channel(grpc.aio.Channel):
    """A `grpc.aio.Channel` over equal servers. Calls take turns between those that are connected.

    A call that meets a server which has just gone fails as ever, and whoever repeats it reaches another one.
    """

    def __init__(self, channels: Sequence[grpc.aio.Channel]) -> None:
        self._channels = cast("Sequence[Any]", channels)
        self._turn = 0

    def pick(self) -> int:
        """Which of the channels takes the next call: a connected one, else one that is not known to be down."""
        self._turn = (self._turn + 1) % len(self._channels)
        order = [(self._turn + step) % len(self._channels) for step in range(len(self._channels))]
        states = {index: self._channels[index].get_state(try_to_connect=True) for index in order}
        for wanted in (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.IDLE):
            for index in order:
                if states[index] is wanted:
                    return index
        down = (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN)
        return next((index for index in order if states[index] not in down), order[0])

    def _take_turns(self, calls: Sequence[Callable[..., Any]]) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            return calls[self.pick()](*args, **kwargs)

        return call

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        """A call with one request and one response."""
        return self._take_turns([each.unary_unary(*args, **kwargs) for each in self._channels])

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        """A call with many requests and one response."""
        return self._take_turns([each.stream_unary(*args, **kwargs) for each in self._channels])

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        """A call with one request and many responses."""
        return self._take_turns([each.unary_stream(*args, **kwargs) for each in self._channels])

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        """A call with many requests and many responses."""
        return self._take_turns([each.stream_stream(*args, **kwargs) for each in self._channels])

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The connectivity of the channel that would take the next call."""
        return cast("grpc.ChannelConnectivity", self._channels[self.pick()].get_state(try_to_connect))

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the state of the first server is another one."""
        await self._channels[0].wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until one of them can be reached."""
        waiting = [asyncio.ensure_future(each.channel_ready()) for each in self._channels]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()

    async def close(self, grace: float | None = None) -> None:
        """Close all."""
        for each in self._channels:
            await each.close(grace)

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()
