"""What the attempts of one agent share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from batuta_agent.environment.prepare import Prepared
from batuta_agent.environment.tool import Tools
from batuta_agent.folders import AttemptFolder
from batuta_agent.health import Health
from batuta_agent.journal import Journal
from batuta_agent.printer import Printer
from batuta_agent.shims import ShimPool
from batuta_agent.warm import WarmInterpreters
from batuta_courier.room import AGENT_LIMITS, Limits
from batuta_proto.agents import v1 as agents
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids
from batuta_rpc.trace import NO_TRACER, Tracer


class TaskReader(Protocol):
    """Finds out what an assignment asks for."""

    async def read(self, assignment: agents.Assignment) -> tasks.TaskSpec:
        """The task's spec. Raises `PreparationFailed`."""
        ...


class EnvironmentMaker(Protocol):
    """Makes code and environment ready."""

    async def prepare(self, spec: tasks.TaskSpec, folder: AttemptFolder, tools: Tools) -> Prepared:
        """Raises `PreparationFailed`. Can be cancelled."""
        ...


@dataclass(frozen=True)
class Workshop:
    """Everything with which an attempt works."""

    api: str
    """The address that user code and couriers dial."""
    agent: str
    env: Mapping[str, str]
    """The agent's own environment."""
    journal: Journal
    shims: ShimPool
    warm: WarmInterpreters
    reader: TaskReader
    maker: EnvironmentMaker
    printer: Printer
    clock: Clock
    ids: Ids
    health: Health = field(default_factory=Health)
    limits: Limits = AGENT_LIMITS
    """How large spools may grow."""
    ca_file: str = ""
    """The file of the authorities that they believe at `api`; empty: those that everybody believes."""
    tracer: Tracer = NO_TRACER
