"""One agent's connection, from Hello to its end. Messages of one agent are taken strictly in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping

from batuta_chassis.transactions import Transactor
from batuta_proto.agents import v1 as agents
from batuta_queue.aftermath import Aftermath
from batuta_queue.board import Board
from batuta_queue.book import LeaseBook
from batuta_queue.chores import Chores
from batuta_queue.convert_session import agent_of, held_of
from batuta_queue.inbox import Inbox
from batuta_queue.join import Joined, join
from batuta_queue.leases import STREAM_RESET, Leases
from batuta_queue.model import AttemptPhase, Ref
from batuta_queue.numbers import Numbers
from batuta_queue.outgoing import Outgoing
from batuta_queue.queues import Queues
from batuta_queue.sessions import Session, SessionRegistry
from batuta_queue.store import QueueStore
from batuta_queue.welcome import Greeter
from batuta_rpc.clock import Clock, within
from batuta_rpc.errors import ProtocolViolation, ShuttingDown
from batuta_rpc.ids import Ids

Write = Callable[[agents.SessionResponse], Awaitable[None]]


class SessionStreams:
    """Serves the Session RPC."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        queues: Queues,
        registry: SessionRegistry,
        book: LeaseBook,
        board: Board,
        leases: Leases,
        inbox: Inbox,
        greeter: Greeter,
        aftermath: Aftermath,
        chores: Chores,
        numbers: Numbers,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._transactor = transactor
        self._queues = queues
        self._registry = registry
        self._book = book
        self._board = board
        self._leases = leases
        self._inbox = inbox
        self._greeter = greeter
        self._aftermath = aftermath
        self._chores = chores
        self._numbers = numbers
        self._clock = clock
        self._ids = ids
        self._stopped = False

    async def serve(self, requests: AsyncIterable[agents.SessionRequest], write: Write) -> None:
        """Serve one stream until either side ends it. Raises the error that it is to end with."""
        messages = aiter(requests)
        session = await self._open(await self._hello(messages))
        reader = asyncio.create_task(self._read(session, messages), name=f"session:{session.agent.id}")
        try:
            while (message := await session.outgoing.get()) is not None:
                await write(message)
        finally:
            self._close(session)
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    def disconnect_all(self) -> None:
        """Send every agent away for a while: the process is going down. Leases are untouched."""
        self._stopped = True
        for session in self._registry.all():
            after = self._ids.uniform(0.1, self._numbers.disconnect_spread)
            session.outgoing.put(self._greeter.disconnect(after))
            session.outgoing.finish()
            self._board.refresh(session)

    async def _hello(self, messages: AsyncIterator[agents.SessionRequest]) -> agents.Hello:
        try:
            first = await within(self._clock, self._numbers.hello_within, anext(messages, None))
        except TimeoutError:
            raise ProtocolViolation(
                f"no Hello came within {self._numbers.hello_within:g} s; it is the first message of a session"
            ) from None
        if first is None or first.WhichOneof("message") != "hello":
            found = "nothing" if first is None else first.WhichOneof("message") or "an unknown message"
            raise ProtocolViolation(f"the first message of a session is Hello, not {found}", found=found)
        return first.hello

    async def _open(self, hello: agents.Hello) -> Session:
        if self._stopped:
            raise ShuttingDown("the queue service is going down; come back in a moment")
        agent = agent_of(hello, self._clock.unix_millis())
        for queue_id in agent.queue_ids:
            await self._queues.get(queue_id)
        self._registry.admit(agent.id, agent.journal_id, self._clock.monotonic())
        resumed = self._registry.resumes(agent.id, agent.instance_id, hello.resume_session_id)
        jitter = self._numbers.heartbeat_jitter
        session = Session(
            hello.resume_session_id if resumed else self._ids.new_id(),
            agent,
            self._book,
            Outgoing(self._numbers.outgoing_messages, self._numbers.outgoing_bytes),
            self._numbers.heartbeat_period * self._ids.uniform(1 - jitter, 1 + jitter),
            self._clock.monotonic(),
        )
        held = held_of(hello.held)
        try:
            await self._transactor.write(lambda store: self._join(store, session, held, resumed))
        except BaseException:
            self._close(session)
            raise
        return session

    def _join(self, store: QueueStore, session: Session, held: Mapping[Ref, AttemptPhase], resumed: bool) -> None:
        joined = join(store, self._aftermath, session.agent, held, lambda: self._ids.uniform(0, 1))
        store.after_commit(lambda: self._begin(session, joined, held, resumed))

    def _begin(self, session: Session, joined: Joined, held: Mapping[Ref, AttemptPhase], resumed: bool) -> None:
        """Runs right after the commit, so that whatever commits later finds the session in its place."""
        if not session.open:
            return
        for old in self._registry.replace(session):
            self._board.refresh(old)
        session.report_number = joined.report_number
        session.drain = joined.drain
        session.held_at_start(held.values())
        self._book.renew([attempt.ref for _, attempt, _ in joined.expected], self._clock.monotonic())
        self._greeter.greet(session, joined, resumed)
        self._board.refresh(session)

    async def _read(self, session: Session, messages: AsyncIterator[agents.SessionRequest]) -> None:
        try:
            async for message in messages:
                if not session.open:
                    return  # another session took over, or this one is being ended: its word no longer counts
                await self._inbox.take(session, message)
            session.outgoing.finish()
        except Exception as error:
            session.outgoing.fail(error)

    def _close(self, session: Session) -> None:
        self._registry.remove(session)
        session.outgoing.finish()
        self._board.refresh(session)
        offers = list(session.offers)
        if offers:
            self._chores.start(self._leases.give_back(offers, STREAM_RESET), "returning the offers of a broken session")
        heard = {
            session.agent.id: self._clock.unix_millis() - round((self._clock.monotonic() - session.last_heard) * 1000)
        }
        self._chores.start(
            self._transactor.write(lambda store: store.touch_agents(heard)), "noting when an agent was last heard"
        )
