"""Wake-ups through Redis pub/sub. Redis may be stopped, flushed or restarted at any time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from batuta_chassis.bus import LOOK_AGAIN, LOOK_AGAIN_CONNECTED, Listener
from batuta_rpc.backoff import Backoff
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids

_log = logging.getLogger(__name__)
_WAITING = 10_000
"""Topics that may wait to be sent; what comes beyond them is found by looking."""
_BATCH = 500
_CONNECT_LIMIT = 2.0
_SILENCE = 5.0
"""Seconds between two questions whether Redis is still there, and the patience with its answer."""


class RedisBus:
    """One process's connection to the channel of its service."""

    def __init__(self, url: str, service: str, clock: Clock, ids: Ids) -> None:
        """`url` is `redis://[:password@]host:port` or `rediss://…`. Raises `ValueError` for one that cannot be read."""
        self._channel = f"batuta:{service}"
        self._origin = ids.new_id()
        self._clock = clock
        self._ids = ids
        self._listeners: list[Listener] = []
        self._topics: dict[str, None] = {}
        self._filled = asyncio.Event()
        self._up = False
        self._complained = False
        self._url = url
        self._client()

    @property
    def look_again(self) -> float:
        """Seconds after which one looks without having been woken."""
        return LOOK_AGAIN_CONNECTED if self._up else LOOK_AGAIN

    @property
    def up(self) -> bool:
        """Whether Redis is there."""
        return self._up

    def listen(self, listener: Listener) -> None:
        """Have `listener` called for every topic that another process sends."""
        self._listeners.append(listener)

    def send(self, topic: str) -> None:
        """Tell the others, together with whatever else is said in this moment."""
        if self._up and len(self._topics) < _WAITING:
            self._topics[topic] = None
            self._filled.set()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        backoff = Backoff(self._ids)
        try:
            while True:
                try:
                    await self._serve(backoff)
                except (RedisError, OSError, TimeoutError) as error:
                    self._down(error)
                await self._clock.sleep(backoff.next())
        finally:
            self._up = False

    def _client(self) -> Any:
        client: Any = Redis
        return client.from_url(
            self._url,
            socket_connect_timeout=_CONNECT_LIMIT,
            socket_timeout=_SILENCE,
            decode_responses=True,
            health_check_interval=0,
            retry_on_timeout=False,
        )

    async def _serve(self, backoff: Backoff) -> None:
        # A client of its own each time: connections that were kept from before a restart of Redis lose what is sent.
        async with self._client() as redis, redis.pubsub() as subscription:
            await subscription.subscribe(self._channel)
            works = [asyncio.create_task(each) for each in (self._hear(subscription, backoff), self._tell(redis))]
            try:
                done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    each.result()
            finally:
                for each in works:
                    each.cancel()
                await asyncio.gather(*works, return_exceptions=True)

    async def _hear(self, subscription: Any, backoff: Backoff) -> None:
        asked = False
        while True:
            message = await subscription.get_message(timeout=_SILENCE)
            if message is None:
                if asked:
                    raise TimeoutError("Redis answers no more")
                await subscription.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "subscribe":
                self._is_up()
                backoff.reset()
            elif message["type"] == "message":
                self._spread(message["data"])

    def _spread(self, data: str) -> None:
        origin, *topics = data.split("\n")
        if origin == self._origin:
            return
        for topic in topics:
            for listener in self._listeners:
                listener(topic)

    async def _tell(self, redis: Any) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            topics, self._topics = list(self._topics), {}
            for start in range(0, len(topics), _BATCH):
                await redis.publish(self._channel, "\n".join([self._origin, *topics[start : start + _BATCH]]))

    def _is_up(self) -> None:
        if self._complained:
            _log.warning("Redis is there again: wake-ups are quick again")
        self._up, self._complained = True, False

    def _down(self, error: Exception) -> None:
        if not self._complained:
            _log.warning("Redis is away (%s): everything works on, and what other processes do is seen later", error)
        self._up, self._complained = False, True
        self._topics.clear()
