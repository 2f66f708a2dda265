"""All parts of the broker, put together over a store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from batuta_chassis.hub import Hub
from batuta_chassis.meters import Meter
from batuta_chassis.service import Hook
from batuta_chassis.tokens import Signer
from batuta_chassis.transactions import Transactor
from batuta_queue.aftermath import Aftermath
from batuta_queue.agent_view import AgentView
from batuta_queue.among import Among
from batuta_queue.assignments import Assignments
from batuta_queue.batch_submit import BatchSubmitter
from batuta_queue.board import Board
from batuta_queue.book import LeaseBook
from batuta_queue.chores import Chores
from batuta_queue.dispatch import Dispatcher
from batuta_queue.events import EventLog
from batuta_queue.inbox import Inbox
from batuta_queue.introductions import Introductions
from batuta_queue.leases import NOT_SENT, Leases, everybody
from batuta_queue.load import Load
from batuta_queue.log_marker import LogMarker
from batuta_queue.meters import BrokerMeter
from batuta_queue.model import Ref
from batuta_queue.moves import Mover
from batuta_queue.numbers import Numbers
from batuta_queue.oversight import Oversight
from batuta_queue.part_share import PartShare
from batuta_queue.pauses import Pauses
from batuta_queue.queue_care import QueueCare
from batuta_queue.queues import Queues
from batuta_queue.removals import Removals
from batuta_queue.reports import Reports
from batuta_queue.session_stream import SessionStreams
from batuta_queue.sessions import SessionRegistry
from batuta_queue.share import Share, WholeShare
from batuta_queue.spans import Spans
from batuta_queue.store import QueueStore
from batuta_queue.submit import Submitter
from batuta_queue.sweeper import Sweeper
from batuta_queue.telemetry import Telemetry
from batuta_queue.views import Views
from batuta_queue.waits import Waits
from batuta_queue.welcome import Greeter
from batuta_queue.writers import Writers
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids
from batuta_rpc.trace import NO_TRACER, Tracer

_log = logging.getLogger(__name__)


class Broker:
    """One broker. `start` it before use, run its `background`, then `drain` and `stop` it."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        signer: Signer,
        clock: Clock,
        ids: Ids,
        numbers: Numbers | None = None,
        marker: LogMarker | None = None,
        among: Among | None = None,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        """`marker` is for a database that this process alone has, `among` for one that it shares with other brokers."""
        self.numbers = numbers = numbers or Numbers()
        self._transactor = transactor
        self._clock = clock
        self._ids = ids
        self._marker = marker
        self._chores = Chores()
        self._load = Load(numbers)
        self._hub = Hub(clock)
        self._among = among
        if among is not None:
            transactor = self._transactor = among.fence(transactor)
            self._hub.connect(among.bus)
        self.book = LeaseBook()
        self.board = Board()
        self.registry = SessionRegistry(numbers)
        self.telemetry = Telemetry()
        self.writers = Writers(clock)
        self.waits = Waits()
        self.tracer = tracer
        spans = Spans(tracer, ids)
        aftermath = Aftermath(self.book, self.registry, self.board, self._load, self._hub, clock, spans, self.waits)
        assignments = Assignments(signer, numbers, clock)
        self.queues = Queues(transactor, numbers, clock, ids, self._hub.look_again)
        if among is not None:
            among.bus.listen(self.queues.hear)
        self.leases = Leases(transactor, aftermath, clock, ids, everybody if among is None else among.owned)
        self._part = None if among is None else self._make_part(among)
        self.share: Share = self._part or WholeShare(transactor, self.book, self.leases, clock)
        self.dispatcher = Dispatcher(
            transactor, self.board, self.registry, aftermath, assignments, self._not_sent, numbers, clock
        )
        self.submitter = self._make_submitter(aftermath)
        self.batches = BatchSubmitter(transactor, self.queues, aftermath, self._load, clock)
        self.mover = Mover(transactor, self.queues, aftermath, self._load, clock)
        self.removals = Removals(transactor, aftermath, self.registry, clock)
        self.care = QueueCare(transactor, self.queues, self.removals, self._load, self._hub)
        self.pauses = Pauses(transactor, self.queues, self.board, self._hub, clock)
        self.streams = self._make_streams(aftermath, assignments)
        self.oversight = Oversight(
            transactor, self.registry, self.book, self.board, self.share, aftermath, numbers, clock, ids
        )
        self.sweeper = self._make_sweeper()
        self.log = EventLog(transactor, self._hub, numbers)
        self.agents = self._make_view()
        own = BrokerMeter(transactor, self.registry, self.book, self._load, self.oversight.mass_loss, clock)
        self.meters: Sequence[Meter] = (own, self.dispatcher.waits)

    async def start(self) -> None:
        """Make what exists from the first start, and take up what an earlier process left."""
        if self._among is not None:
            await self._among.membership.enter()
        await self._transactor.write(self._prepare)
        await self._note_log()
        await self.share.start()
        await self.oversight.start()
        waiting = await self._transactor.read(lambda store: store.waiting_queues())
        for queue_id, latest in waiting.items():
            self.board.mark(queue_id)
            self.board.mark_at(queue_id, latest)

    @property
    def background(self) -> Sequence[Hook]:
        """What runs as long as the broker does. Read it once."""
        own = (self.dispatcher.run, self.sweeper.run, self.sweeper.touch, self.sweeper.purge, self._keep_noting)
        return (*own, *self._beside_others())

    def doubt(self) -> None:
        """A commit may have gone through of which memory has not heard. Only a database that is a server leaves one."""
        if self._part is not None:
            self._part.doubt()

    async def drain(self) -> None:
        """Offer nothing more and send agents and readers away."""
        self.dispatcher.stop()
        self.streams.disconnect_all()
        self.log.stop()

    async def stop(self) -> None:
        """Finish what has begun."""
        await self._chores.finish()
        await self._note_log()
        if self._among is not None:
            await self._among.membership.leave()

    async def _keep_noting(self) -> None:
        while self._marker is not None:
            await self._clock.sleep(self.numbers.touch_period)
            await self._note_log()

    async def _note_log(self) -> None:
        if self._marker is not None:
            bounds = await self._transactor.read(lambda store: store.log_bounds())
            await asyncio.to_thread(self._marker.write, bounds)

    def _make_part(self, among: Among) -> PartShare:
        return among.share(self._transactor, self.book, self.registry, self.board, self.leases, self._clock)

    def _beside_others(self) -> Sequence[Hook]:
        if self._among is None or self._part is None:
            return ()
        views = Views(self._transactor, self._among.membership, self.registry, self.agents, self._load, self._clock)
        return self._among.background(self._part, self.streams, self.oversight.operators, views)

    def _make_submitter(self, aftermath: Aftermath) -> Submitter:
        return Submitter(
            self._transactor,
            self.queues,
            self.dispatcher,
            self.board,
            self.registry,
            aftermath,
            self._load,
            self.numbers,
            self._clock,
        )

    def _make_sweeper(self) -> Sweeper:
        return Sweeper(
            self._transactor,
            self.book,
            self.registry,
            self.board,
            self.writers,
            self.leases,
            self.oversight,
            self.numbers,
            self._clock,
        )

    def _make_view(self) -> AgentView:
        return AgentView(
            self._transactor,
            self.queues,
            self.registry,
            self.book,
            self.telemetry,
            self.oversight.mass_loss,
            self.share,
            self._clock,
        )

    def _make_streams(self, aftermath: Aftermath, assignments: Assignments) -> SessionStreams:
        transactor, numbers, clock, ids = self._transactor, self.numbers, self._clock, self._ids
        registry, book, board, leases = self.registry, self.book, self.board, self.leases
        reports = Reports(transactor, aftermath, clock, ids)
        greeter = Greeter(assignments, numbers, clock)
        share = self.share
        return SessionStreams(
            transactor,
            registry,
            board,
            leases,
            Introductions(
                transactor, self.queues, registry, book, board, greeter, share, aftermath, numbers, clock, ids
            ),
            Inbox(registry, book, board, leases, reports, self.telemetry, share, clock),
            greeter,
            share,
            self.writers,
            self._chores,
            numbers,
            clock,
            ids,
        )

    def _prepare(self, store: QueueStore) -> None:
        store.open_log(self._ids.new_id())
        bounds = store.log_bounds()
        if self._marker is not None and self._marker.was_restored(bounds):
            _log.warning("the database was restored, or its note is gone: its event log begins a new epoch")
            store.renew_log(self._ids.new_id())
        self.queues.prepare(store)
        queue_ids = [queue.id for queue in store.queues("", self.numbers.max_queues)]
        self._load.start(store.count_entries(queue_ids))

    def _not_sent(self, refs: Sequence[Ref]) -> None:
        self._chores.start(self.leases.give_back(refs, NOT_SENT), "returning offers that could not be sent")
