"""What makes a broker one of several on a database: its row among theirs, the bus between them, its share."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from batuta_chassis.bus import Bus
from batuta_chassis.membership import FencedTransactor, Membership, Pace
from batuta_chassis.service import Hook
from batuta_chassis.transactions import Transactor
from batuta_queue.board import Board
from batuta_queue.book import LeaseBook
from batuta_queue.leases import Leases
from batuta_queue.operators import Operators
from batuta_queue.part_share import PartShare
from batuta_queue.session_stream import SessionStreams
from batuta_queue.sessions import SessionRegistry
from batuta_queue.store import QueueStore
from batuta_queue.views import Views
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids


class Among:
    """Given to a `Broker` that shares its database."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        bus: Bus,
        address: str,
        clock: Clock,
        ids: Ids,
        pace: Pace | None = None,
    ) -> None:
        """`transactor` is the bare one; the broker gets a fenced one. `address` is for people."""
        self.bus = bus
        self.membership: Membership[QueueStore] = Membership(
            transactor, lambda store: store.members, address, clock, ids, pace
        )

    def fence(self, transactor: Transactor[QueueStore]) -> Transactor[QueueStore]:
        """Stores nothing once this process was taken for dead."""
        return FencedTransactor(transactor, self.membership)

    @property
    def leads(self) -> bool:
        """Whether this broker does what one does for all; for a moment two may."""
        return self.membership.leading

    def owned(self, store: QueueStore, agent_ids: Collection[str]) -> Collection[str]:
        """Those of the agents that this broker answers for."""
        return store.owned(self.membership.id, agent_ids)

    def share(
        self,
        transactor: Transactor[QueueStore],
        book: LeaseBook,
        registry: SessionRegistry,
        board: Board,
        leases: Leases,
        clock: Clock,
    ) -> PartShare:
        """The broker's share, `transactor` being the fenced one."""
        return PartShare(transactor, self.membership, self.bus, book, registry, board, leases, clock)

    def background(
        self, share: PartShare, streams: SessionStreams, operators: Operators, views: Views
    ) -> Sequence[Hook]:
        """What runs besides. Called once, when all parts are there."""
        share.on_placement(lambda each: operators.follow(each.agent_id, each.journal_id, each.drain))
        self.membership.on_anew(streams.send_away)

        async def live() -> None:
            await self.membership.run(share.members_changed)

        return (live, self.bus.run, share.run, share.look_elsewhere, views.run)
