"""One agent's connection, from Hello to its end. Messages of one agent are taken strictly in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator

from batuta_chassis.transactions import Transactor
from batuta_proto.agents import v1 as agents
from batuta_queue.board import Board
from batuta_queue.chores import Chores
from batuta_queue.inbox import Inbox
from batuta_queue.introductions import Introductions
from batuta_queue.leases import STREAM_RESET, Leases
from batuta_queue.numbers import Numbers
from batuta_queue.sessions import Session, SessionRegistry
from batuta_queue.share import Share
from batuta_queue.store import QueueStore
from batuta_queue.welcome import Greeter
from batuta_queue.writers import Write, Writers
from batuta_rpc.clock import Clock, within
from batuta_rpc.errors import ProtocolViolation, ShuttingDown
from batuta_rpc.ids import Ids


class SessionStreams:
    """Serves the Session RPC."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        registry: SessionRegistry,
        board: Board,
        leases: Leases,
        introductions: Introductions,
        inbox: Inbox,
        greeter: Greeter,
        share: Share,
        writers: Writers,
        chores: Chores,
        numbers: Numbers,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._transactor = transactor
        self._registry = registry
        self._board = board
        self._leases = leases
        self._introductions = introductions
        self._inbox = inbox
        self._greeter = greeter
        self._share = share
        self._writers = writers
        self._chores = chores
        self._numbers = numbers
        self._clock = clock
        self._ids = ids
        self._stopped = False

    async def serve(self, requests: AsyncIterable[agents.SessionRequest], write: Write) -> None:
        """Serve one stream until either side ends it. Raises the error that it is to end with."""
        messages = aiter(requests)
        hello = await self._hello(messages)
        if self._stopped:
            raise ShuttingDown("the queue service is going down; come back in a moment")
        session = await self._introductions.first(hello)
        if self._stopped:  # meanwhile
            self._disconnect(session)
        reader = asyncio.create_task(self._read(session, messages), name=f"session:{session.agent.id}")
        try:
            with self._writers.writer(session.outgoing, write) as writer:
                await writer.run()
        finally:
            self._close(session)
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    def disconnect_all(self) -> None:
        """Send every agent away for a while: the process is going down. Leases are untouched."""
        self._stopped = True
        self.send_away()

    def send_away(self) -> None:
        """Have every agent come again in a moment, to this broker or another one."""
        for session in self._registry.all():
            self._disconnect(session)

    def _disconnect(self, session: Session) -> None:
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

    async def _read(self, session: Session, messages: AsyncIterator[agents.SessionRequest]) -> None:
        try:
            async for message in messages:
                if not session.open:
                    return  # another session took over, or this one is being ended: its word no longer counts
                await self._take(session, message)
            session.outgoing.finish()
        except Exception as error:
            session.outgoing.fail(error)

    async def _take(self, session: Session, message: agents.SessionRequest) -> None:
        begun, session.taking = self._clock.monotonic(), True
        try:
            if message.WhichOneof("message") == "hello":
                await self._introductions.again(session, message.hello)
            else:
                await self._inbox.take(session, message)
        finally:
            session.taking = False
            self._inbox.listens_again(session, begun)

    def _close(self, session: Session) -> None:
        self._registry.remove(session)
        session.outgoing.finish()
        self._board.refresh(session)
        offers = list(session.offers)
        if offers:
            self._chores.start(self._leases.give_back(offers, STREAM_RESET), "returning the offers of a broken session")
        heard = self._clock.unix_millis() - round((self._clock.monotonic() - session.last_heard) * 1000)
        self._chores.start(
            self._transactor.write(lambda store: self._note_end(store, session, heard)),
            "noting when an agent was last heard",
        )

    def _note_end(self, store: QueueStore, session: Session, heard: int) -> None:
        store.touch_agents({session.agent.id: heard})
        self._share.end(store, session)
