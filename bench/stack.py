"""A whole deployment for one measurement: each service its own process on a free loopback port, data in a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import TracebackType

from batuta_chassis.tokens import Signer
from batuta_rpc.config import Connection, load_connection
from bench import measure
from bench.children import Child, ChildFailed
from tools.postgres import Postgres

ACCESS_VARIABLES = ("BATUTA_API", "BATUTA_ACCESS_KEY", "BATUTA_SECRET_KEY", "BATUTA_CONFIG_FILE")


STORES = ("sqlite", "postgresql")
"""What the services can store in."""


class Stack:
    """Queue service and API service, started in that order and stopped in the other."""

    def __init__(self, folder: Path, store: str = "sqlite", services: Sequence[str] = ("queue", "api")) -> None:
        """`store` is one of `STORES`; `services` are those to start."""
        self._folder = folder
        self._store = store
        self._services = services
        self._database = ""
        self._keys = folder / "keys"
        self._stop = contextlib.ExitStack()
        self.queue: Child
        self.api: Child
        self.queue_endpoint = ""
        self.api_endpoint = ""

    def __enter__(self) -> Stack:
        with contextlib.ExitStack() as starting:
            if self._store == "postgresql":
                self._database = starting.enter_context(Postgres()).database()
            self.queue, self.queue_endpoint = self._serve(starting, "queue", [])
            if "api" in self._services:
                upstream = ["--queue-endpoint", self.queue_endpoint, "--dispatch-endpoint", self.queue_endpoint]
                self.api, self.api_endpoint = self._serve(starting, "api", upstream)
            self._stop = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.close()

    def admin(self) -> Connection:
        """The first credential of the API."""
        return self._credential("admin")

    def agent_credentials(self) -> Path:
        """The file that an agent of this machine joins with."""
        return self._folder / "api" / "agent.credentials"

    def token(self, subject: str, role: str) -> str:
        """A token as the API signs it, good for 15 minutes. Measurements pass for the API at the queue's door."""
        return Signer.load_or_create(self._keys, "api").sign_user(subject, frozenset({role}))[0]

    def cpu_seconds(self) -> float:
        """CPU seconds of both services so far."""
        return self.queue.cpu_seconds() + self.api.cpu_seconds()

    def database_url(self, service: str) -> str:
        """Where a service keeps its rows, with its schema chosen."""
        if self._database:
            return f"{self._database.replace('postgresql:', 'postgresql+psycopg:')}?options=-csearch_path%3D{service}"
        return f"sqlite:///{self._folder / service / f'{service}.db'}"

    def log(self, name: str) -> Path:
        """Where a process of that name leaves its stderr."""
        return self._folder / "logs" / f"{name}.log"

    def _credential(self, name: str) -> Connection:
        path = self._folder / "api" / f"{name}.credentials"
        connection = load_connection({}, path)
        if connection is None:
            raise ChildFailed(f"the API left no credential in {path}\n{self.api.said()}")
        return connection

    def _serve(self, stack: contextlib.ExitStack, service: str, arguments: list[str]) -> tuple[Child, str]:
        folders = ["--data-dir", str(self._folder / service), "--keys-dir", str(self._keys)]
        store = ["--database-url", self._database] if self._database else []
        child = Child(f"batuta_{service}", [*folders, *store, *arguments], self.log(service))
        stack.callback(child.stop)
        return child, child.line(60).rpartition(" ")[2]


@contextlib.contextmanager
def quiet_environment(home: Path) -> Generator[None]:
    """No setting of the person who runs the bench reaches what is measured, and nothing is left in their home."""
    kept = {name: os.environ.pop(name, None) for name in (*ACCESS_VARIABLES, "HOME")}
    os.environ["HOME"] = str(home)
    try:
        yield
    finally:
        del os.environ["HOME"]
        os.environ.update({name: value for name, value in kept.items() if value is not None})


def until(what: str, seconds: float, ready: Callable[[], bool]) -> None:
    """Poll `ready()` until it is true. Raises ChildFailed when it is not within `seconds`."""
    deadline = measure.now_ns() + int(seconds * 1e9)
    while not ready():
        if measure.now_ns() > deadline:
            raise ChildFailed(f"{what} within {seconds:g} s")
        measure.pause(0.01)
