"""Wake-ups between the processes of one service. They are hints and never the only copy of anything.

Whoever waits looks again by itself after `look_again` seconds, so that a bus that is away costs time and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from batuta_chassis.settings import Settings, SettingsError
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids

Listener = Callable[[str], None]
"""Hears a topic that another process has published. Runs on the event loop and must not block."""

LOOK_AGAIN = 1.0
"""Seconds between two looks of who waits, where no bus tells."""
LOOK_AGAIN_CONNECTED = 2.0
"""The same beside a bus that works: it may have lost what was said just before it broke."""


class Bus(Protocol):
    """Carries topics to the other processes."""

    @property
    def look_again(self) -> float:
        """Seconds after which one looks without having been woken."""
        ...

    def send(self, topic: str) -> None:
        """Tell the others. Never waits and never fails; what cannot be sent is dropped."""
        ...

    def listen(self, listener: Listener) -> None:
        """Have `listener` called for every topic that another process sends."""
        ...

    async def run(self) -> None:
        """Background work: keep the connection. Returns at once where there is none."""
        ...


class Polling:
    """No bus at all: several processes that find out by looking."""

    look_again = LOOK_AGAIN

    def send(self, topic: str) -> None:
        """Nobody hears it."""

    def listen(self, listener: Listener) -> None:
        """Nothing ever comes."""

    async def run(self) -> None:
        """Nothing to do."""


def open_bus(settings: Settings, clock: Clock, ids: Ids) -> Bus | None:
    """The bus of a service process. None: it is the only one. Raises `SettingsError`."""
    if not settings.several:
        return None
    if not settings.redis_url:
        return Polling()
    try:
        from batuta_chassis.redis_bus import RedisBus

        return RedisBus(settings.redis_url, settings.service, clock, ids)
    except ImportError as error:
        raise SettingsError(f"redis_url needs the extra: pip install 'batuta[server,redis]' ({error})") from error
    except ValueError as error:
        raise SettingsError(f"redis_url cannot be read ({error}); write it like redis://host:6379") from error
