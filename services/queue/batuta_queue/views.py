"""How this broker's agents are shown by the others: stored every few seconds, where it changes."""

from __future__ import annotations

from batuta_chassis.membership import Membership
from batuta_chassis.transactions import Transactor
from batuta_queue.agent_view import AgentView
from batuta_queue.load import Load
from batuta_queue.sessions import SessionRegistry
from batuta_queue.store import QueueStore
from batuta_rpc.clock import Clock

_PERIOD = 5.0
_COUNT_EVERY = 6
"""Entries are counted anew once in so many periods."""


class Views:
    """Background work of one broker among several."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        membership: Membership[QueueStore],
        registry: SessionRegistry,
        view: AgentView,
        load: Load,
        clock: Clock,
    ) -> None:
        self._transactor = transactor
        self._membership = membership
        self._registry = registry
        self._view = view
        self._load = load
        self._clock = clock
        self._stored: dict[str, tuple[str, bytes]] = {}

    async def run(self) -> None:
        """Store views, and count what others put in and took out, for ever."""
        rounds = 0
        while True:
            await self._clock.sleep(_PERIOD)
            await self.store()
            rounds += 1
            if rounds % _COUNT_EVERY == 0:
                await self.count()

    async def store(self) -> None:
        """Store the views that have changed."""
        me = self._membership.id
        shown = {each.agent.id: (each.id, await self._serialized(each.agent.id)) for each in self._registry.all()}
        news = {agent_id: seen[1] for agent_id, seen in shown.items() if self._stored.get(agent_id) != seen}
        if news:
            await self._transactor.write(lambda store: store.save_views(me, news))
        self._stored = shown

    async def count(self) -> None:
        """How full the queues are: other brokers fill and empty them too."""
        ids = self._load.known()
        counts = await self._transactor.read(lambda store: store.count_entries(ids))
        self._load.start(counts)

    async def _serialized(self, agent_id: str) -> bytes:
        session = self._registry.of_agent(agent_id)
        return b"" if session is None else (await self._view.own(session)).SerializeToString(deterministic=True)
