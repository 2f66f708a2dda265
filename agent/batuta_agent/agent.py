"""The agent as a whole: sessions one after another for as long as it lives, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from batuta_agent import host
from batuta_agent.assignments import Assignments
from batuta_agent.brokers import Brokers
from batuta_agent.certificates import Certificates
from batuta_agent.joining import CLIENT
from batuta_agent.journal import Journal
from batuta_agent.printer import Printer
from batuta_agent.reconnecting import Reconnecting
from batuta_agent.session import Counters, Outcome, Session
from batuta_agent.shim import processes
from batuta_agent.telemetry import Sampler
from batuta_proto.agents import v1 as agents
from batuta_proto.types import v1 as types
from batuta_rpc.auth import AioTokenSource, TokenSource
from batuta_rpc.channel import open_aio
from batuta_rpc.clock import Clock, within
from batuta_rpc.config import ConfigError
from batuta_rpc.errors import (
    AgentNameTaken,
    CapabilityMissing,
    CredentialInvalid,
    PermissionDenied,
    QueueNotFound,
    RpcError,
    SessionSuperseded,
    Unauthenticated,
)
from batuta_rpc.ids import Ids
from batuta_rpc.version import VERSION

EXIT_OK = 0
EXIT_REFUSED = 1
EXIT_SUPERSEDED = 78
"""EX_CONFIG: a service manager is told not to start the agent again after it."""
_STOP_GRACE = 10.0
_STOP_LIMIT = 60.0
_GOODBYE_LIMIT = 5.0
_HOPELESS = (QueueNotFound, AgentNameTaken)
_HOPELESS_AT_FIRST = (CredentialInvalid, Unauthenticated, PermissionDenied, CapabilityMissing, ConfigError)


@dataclass
class Identity:
    """What the agent tells about itself."""

    agent_id: str
    queues: Mapping[str, str]
    """Ids by name, the first one goes first."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


class Agent:
    """One agent process."""

    def __init__(
        self,
        identity: Identity,
        dispatch: str,
        tokens: TokenSource | AioTokenSource,
        certificates: Certificates,
        assignments: Assignments,
        journal: Journal,
        sampler: Sampler,
        printer: Printer,
        clock: Clock,
        ids: Ids,
    ) -> None:
        """`dispatch`: where the broker takes sessions; several equal ones are separated by commas."""
        self._identity = identity
        self._brokers = Brokers(dispatch, ids)
        self._tokens = tokens
        self._certificates = certificates
        self._assignments = assignments
        self._journal = journal
        self._sampler = sampler
        self._printer = printer
        self._clock = clock
        self._ids = ids
        self._instance_id = ids.request_id()
        self._gpus: list[types.Gpu] = []
        self._stopping = asyncio.Event()
        self._session: Session | None = None
        self._welcomes = 0
        self._last_error = ""
        self.counters = Counters()

    def stop(self) -> None:
        """Take leave: the leases stay, the runs go on, the next agent of this state folder has them again."""
        self._stopping.set()

    async def run(self, *, stop_tasks: bool = False) -> int:
        """Until `stop` is called or the broker refuses us. Returns the exit code. With `stop_tasks`, `stop` ends the
        runs first."""
        self._gpus = await self._sampler.list_gpus()
        self._assignments.resume()
        connecting = asyncio.ensure_future(self._keep_connected())
        stopping = asyncio.ensure_future(self._stopping.wait())
        both: set[asyncio.Future[object]] = {connecting, stopping}  # type: ignore[arg-type]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                await self._leave(connecting, stop_tasks=stop_tasks)
                return EXIT_OK
            return connecting.result()
        finally:
            for each in both:
                each.cancel()
            await asyncio.wait(both)
            await self._assignments.close()

    async def _leave(self, connecting: asyncio.Future[int], *, stop_tasks: bool) -> None:
        if stop_tasks:
            self._printer.event("stopping", "stopping the running tasks", "warn")
            with contextlib.suppress(asyncio.TimeoutError):
                await within(self._clock, _STOP_LIMIT, self._assignments.stop_all(_STOP_GRACE))
        kept = len(self._assignments.held())
        if kept:
            self._printer.event("leaving", f"{kept} running task(s) go on; the next start finds them again")
        if self._session is not None and self._session.leave("the agent was stopped", keep_leases=not stop_tasks):
            with contextlib.suppress(asyncio.TimeoutError):
                await within(self._clock, _GOODBYE_LIMIT, asyncio.shield(connecting))

    async def _keep_connected(self) -> int:
        reconnecting = Reconnecting(self._ids)
        resume, endpoint, refused = "", "", False
        while True:
            dialled = endpoint or self._brokers.current
            outcome = await self._connect(dialled, resume, refused=refused)
            if self._stopping.is_set():
                return EXIT_OK
            code = self._judge(outcome)
            if code is not None:
                return code
            resume = outcome.session_id or resume
            refused = not outcome.session_id and dialled.startswith("https://")
            endpoint = outcome.endpoint
            elsewhere = self._moves_on(outcome)
            await self._clock.sleep(reconnecting.pause(outcome, elsewhere=elsewhere))

    def _moves_on(self, outcome: Outcome) -> bool:
        """Turn to the broker that comes next. Whether it is another one, which may be dialled at once."""
        if outcome.session_id:
            self._brokers.served()
            return False
        return self._brokers.failed()

    async def _connect(self, endpoint: str, resume: str, *, refused: bool) -> Outcome:
        """One session. `refused`: the last one did not come about, over TLS."""
        try:
            trust = await self._certificates.trust(refused=refused)
        except (RpcError, ConfigError) as error:
            return Outcome(error=error)
        channel = open_aio(endpoint, self._tokens, CLIENT, dispatch=True, trust=trust)
        try:
            stub = agents.DispatchServiceStub(channel)
            self._session = Session(
                stub, self._hello, self._assignments, self._journal, self._sampler, self._clock, self.counters
            )
            return await self._session.run(resume, self._welcomed)
        finally:
            self._session = None
            await channel.close()

    def _welcomed(self, welcome: agents.Welcome) -> None:
        self._welcomes += 1
        self._last_error = ""
        names = ", ".join(self._identity.queues)
        again = "connected again" if self._welcomes > 1 else "joined"
        text = f"{again} as {self._identity.agent_id}, queues: {names}"
        self._printer.event("joined", text, "ok", agent_id=self._identity.agent_id, session_id=welcome.session_id)

    def _judge(self, outcome: Outcome) -> int | None:
        """The exit code, if this end is the last one."""
        error = outcome.error
        # A stream of our own that was given up long ago and arrived late is no other process: come again.
        if isinstance(error, SessionSuperseded) and error.metadata.get("instance_id") != self._instance_id:
            text = "another process took over as this agent; this one ends and must not be started again"
            self._printer.event("superseded", text, "error")
            return EXIT_SUPERSEDED
        if isinstance(error, _HOPELESS) or (isinstance(error, _HOPELESS_AT_FIRST) and not self._welcomes):
            self._printer.event("refused", str(error), "error")
            return EXIT_REFUSED
        if error is not None and str(error) != self._last_error:
            self._last_error = str(error)
            self._printer.event("disconnected", f"{error}; trying again", "warn")
        return None

    def _hello(self) -> agents.Hello:
        return agents.Hello(
            agent_id=self._identity.agent_id,
            instance_id=self._instance_id,
            journal_id=self._journal.journal_id,
            start_number=self._journal.start_number,
            boot_id=processes.boot_id(),
            capacity=host.capacity(len(self._gpus)),
            gpus=self._gpus,
            queue_ids=list(self._identity.queues.values()),
            labels=dict(self._identity.labels),
            version=VERSION,
            capabilities=["drain", "resync"],
            host=host.host_name(),
        )


def on_signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], None], numbers: tuple[int, ...]) -> None:
    """Have these signals call `stop`; the second one ends the process at once."""

    def first() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)
        stop()

    for number in numbers:
        loop.add_signal_handler(number, first)
