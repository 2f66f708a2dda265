"""Agents as operators see them: the stored facts, and what only memory knows."""

from __future__ import annotations

from batuta_chassis.transactions import Transactor
from batuta_proto.agents import v1 as agents
from batuta_queue.book import LeaseBook
from batuta_queue.convert import timestamp
from batuta_queue.convert_session import agent_message
from batuta_queue.mass_loss import MassLoss
from batuta_queue.model import Agent
from batuta_queue.queues import Queues
from batuta_queue.sessions import SessionRegistry
from batuta_queue.store import QueueStore
from batuta_queue.telemetry import Telemetry
from batuta_rpc.clock import Clock
from batuta_rpc.errors import AgentNotFound


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
        clock: Clock,
    ) -> None:
        self._transactor = transactor
        self._queues = queues
        self._registry = registry
        self._book = book
        self._telemetry = telemetry
        self._mass_loss = mass_loss
        self._clock = clock

    async def get(self, agent_id: str) -> agents.Agent:
        """One agent. Raises `AgentNotFound`."""
        found = await self._transactor.read(lambda store: store.agent(agent_id))
        if found is None:
            raise no_agent(agent_id)
        return await self._show(found)

    async def page(self, after_id: str, limit: int) -> list[agents.Agent]:
        """Agents by id, those after `after_id`."""
        found = await self._transactor.read(lambda store: store.agents(after_id, limit))
        return [await self._show(agent) for agent in found]

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
        return sum(
            1
            for session in self._registry.all()
            if queue_id in session.agent.queue_ids and self._registry.online(session, now)
        )

    async def _show(self, agent: Agent) -> agents.Agent:
        now, wall = self._clock.monotonic(), self._clock.unix_millis()
        session = self._registry.of_agent(agent.id)
        heard = agent.heartbeat_millis
        if session is not None:
            heard = max(heard, wall - round((now - session.last_heard) * 1000))
        return agent_message(
            agent,
            online=self._registry.online(session, now),
            draining=session is not None and session.draining,
            unhealthy_reason="" if session is None else session.unhealthy_reason,
            heartbeat_millis=heard,
            queue_names=await self._queues.names(agent.queue_ids),
            leases=self._book.of(agent.journal_id).values(),
            sample=self._telemetry.of(agent.id),
        )
