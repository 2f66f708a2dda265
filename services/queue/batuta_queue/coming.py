"""Calls that the contract has and that this service does not answer yet; each goes once its servicer has it."""

from __future__ import annotations

from typing import Any

import grpc.aio

from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_rpc.errors import CapabilityMissing

Context = grpc.aio.ServicerContext  # generic in the stubs only


class ComingQueueCalls(queues.QueueServiceServicer):
    """Of the queue service."""

    async def BatchGetEntries(
        self, request: queues.BatchGetEntriesRequest, context: Context[Any, Any]
    ) -> queues.BatchGetEntriesResponse:
        """Not yet."""
        raise _not_yet("BatchGetEntries")

    async def ReleaseEntry(
        self, request: queues.ReleaseEntryRequest, context: Context[Any, Any]
    ) -> queues.ReleaseEntryResponse:
        """Not yet."""
        raise _not_yet("ReleaseEntry")


class ComingAgentCalls(agents.AgentServiceServicer):
    """Of the agent service."""

    async def GetFleet(self, request: agents.GetFleetRequest, context: Context[Any, Any]) -> agents.GetFleetResponse:
        """Not yet."""
        raise _not_yet("GetFleet")

    async def DrainAgent(
        self, request: agents.DrainAgentRequest, context: Context[Any, Any]
    ) -> agents.DrainAgentResponse:
        """Not yet."""
        raise _not_yet("DrainAgent")

    async def UndrainAgent(
        self, request: agents.UndrainAgentRequest, context: Context[Any, Any]
    ) -> agents.UndrainAgentResponse:
        """Not yet."""
        raise _not_yet("UndrainAgent")

    async def DeclareAgentLost(
        self, request: agents.DeclareAgentLostRequest, context: Context[Any, Any]
    ) -> agents.DeclareAgentLostResponse:
        """Not yet."""
        raise _not_yet("DeclareAgentLost")


def _not_yet(method: str) -> CapabilityMissing:
    return CapabilityMissing(f"this server does not answer {method} yet")
