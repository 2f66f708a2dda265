"""Agents as operators see them: the stored facts, and what only memory knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from batuta_chassis.transactions import Transactor
from batuta_proto.agents import v1 as agents
from batuta_queue.book import LeaseBook
from batuta_queue.convert import timestamp
from batuta_queue.convert_session import agent_message
from batuta_queue.mass_loss import MassLoss
from batuta_queue.model import Agent
from batuta_queue.queues import Queues
from batuta_queue.sessions import Session, SessionRegistry
from batuta_queue.share import Share, online_in
from batuta_queue.store import QueueStore
from batuta_queue.telemetry import Telemetry
from batuta_rpc.clock import Clock
from batuta_rpc.errors import AgentNotFound

Elsewhere = Mapping[str, "bytes | None"]


def no_agent(agent_id: str) -> AgentNotFound:
    """The error for an agent that never joined, or was forgotten."""
    return AgentNotFound(
        f"there is no agent {agent_id!r}; `batuta agent list` shows those that ever joined",
        resource=("agent", agent_id),
        agent_id=agent_id,
    )


class AgentView:
    """Reads agents."""

    def __init__(
        self,
        transactor: Transactor[QueueStore],
        queues: Queues,
        registry: SessionRegistry,
        book: LeaseBook,
        telemetry: Telemetry,
        mass_loss: MassLoss,
        share: Share,
        clock: Clock,
    ) -> None:
        self._transactor = transactor
        self._queues = queues
        self._registry = registry
        self._book = book
        self._telemetry = telemetry
        self._mass_loss = mass_loss
        self._share = share
        self._clock = clock

    async def get(self, agent_id: str) -> agents.Agent:
        """One agent. Raises `AgentNotFound`."""

        def read(store: QueueStore) -> tuple[Agent | None, Elsewhere]:
            return store.agent(agent_id), self._share.elsewhere(store, [agent_id])

        found, elsewhere = await self._transactor.read(read)
        if found is None:
            raise no_agent(agent_id)
        return await self._show(found, elsewhere)

    async def page(self, after_id: str, limit: int) -> list[agents.Agent]:
        """Agents by id, those after `after_id`."""

        def read(store: QueueStore) -> tuple[list[Agent], Elsewhere]:
            found = store.agents(after_id, limit)
            return found, self._share.elsewhere(store, [agent.id for agent in found])

        found, elsewhere = await self._transactor.read(read)
        return [await self._show(agent, elsewhere) for agent in found]

    async def own(self, session: Session) -> agents.Agent:
        """An agent that is connected here, without the time of its last heartbeat."""
        shown = await self._show(replace(session.agent, drain=session.drain), {})
        shown.ClearField("last_heartbeat_time")
        return shown

    async def fleet(self) -> agents.GetFleetResponse:
        """All agents together."""
        fleet = await self._mass_loss.look()
        answer = agents.GetFleetResponse(online_count=fleet.online, vanished_count=fleet.vanished)
        if fleet.pause is not None:
            answer.mass_loss.CopyFrom(
                agents.MassLoss(
                    begin_time=timestamp(fleet.pause.begin_millis),
                    expire_time=timestamp(fleet.pause.expire_millis),
                    held_back_count=self._mass_loss.held_back,
                )
            )
        return answer

    def serving(self, queue_id: str) -> int:
        """How many connected agents serve a queue."""
        now = self._clock.monotonic()
        here = {each.agent.id for each in self._registry.all() if self._registry.online(each, now)}
        serving = {each.agent.id for each in self._registry.all() if queue_id in each.agent.queue_ids} & here
        others = self._share.online_elsewhere().items()
        return len(serving) + sum(1 for agent_id, ids in others if queue_id in ids and agent_id not in here)

    async def _show(self, agent: Agent, elsewhere: Elsewhere) -> agents.Agent:
        now, wall = self._clock.monotonic(), self._clock.unix_millis()
        session = self._registry.of_agent(agent.id)
        names = await self._queues.names(agent.queue_ids)
        if session is None and agent.id in elsewhere:
            return _shown_elsewhere(agent, names, elsewhere[agent.id])
        heard = agent.heartbeat_millis
        if session is not None:
            heard = max(heard, wall - round((now - session.last_heard) * 1000))
        return agent_message(
            agent,
            online=self._registry.online(session, now),
            draining=session is not None and session.draining,
            unhealthy_reason="" if session is None else session.unhealthy_reason,
            heartbeat_millis=heard,
            queue_names=names,
            leases=self._book.of(agent.journal_id).values(),
            sample=self._telemetry.of(agent.id),
        )


def _shown_elsewhere(agent: Agent, names: Sequence[str], view: bytes | None) -> agents.Agent:
    """An agent as its own broker showed it a few seconds ago; what is stored with the agent is newer."""
    shown = agent_message(
        agent,
        online=online_in(view),
        draining=False,
        unhealthy_reason="",
        heartbeat_millis=agent.heartbeat_millis,
        queue_names=names,
        leases=(),
        sample=None,
    )
    if view is not None:
        seen = agents.Agent.FromString(view)
        shown.draining, shown.unhealthy_reason = seen.draining, seen.unhealthy_reason
        shown.assignments.extend(seen.assignments)
        if seen.HasField("telemetry"):
            shown.telemetry.CopyFrom(seen.telemetry)
    return shown
