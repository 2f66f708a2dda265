"""Tasks that go all the way: API, queue service, agent, an environment that the agent has cached, a real script."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from batuta_proto.tasks import v1 as tasks
from batuta_rpc.auth import CredentialTokens, StaticToken
from batuta_rpc.channel import open_sync
from batuta_rpc.clock import SystemClock
from batuta_rpc.ids import SystemIds
from bench.children import Child
from bench.events import EventLog
from bench.stack import Stack, until


@dataclass(frozen=True)
class Through:
    """A deployment with one agent, and what runs tasks through it."""

    stack: Stack
    agent: Child
    api: tasks.TaskServiceStub
    events: EventLog

    def draft(self, script: str, name: str) -> str:
        """A task that is `script`. Returns its id."""
        source = tasks.Source(script=script, entry_point="bench_script.py")
        request = tasks.CreateTaskRequest(project_name="bench", display_name=name, spec=tasks.TaskSpec(source=source))
        return self.api.CreateTask(request).task.id

    def enqueue(self, task_id: str) -> None:
        """Send it on its way."""
        request = tasks.EnqueueTaskRequest(task_id=task_id, queue_name="default", request_id=SystemIds().request_id())
        self.api.EnqueueTask(request)

    def until_ended(self, task_id: str) -> None:
        """Wait for the end of its attempt."""
        until(f"no end of task {task_id}", 120, lambda: self.ended(task_id))

    def until_made(self, path: Path, task_id: str) -> str:
        """Wait until the script has written a file (by renaming it into place). Returns what is in it."""
        until(f"nothing of task {task_id}", 120, lambda: path.exists() or self.ended(task_id))
        if not path.exists():
            raise RuntimeError(f"task {task_id} ended too early\n{self.agent.said()}")
        return path.read_text()

    def ended(self, task_id: str) -> bool:
        """Whether its attempt has ended. Raises RuntimeError when the agent is gone."""
        if not self.agent.alive():
            raise RuntimeError(f"the agent is gone\n{self.agent.said()}")
        return self.events.ended(task_id)


@contextlib.contextmanager
def through(folder: Path, *options: str) -> Generator[Through]:
    """A deployment in `folder` whose agent has built the (empty) environment. `options` are the agent's."""
    with Stack(folder) as stack, open_sync(stack.api_endpoint, admin(stack), "bench") as channel:
        service = open_sync(stack.queue_endpoint, StaticToken(stack.token("service:bench", "service")), "bench")
        with service, EventLog(service) as events, agent(stack, folder, *options) as running:
            made = Through(stack, running, tasks.TaskServiceStub(channel), events)
            first = made.draft("pass", "warm")
            made.enqueue(first)
            made.until_ended(first)
            yield made


def admin(stack: Stack) -> CredentialTokens:
    """The tokens of the first credential."""
    credential = stack.admin()
    return CredentialTokens(credential.api, credential.access_key, credential.secret_key, SystemClock())


def agent(stack: Stack, folder: Path, *options: str) -> Child:
    """An agent for the queue `default`."""
    arguments = ["start", "--queue", "default", "--credentials", str(stack.agent_credentials())]
    arguments += ["--data", str(folder / "agent"), "--cache", str(folder / "cache"), "--stop-tasks-on-exit"]
    arguments += options
    return Child("batuta_agent", arguments, stack.log("agent"))
