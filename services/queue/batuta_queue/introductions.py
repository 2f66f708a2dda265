"""Hello: how an agent introduces itself, when its stream opens and again when it was asked to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from batuta_chassis.caller import current_caller
from batuta_chassis.transactions import Transactor
from batuta_proto.agents import v1 as agents
from batuta_queue.board import Board
from batuta_queue.book import LeaseBook
from batuta_queue.convert_session import agent_of, held_of
from batuta_queue.join import Joined, join
from batuta_queue.ledger import Aftermath
from batuta_queue.model import Agent, AttemptPhase, Ref
from batuta_queue.numbers import Numbers
from batuta_queue.outgoing import Outgoing
from batuta_queue.queues import Queues
from batuta_queue.sessions import Session, SessionRegistry, overtaken
from batuta_queue.share import Share
from batuta_queue.store import QueueStore
from batuta_queue.welcome import Greeter
from batuta_rpc.clock import Clock
from batuta_rpc.errors import ProtocolViolation, QueueNotFound
from batuta_rpc.ids import Ids

Held = Mapping[Ref, AttemptPhase]


class Introductions:
    """Takes Hellos, and answers each with Welcome."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        queues: Queues,
        registry: SessionRegistry,
        book: LeaseBook,
        board: Board,
        greeter: Greeter,
        share: Share,
        aftermath: Aftermath,
        numbers: Numbers,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._transactor = transactor
        self._queues = queues
        self._registry = registry
        self._book = book
        self._board = board
        self._greeter = greeter
        self._share = share
        self._aftermath = aftermath
        self._numbers = numbers
        self._clock = clock
        self._ids = ids

    async def first(self, hello: agents.Hello) -> Session:
        """The session that a Hello begins: in its place, and Welcome on its way. When this raises, nothing is left.

        Raises `RoleMissing`, `QueueNotFound`, `AgentNameTaken`, `SessionSuperseded` and `RateLimited`.
        """
        current_caller().require_agent(hello.agent_id)
        agent = await self._agent(hello)
        self._registry.admit(agent, self._clock.monotonic(), hello.start_number)
        resumed = self._registry.resumes(agent.id, agent.instance_id, hello.resume_session_id)
        jitter = self._numbers.heartbeat_jitter
        session = Session(
            hello.resume_session_id if resumed else self._ids.new_id(),
            agent,
            self._book,
            Outgoing(self._numbers.outgoing_messages, self._numbers.outgoing_bytes),
            self._registry.period(),
            self._clock.monotonic(),
            share=self._ids.uniform(1 - jitter, 1 + jitter),
            start_number=hello.start_number,
        )
        held = held_of(hello.held)
        try:
            await self._join(session, agent, held, resumed)
        except BaseException:
            self._registry.remove(session)
            session.outgoing.finish()
            self._board.refresh(session)
            raise
        return session

    async def again(self, session: Session, hello: agents.Hello) -> None:
        """Take the facts anew on the same stream. Raises `ProtocolViolation` when nobody asked for them, or when they
        are another agent's."""
        if not session.resync_asked:
            raise ProtocolViolation("a session begins with one Hello; a second one needs a new stream")
        agent, known = await self._agent(hello), session.agent
        for name in ("id", "instance_id", "journal_id", "boot_id"):
            if getattr(agent, name) != getattr(known, name):
                raise ProtocolViolation(f"a Hello on the same stream has the same {name}; another needs a new stream")
        session.resync_asked = False
        agent = replace(agent, connect_millis=known.connect_millis)
        await self._join(session, agent, held_of(hello.held), resumed=True)

    async def _agent(self, hello: agents.Hello) -> Agent:
        agent = agent_of(hello, self._clock.unix_millis())
        for queue_id in agent.queue_ids:
            try:
                await self._queues.get(queue_id)
            except QueueNotFound:
                known = await self._transactor.read(lambda store: store.agent(agent.id))
                if known is None or queue_id not in known.queue_ids:
                    raise
                # It was deleted under an agent that served it, which must go on with what it has.
        return agent

    async def _join(self, session: Session, agent: Agent, held: Held, resumed: bool) -> None:
        def use_case(store: QueueStore) -> None:
            now = self._clock.unix_millis()
            self._share.admit(store, agent)
            joined = join(store, self._aftermath, agent, held, now, lambda: self._ids.uniform(0, 1))
            self._share.take(store, session, agent)
            store.after_commit(lambda: self._begin(session, agent, joined, held, resumed))

        await self._transactor.write(use_case)

    def _begin(self, session: Session, agent: Agent, joined: Joined, held: Held, resumed: bool) -> None:
        """Runs right after the commit, so that whatever commits later finds the session in its place."""
        if not session.open:
            return
        if self._registry.is_overtaken(agent.journal_id, session.start_number, self._clock.monotonic()):
            session.outgoing.fail(overtaken(agent.id))  # it was let in while the newer one was on its way, too
            return
        if self._registry.of_agent(agent.id) is not session:
            for old in self._registry.replace(session):
                self._board.refresh(old)
        self._board.forget(session)  # it may serve other queues from now on
        session.agent = agent
        session.report_number = joined.report_number
        session.drain = joined.drain
        session.held_at_start(held.values())
        now = self._clock.monotonic()
        for entry, attempt, _ in joined.expected:
            self._book.note(entry, attempt, now)  # until now it may have been in another broker's book
        self._book.renew([attempt.ref for _, attempt, _ in joined.expected], now)
        self._greeter.greet(session, joined, resumed)
        self._board.refresh(session)
