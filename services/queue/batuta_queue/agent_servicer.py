"""`AgentService`."""

from __future__ import annotations

from typing import Any

import grpc.aio

from batuta_proto.agents import v1 as agents
from batuta_queue.agent_view import AgentView
from batuta_queue.coming import ComingAgentCalls
from batuta_queue.pages import make_token, page_size, read_token

SERVICE_NAME = "batuta.agents.v1.AgentService"
Context = grpc.aio.ServicerContext  # generic in the stubs only


class AgentServicer(ComingAgentCalls):
    """Parses, calls, renders."""

    def __init__(self, view: AgentView) -> None:
        self._agents = view

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
