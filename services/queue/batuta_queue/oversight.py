"""What watches over agents beyond their sessions: operators, drains, the loss of many at once."""

from __future__ import annotations

from batuta_chassis.transactions import Transactor
from batuta_queue.board import Board
from batuta_queue.book import LeaseBook
from batuta_queue.drains import Drains
from batuta_queue.ledger import Aftermath
from batuta_queue.mass_loss import MassLoss
from batuta_queue.numbers import Numbers
from batuta_queue.operators import Operators
from batuta_queue.sessions import SessionRegistry
from batuta_queue.share import Share
from batuta_queue.store import QueueStore
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids


class Oversight:
    """The three of one broker, put together."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        registry: SessionRegistry,
        book: LeaseBook,
        board: Board,
        share: Share,
        aftermath: Aftermath,
        numbers: Numbers,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._transactor = transactor
        self.drains = Drains(transactor, registry, book, aftermath, numbers, clock)
        self.mass_loss = MassLoss(transactor, registry, share, numbers, clock)
        self.operators = Operators(transactor, registry, board, self.drains, share, aftermath, clock, ids)

    async def start(self) -> None:
        """Take up the drains that stand from before."""
        self.drains.start(await self._transactor.read(lambda store: store.drained_agents()))
