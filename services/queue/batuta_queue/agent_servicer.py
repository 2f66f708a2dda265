"""`AgentService`."""

from __future__ import annotations

from typing import Any

import grpc.aio

from batuta_proto.agents import v1 as agents
from batuta_queue.agent_view import AgentView
from batuta_queue.convert import millis_of
from batuta_queue.operators import Operators
from batuta_queue.pages import make_token, page_size, read_token
from batuta_queue.plots import Plots

SERVICE_NAME = "batuta.agents.v1.AgentService"
Context = grpc.aio.ServicerContext  # generic in the stubs only


class AgentServicer(agents.AgentServiceServicer):
    """Parses, calls, renders."""

    def __init__(self, view: AgentView, operators: Operators, plots: Plots) -> None:
        self._agents = view
        self._plots = plots
        self._operators = operators

    async def GetAgent(self, request: agents.GetAgentRequest, context: Context[Any, Any]) -> agents.GetAgentResponse:
        """One agent by id."""
        return agents.GetAgentResponse(agent=await self._agents.get(request.agent_id))

    async def ListAgents(
        self, request: agents.ListAgentsRequest, context: Context[Any, Any]
    ) -> agents.ListAgentsResponse:
        """Agents by id."""
        size = page_size(request.page_size)
        after = read_token("agents", request.page_token, (str,)) or [""]
        found = await self._agents.page(after[0], size + 1)
        token = make_token("agents", [found[size - 1].id]) if len(found) > size else ""
        return agents.ListAgentsResponse(agents=found[:size], next_page_token=token)

    async def GetAgentHistory(
        self, request: agents.GetAgentHistoryRequest, context: Context[Any, Any]
    ) -> agents.GetAgentHistoryResponse:
        """An agent over time."""
        return await self._plots.agent(request)

    async def GetFleet(self, request: agents.GetFleetRequest, context: Context[Any, Any]) -> agents.GetFleetResponse:
        """All agents together."""
        return await self._agents.fleet()

    async def DrainAgent(
        self, request: agents.DrainAgentRequest, context: Context[Any, Any]
    ) -> agents.DrainAgentResponse:
        """No new work for an agent."""
        deadline = millis_of(request.deadline) if request.HasField("deadline") else None
        await self._operators.drain(request.agent_id, request.reason, deadline)
        return agents.DrainAgentResponse(agent=await self._agents.get(request.agent_id))

    async def UndrainAgent(
        self, request: agents.UndrainAgentRequest, context: Context[Any, Any]
    ) -> agents.UndrainAgentResponse:
        """Work for it again."""
        await self._operators.undrain(request.agent_id)
        return agents.UndrainAgentResponse(agent=await self._agents.get(request.agent_id))

    async def DeclareAgentLost(
        self, request: agents.DeclareAgentLostRequest, context: Context[Any, Any]
    ) -> agents.DeclareAgentLostResponse:
        """An agent is gone for good."""
        lost = await self._operators.declare_lost(request.agent_id, request.reason, explained=request.explained)
        return agents.DeclareAgentLostResponse(agent=await self._agents.get(request.agent_id), lost_count=lost)
