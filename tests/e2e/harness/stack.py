"""A deployment of real processes in one folder: the services, agents, and people at their laptops."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path

from batuta_proto.system import v1 as system
from batuta_rpc.channel import open_sync
from batuta_rpc.config import Connection, load_connection
from batuta_rpc.errors import RpcError
from batuta_rpc.trust import PUBLIC, Trust
from tests.e2e.harness import processes
from tests.e2e.harness.person import Person
from tests.e2e.harness.processes import MARK, Process, poll, python
from tests.e2e.harness.remote import Remote
from tools.ports import free_port

PRIVATE = (
    "BATUTA_API",
    "BATUTA_ACCESS_KEY",
    "BATUTA_SECRET_KEY",
    "BATUTA_CONFIG_FILE",
    "BATUTA_CA_FILE",
    "BATUTA_TASK_ID",
    "VIRTUAL_ENV",
)
LEDGER = "E2E_LEDGER"
"""Variable with the folder in which payloads write down that they ran."""


class Deployment:
    """What all deployments have: a folder, an environment, processes that end with it."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.ledger = folder / "ledger"
        self.ledger.mkdir(parents=True)
        self.env = {key: value for key, value in os.environ.items() if key not in PRIVATE}
        self.env.update({"HOME": str(home), MARK: self.mark, LEDGER: str(self.ledger), "PYTHONUNBUFFERED": "1"})
        self.processes: list[Process] = []
        self._remotes: list[Remote] = []
        self.agents = 0

    def start(self, name: str, command: Sequence[str], extra: dict[str, str] | None = None) -> Process:
        """Start a process that ends with the deployment."""
        log = self.folder / "logs" / f"{name}.log"
        process = Process(name, command, {**self.env, **(extra or {})}, log, self.folder)
        self.processes.append(process)
        return process

    @property
    def api(self) -> str:
        """The API's address."""
        raise NotImplementedError

    @property
    def server_folder(self) -> Path:
        """The folder with the credential files."""
        raise NotImplementedError

    def credential(self, name: str = "admin") -> Connection:
        """A credential that the API wrote at its first start."""
        connection = load_connection({}, self.server_folder / f"{name}.credentials")
        assert connection is not None
        return connection._replace(api=self.api)

    def remote(self) -> Remote:
        """An admin's view through gRPC."""
        remote = Remote(self.credential())
        self._remotes.append(remote)
        return remote

    def person(self, name: str = "ann") -> Person:
        """Somebody who has logged in."""
        person = Person(self.folder / "people" / name, self.env)
        done = person.batuta("init", "--api", self.api, "--file", str(self.server_folder / "admin.credentials"))
        assert done.returncode == 0, done.stderr
        return person

    def agent(self, *queues: str, name: str = "", slots: int = 1, create_queue: bool = True) -> Process:
        """Start an agent; it serves `default` unless told otherwise. Does not wait for it to join."""
        self.agents += 1
        words: list[str] = []
        for queue in queues or ("default",):
            words += ["--queue", queue]
        words += ["--slots", str(slots), "--credentials", str(self.server_folder / "agent.credentials")]
        words += ["--create-queue"] if create_queue else []
        return self.start_agent(name or f"agent-{self.agents}", words)

    def start_agent(self, name: str, arguments: Sequence[str]) -> Process:
        """Start `batuta agent start` with its own state folder."""
        words = ["agent", "start", "--name", name, "--api", self.api, "--data", str(self.folder / "agents" / name)]
        return self.start(name, python("-m", "batuta", *words, *arguments))

    def close(self) -> list[str]:
        """Stop all, the newest first. Returns what had to be killed beyond that: runs of tasks, mostly."""
        for remote in self._remotes:
            remote.close()
        for process in reversed(self.processes):
            process.stop()
        return processes.kill_marked(self.mark, self.folder)

    def logs(self) -> str:
        """The ends of all logs, for a test that failed."""
        parts = [
            f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted((self.folder / "logs").glob("*"))
        ]
        return "\n".join(parts)


class Services(Deployment):
    """Queue and API as processes of their own, each of which may be killed and started again on its port."""

    def __init__(self, folder: Path, home: Path) -> None:
        super().__init__(folder, home)
        self.ports = {"queue": free_port(), "api": free_port()}
        self.queue_process = self.start_queue()
        self.api_process = self.start_api()
        try:
            self.ready()
        except BaseException:
            self.close()  # nobody else knows of it yet
            raise

    @property
    def api(self) -> str:
        """The API's address."""
        return f"http://127.0.0.1:{self.ports['api']}"

    @property
    def server_folder(self) -> Path:
        """The API's folder."""
        return self.folder / "api"

    def start_queue(self) -> Process:
        """Start the queue service, or start it again."""
        self.queue_process = self.start("queue", self._command("queue"))
        return self.queue_process

    def start_api(self) -> Process:
        """Start the API service, or start it again."""
        queue = f"127.0.0.1:{self.ports['queue']}"
        more = ["--queue-endpoint", queue, "--dispatch-endpoint", queue]
        self.api_process = self.start("api", [*self._command("api"), *more])
        return self.api_process

    def ready(self) -> None:
        """Wait until both answer."""
        for process, port in ((self.queue_process, self.ports["queue"]), (self.api_process, self.ports["api"])):
            await_server(process, port)

    def _command(self, service: str) -> list[str]:
        folders = ["--data-dir", str(self.folder / service), "--keys-dir", str(self.folder / "keys")]
        return python("-m", f"batuta_{service}", *folders, "--port", str(self.ports[service]))


class AllInOne(Deployment):
    """`batuta up`, with its own agent unless told otherwise."""

    def __init__(self, folder: Path, home: Path, *arguments: str) -> None:
        super().__init__(folder, home)
        self._ports = free_port(), free_port()
        self._arguments = arguments
        try:
            self.up = self.start_up()
        except BaseException:
            self.close()  # nobody else knows of it yet
            raise

    @property
    def api(self) -> str:
        """The API's address."""
        return f"{'https' if '--tls' in self._arguments else 'http'}://127.0.0.1:{self._ports[0]}"

    @property
    def server_folder(self) -> Path:
        """The data folder."""
        return self.folder / "server"

    def start_up(self) -> Process:
        """Start it, or start it again; waits until it answers."""
        ports = ["--port", str(self._ports[0]), "--queue-port", str(self._ports[1])]
        words = ["up", "--data", str(self.server_folder), *ports, *self._arguments]
        self.up = self.start("up", python("-m", "batuta", *words))
        await_server(self.up, self._ports[0], self.server_folder / "keys" / "ca.pem" if "--tls" in words else None)
        return self.up


def await_server(process: Process, port: int, authority: Path | None = None) -> None:
    """Wait until a service answers on its port, over TLS with the `authority` that it makes. Fails with its log when it
    ends before."""

    def answers() -> bool:
        assert process.running, f"{process.name} ended\n{process.said[-4000:]}"
        if authority is not None and not authority.exists():
            return False
        url = f"{'http' if authority is None else 'https'}://127.0.0.1:{port}"
        with open_sync(
            url, None, "e2e", trust=PUBLIC if authority is None else Trust(authority.read_bytes())
        ) as channel:
            try:
                return bool(
                    system.SystemServiceStub(channel).GetServerInfo(system.GetServerInfoRequest(), timeout=1).service
                )
            except RpcError:
                return False

    poll(f"{process.name} answers on port {port}", 60, answers)
