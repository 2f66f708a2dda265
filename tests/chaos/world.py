"""A deployment with agents, tasks that write down that they run, and a network between them that can be broken."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from batuta_proto.tasks import v1 as tasks
from batuta_rpc.errors import IllegalTransition, RpcError
from tests.chaos import history
from tests.chaos.checker import breaks
from tests.chaos.proxy import Proxy
from tests.e2e.harness.payloads import ONCE
from tests.e2e.harness.processes import Process, poll, python
from tests.e2e.harness.remote import ENDED, Remote
from tests.e2e.harness.stack import Services

T = TypeVar("T")
LINES = 20
RUN = f"""
for n in range({LINES}):
    print("line", n, flush=True)
    time.sleep(0.03)
"""
CALLS_WITHIN = 60.0
DONE_WITHIN = 120.0


class World(Services):
    """Queue and API as processes; agents reach the broker through `network`.

    `crash` has the next start of a service die at a chosen commit (see `crashing`), once.
    """

    def __init__(self, folder: Path, home: Path, database_url: str = "") -> None:
        """`database_url`: PostgreSQL instead of files."""
        self.database_url = database_url
        self.crash: dict[str, str] = {}
        self.network: Proxy | None = None
        self.agents_of: dict[str, tuple[Process, int]] = {}
        self.submitted: list[str] = []
        super().__init__(folder, home)

    def start_queue(self) -> Process:
        """Start the queue service, with the crash that was asked for."""
        self.queue_process = self._start("queue", [])
        if self.network is None:
            self.network = Proxy(self.ports["queue"])
        return self.queue_process

    def start_api(self) -> Process:
        """Start the API service, with the crash that was asked for."""
        assert self.network is not None
        queue, dispatch = (f"127.0.0.1:{port}" for port in (self.ports["queue"], self.network.port))
        self.api_process = self._start("api", ["--queue-endpoint", queue, "--dispatch-endpoint", dispatch])
        return self.api_process

    def _start(self, service: str, more: Sequence[str]) -> Process:
        _, _, *flags = self._command(service)
        store = ["--database-url", self.database_url] if self.database_url else []
        command = python("-m", "tests.chaos.crashing", service, *flags[1:], *store, *more)
        wish = self.crash.pop(service, "")
        return self.start(service, command, {"CHAOS_CRASH": wish, "PYTHONPATH": str(Path(__file__).parents[2])})

    def keep_agent(self, name: str, slots: int = 2) -> Process:
        """An agent that `revive` starts again when it is gone."""
        process = self.agent(name=name, slots=slots)
        self.agents_of[name] = process, slots
        return process

    def revive(self) -> None:
        """Start again what has ended, as a service manager would."""
        if not self.queue_process.running:
            self.start_queue()
        if not self.api_process.running:
            self.start_api()
        for name, (process, slots) in list(self.agents_of.items()):
            if not process.running:
                self.keep_agent(name, slots)

    def until_done(self, call: Callable[[], T]) -> T:
        """Repeat a call until it goes through; what dies meanwhile is started again."""

        def tried() -> list[T] | None:
            try:
                return [call()]
            except IllegalTransition:
                raise
            except RpcError:
                self.revive()
                return None

        return poll("a call goes through", CALLS_WITHIN, tried)[0]

    def submit(self, remote: Remote, name: str, script: str = RUN, requirements: Sequence[str] = ()) -> str:
        """A task in the queue, whatever happens on the way; its id."""
        identity = self.until_done(lambda: remote.create(ONCE + script, name, requirements))

        def enqueue() -> None:
            try:
                remote.enqueue(identity)
            except IllegalTransition:
                return  # the call before this one had gone through, and its answer was lost

        self.until_done(enqueue)
        self.submitted.append(identity)
        return identity

    def until_ended(
        self, remote: Remote, identities: Sequence[str], seconds: float = DONE_WITHIN
    ) -> dict[str, tasks.Task]:
        """All of these tasks once they have ended."""
        ended: dict[str, tasks.Task] = {}
        deadline = time.monotonic() + seconds
        for identity in identities:
            while identity not in ended:
                task = self.until_done(lambda identity=identity: remote.get(identity))
                if task.status.state in ENDED:
                    ended[identity] = task
                    break
                self.revive()
                assert time.monotonic() < deadline, f"task {identity} has not ended: {task.status}\n{self.logs()}"
                time.sleep(0.1)
        return ended

    def judged(self) -> list[str]:
        """What the history breaks."""
        if self.database_url:
            queue, api = (history.postgres_schema(self.database_url, name) for name in ("queue", "api"))
        else:
            queue, api = (history.sqlite_file(self.folder / name / f"{name}.db") for name in ("queue", "api"))
        with queue as ask_queue, api as ask_api:
            return breaks(history.read(ask_queue, ask_api, self.ledger), self.submitted)

    def close(self) -> list[str]:
        """Stop all."""
        if self.network is not None:
            self.network.close()
        return super().close()


class Kills:
    """kill -9 of a random part, now and then."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._random = random.Random(seed)
        self.done: list[str] = []

    def strike(self) -> None:
        """Kill one part, and start it again after a moment."""
        world = self._world
        name = self._random.choice(["queue", "api", *world.agents_of])
        self.done.append(name)
        process = {"queue": world.queue_process, "api": world.api_process}.get(name) or world.agents_of[name][0]
        if process.running:
            process.kill9()
        time.sleep(self._random.uniform(0, 0.4))
        world.revive()
