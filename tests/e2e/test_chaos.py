"""kill -9 of everything at random, again and again, while tasks come and go: nothing lost, nothing doubled."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from batuta_proto.tasks import v1 as tasks
from batuta_rpc.errors import IllegalTransition, RpcError
from tests.e2e.harness.payloads import ONCE, Ledger
from tests.e2e.harness.processes import poll
from tests.e2e.harness.remote import ENDED, SDK, Remote
from tests.e2e.harness.stack import Services

T = TypeVar("T")
TASKS, KILLS, LINES = 30, 40, 50
RUN = f"""
from batuta import Task
logger = Task.init("e2e", "chaos").get_logger()
for n in range({LINES}):
    logger.report_scalar("loss", "train", float(n), n)
    print("line", n, flush=True)
    time.sleep(0.02)
"""


class Chaos:
    """Kills a random part now and then, and starts it again, as a service manager would."""

    def __init__(self, stack: Services, seed: int) -> None:
        self._stack = stack
        self._random = random.Random(seed)
        self._agents = {name: stack.agent(name=name, slots=2) for name in ("a", "b")}
        self._next = time.monotonic() + 2
        self.kills: list[str] = []

    def go_on(self, seconds: float) -> None:
        """Let so much time pass, with what happens in it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if time.monotonic() > self._next and len(self.kills) < KILLS:
                self._kill(self._random.choice(("queue", "api", "a", "b")))
                self._next = time.monotonic() + self._random.uniform(0.2, 1.5)
            for name, agent in self._agents.items():
                if not agent.running:  # an agent that finds no server at its start ends
                    self._agents[name] = self._stack.agent(name=name, slots=2)
            time.sleep(0.1)

    def _kill(self, name: str) -> None:
        self.kills.append(name)
        process = {"queue": self._stack.queue_process, "api": self._stack.api_process, **self._agents}[name]
        process.kill9()
        time.sleep(self._random.uniform(0, 0.4))
        if name in self._agents:
            self._agents[name] = self._stack.agent(name=name, slots=2)
        else:
            (self._stack.start_queue if name == "queue" else self._stack.start_api)()

    def until_done(self, call: Callable[[], T]) -> T:
        """Repeat a call until it goes through."""

        def tried() -> list[T] | None:
            try:
                return [call()]
            except IllegalTransition:
                raise
            except RpcError:
                self.go_on(0.2)
                return None

        return poll("a call goes through", 60, tried)[0]


def submit(remote: Remote, chaos: Chaos, name: str) -> str:
    identity = chaos.until_done(lambda: remote.create(ONCE + RUN, name, [SDK]))

    def enqueue() -> None:
        try:
            remote.enqueue(identity)
        except IllegalTransition:  # the call before this one had gone through, and its answer was lost
            return

    chaos.until_done(enqueue)
    return identity


@pytest.mark.chaos
@pytest.mark.nightly
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_kills_lose_nothing_and_double_nothing(deploy: Any, seed: int) -> None:
    stack: Services = deploy.services()
    remote, ledger = stack.remote(), Ledger(stack.ledger)
    chaos = Chaos(stack, seed)
    ids: list[str] = []
    for number in range(TASKS):
        ids.append(submit(remote, chaos, f"chaos {number}"))
        chaos.go_on(0.25)
    ended: dict[str, tasks.Task] = {}
    deadline = time.monotonic() + 200
    while len(ended) < TASKS and time.monotonic() < deadline:
        chaos.go_on(0.5)
        for identity in ids:
            if identity not in ended:
                task = chaos.until_done(lambda identity=identity: remote.get(identity))
                if task.status.state in ENDED:
                    ended[identity] = task
    for identity in ids:
        task = ended[identity]
        assert task.status.state == tasks.TASK_STATE_COMPLETED, (chaos.kills, task.status)
        assert len(ledger.runs(identity)) == 1, (chaos.kills, ledger.runs(identity))
        lines = [line for line in remote.log(identity, "console").decode().splitlines() if line.startswith("line ")]
        assert lines == [f"line {n}" for n in range(LINES)], chaos.kills
        assert remote.points(identity)["loss", "train"] == [(n, float(n)) for n in range(LINES)], chaos.kills
