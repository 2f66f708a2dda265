"""What the broker counts: queues, agents, leases, sessions, the event log, and how long work waits for an agent."""

from __future__ import annotations

from collections import Counter

from batuta_chassis.meters import OTHER, WAITS, Family, Histogram, Looked, gauge, gauges
from batuta_chassis.transactions import Transactor
from batuta_queue.book import LeaseBook
from batuta_queue.load import Load
from batuta_queue.mass_loss import MassLoss
from batuta_queue.model import Entry, QueueCounts
from batuta_queue.sessions import Session, SessionRegistry
from batuta_queue.store import LogBounds, QueueStore
from batuta_rpc.clock import Clock

_QUEUES = 100
"""Queues with numbers of their own, the fullest ones; the others count together."""


def waits() -> Histogram:
    """How long an entry that could go waited until it was sent to an agent."""
    return Histogram(
        "batuta_dispatch_seconds",
        "from the moment an entry may go until it is sent to an agent",
        (0.001, 0.005, *WAITS),
    )


def waited(entry: Entry, now: int) -> float:
    """For so many seconds an entry could have gone."""
    return max(0, now - max(entry.wait_millis or entry.enqueue_millis, entry.not_before_millis)) / 1000


class BrokerMeter:
    """Reads the broker's memory, and what only the tables know."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        registry: SessionRegistry,
        book: LeaseBook,
        load: Load,
        mass_loss: MassLoss,
        clock: Clock,
    ) -> None:
        self._transactor = transactor
        self._registry = registry
        self._book = book
        self._load = load
        self._mass_loss = mass_loss
        self._clock = clock
        self._looked = Looked(self._look, clock)

    async def read(self) -> list[Family]:
        """See `Meter`."""
        now = self._clock.monotonic()
        sessions = self._registry.all()
        states = dict.fromkeys(("online", "draining", "unhealthy", "silent"), 0) | Counter(
            self._state(each, now) for each in sessions
        )
        return [
            gauges(
                "batuta_agents",
                "agents that are connected to this broker, by state",
                ("state",),
                {(state,): count for state, count in states.items()},
            ),
            gauge("batuta_sessions", "agents' streams open at this broker", len(sessions)),
            gauge("batuta_leases", "open attempts that this broker answers for", len(self._book)),
            *(await self._looked.read()),
        ]

    def _state(self, session: Session, now: float) -> str:
        if not self._registry.online(session, now):
            return "silent"
        if session.unhealthy_reason:
            return "unhealthy"
        return "draining" if session.drain or session.draining else "online"

    async def _look(self) -> list[Family]:
        load = self._load.counts()
        fullest = sorted(load, key=lambda queue_id: load[queue_id], reverse=True)[:_QUEUES]
        fleet = await self._mass_loss.look()

        def look(store: QueueStore) -> tuple[dict[str, QueueCounts], LogBounds]:
            counts = store.count_entries(fullest)
            found = {queue_id: store.queue(queue_id) for queue_id in fullest}
            named = {each.name: counts.get(each.id, QueueCounts()) for each in found.values() if each is not None}
            return named, store.log_bounds()

        named, bounds = await self._transactor.read(look)
        rest = sum(load.values()) - sum(load[queue_id] for queue_id in fullest)
        entries: dict[tuple[str, ...], float] = {}
        for name, counts in named.items():
            entries[name, "waiting"] = counts.waiting - counts.held
            entries[name, "held"] = counts.held
            entries[name, "running"] = counts.running
        if len(load) > len(fullest):
            entries[OTHER, "any"] = rest
        return [
            gauges("batuta_queue_entries", "entries that have not ended", ("queue", "state"), entries),
            gauge("batuta_queues", "queues", len(load)),
            gauge("batuta_agents_vanished", "agents gone without a goodbye within the last hour", fleet.vanished),
            gauge("batuta_mass_loss", "1 while lost work is not given away", int(fleet.pause is not None)),
            gauge("batuta_event_log_position", "newest event of the log", bounds.head),
            gauge("batuta_event_log_first", "oldest event that is kept", bounds.first),
        ]
