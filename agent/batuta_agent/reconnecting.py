"""When to connect again: at once after a session that lived, else in windows that grow."""

from __future__ import annotations

from batuta_agent.session import Outcome
from batuta_rpc.backoff import Backoff
from batuta_rpc.errors import RpcError
from batuta_rpc.ids import Ids

LIVED = 10.0
"""Seconds that a session must have lived to be followed at once by the next one. A link that comes and goes every
second, or a broker that greets and drops, meets the growing windows instead: never a hot loop."""


class Reconnecting:
    """The pauses between the sessions of one agent."""

    def __init__(self, ids: Ids) -> None:
        """Begin with the shortest window."""
        self._backoff = Backoff(ids)

    def pause(self, outcome: Outcome, *, elsewhere: bool = False) -> float:
        """Seconds to wait after a session that ended like this. What the broker asks for is the least.

        `elsewhere`: the next broker is one that has not been tried since the last that served.
        """
        asked = outcome.reconnect_after or 0.0
        if isinstance(outcome.error, RpcError):
            asked = max(asked, outcome.error.retry_delay or 0.0)
        if outcome.seconds >= LIVED:
            self._backoff.reset()
            return asked
        if elsewhere:
            return asked
        return max(asked, self._backoff.next())
