"""What operators do to agents: drain, undrain, declare lost."""

from __future__ import annotations

import logging
from collections.abc import Collection

from batuta_chassis.transactions import Transactor
from batuta_queue import signals
from batuta_queue.agent_view import no_agent
from batuta_queue.board import Board
from batuta_queue.convert_session import drain_message
from batuta_queue.drains import Drains
from batuta_queue.ledger import Aftermath, Ledger
from batuta_queue.model import Agent, AttemptPhase, Drain, Reason
from batuta_queue.sessions import SessionRegistry
from batuta_queue.share import Share
from batuta_queue.store import QueueStore
from batuta_queue.transitions import Loss, give_back, lose
from batuta_rpc.clock import Clock
from batuta_rpc.errors import AgentOnline
from batuta_rpc.ids import Ids

_log = logging.getLogger(__name__)


class Operators:
    """The use cases of operators."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        registry: SessionRegistry,
        board: Board,
        drains: Drains,
        share: Share,
        aftermath: Aftermath,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._transactor = transactor
        self._registry = registry
        self._board = board
        self._drains = drains
        self._share = share
        self._aftermath = aftermath
        self._clock = clock
        self._ids = ids

    async def drain(self, agent_id: str, reason: str, deadline_millis: int | None) -> None:
        """Have an agent take no new work until `undrain`. Raises `AgentNotFound`."""
        drain = Drain(reason, self._clock.unix_millis(), deadline_millis)
        await self._transactor.write(lambda store: self._set(store, agent_id, drain))

    async def undrain(self, agent_id: str) -> None:
        """Let an agent take work again. Raises `AgentNotFound`."""
        await self._transactor.write(lambda store: self._set(store, agent_id, None))

    async def declare_lost(self, agent_id: str, reason: str, *, explained: bool) -> int:
        """End all that an agent has as lost, whatever the lease policy. Returns how many attempts that were.

        Of an agent that is connected only what it had under an earlier state folder can be lost: nothing else may ever
        end that, when its machine was set up anew under its old name. `explained`: the cause is known, so no task is
        suspected. Raises `AgentNotFound`, and `AgentOnline` when the agent is connected and has left nothing behind.
        """
        known = await self._transactor.read(lambda store: store.agent(agent_id))
        if known is None:
            raise no_agent(agent_id)
        now = self._clock.monotonic()
        alive = {each.agent.journal_id for each in self._registry.all() if self._registry.online(each, now)}
        why = f"an operator declared its agent lost{f': {reason}' if reason else ''}"
        loss = Loss(Reason("DECLARED_LOST", why, 14), suspicious=not explained, moves=True)
        count = await self._transactor.write(lambda store: self._lose(store, known, alive, loss))
        _log.warning("agent %s was declared lost with %d attempts: %s", agent_id, count, reason or "no reason given")
        return count

    def _set(self, store: QueueStore, agent_id: str, drain: Drain | None) -> None:
        agent = store.agent(agent_id)
        if agent is None:
            raise no_agent(agent_id)
        if agent.drain is None and drain is None:
            return
        store.drain_agent(agent_id, drain)
        store.after_commit(lambda: self._tell(agent, drain))

    def follow(self, agent_id: str, journal_id: str, drain: Drain | None) -> None:
        """Carry a drain that is stored, or the end of one, to its agent, as far as that has not been done yet."""
        self._drains.note(agent_id, journal_id, drain)
        session = self._registry.of_agent(agent_id)
        if session is None or session.drain == drain:
            return
        session.drain = drain
        if session.can("drain"):
            session.outgoing.put(drain_message(drain))
        self._board.refresh(session)

    def _tell(self, agent: Agent, drain: Drain | None) -> None:
        self.follow(agent.id, agent.journal_id, drain)
        self._share.tell(signals.agent(agent.id))

    def _lose(self, store: QueueStore, known: Agent, alive: Collection[str], loss: Loss) -> int:
        now = self._clock.unix_millis()
        agent = store.agent(known.id)
        if agent is None or agent.connect_millis != known.connect_millis or agent.instance_id != known.instance_id:
            raise _online(known.id)  # it came back between the look and this
        alive = {*alive, *self._share.journals_elsewhere(store)}
        of_agent = [each for each in store.open_attempts() if each[1].holder.agent_id == agent.id]
        left = [each for each in of_agent if each[1].holder.journal_id not in alive]
        if agent.journal_id in alive and not left:
            raise _online(agent.id)
        ledger = Ledger(store, self._aftermath)
        count = 0
        for entry, attempt in left:
            if attempt.phase is AttemptPhase.OFFERED:
                ledger.record(give_back(entry, attempt, loss.reason, now))
            else:
                ledger.record(lose(entry, attempt, loss, now, self._ids.uniform(0, 1)))
                count += 1
        ledger.write()
        if agent.journal_id not in alive:
            store.agent_left(agent.id, now)
        return count


def _online(agent_id: str) -> AgentOnline:
    return AgentOnline(
        f"agent {agent_id} is connected, so it is not lost; `batuta agent drain {agent_id}` empties it",
        resource=("agent", agent_id),
        agent_id=agent_id,
    )
