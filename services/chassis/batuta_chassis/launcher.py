"""`batuta up`: all services in one process, over real loopback gRPC, and an agent beside them.

Each service keeps its own port, database and keys, exactly as if it ran alone; only the process is shared.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from batuta_chassis.certificates import authorities
from batuta_chassis.child import Child
from batuta_chassis.data_folder import CREDENTIALS, DataFolder
from batuta_chassis.server import ServiceProcess
from batuta_chassis.service import Build
from batuta_chassis.settings import EVERYWHERE, GENERATED, OFF, Settings, SettingsError
from batuta_chassis.sources import Sources
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids
from batuta_rpc.pinning import fingerprints
from batuta_rpc.target import API_PORT, DISPATCH_PORT

GROUP = "batuta.services"
_ORDER = ("queue", "autoscaler", "api")
"""Those that the API passes calls on to come first; at the end they go last."""


@dataclass(frozen=True)
class Options:
    """What `batuta up` was asked for."""

    data: Path
    host: str = "127.0.0.1"
    port: int = API_PORT
    queue_port: int = DISPATCH_PORT
    http_port: int = 0
    """Of the API, for browsers and curl; 0: that of the last run or a free one; -1: none."""
    http_origins: tuple[str, ...] = ()
    http_names: tuple[str, ...] = ()
    advertise: str = ""
    """The name by which other machines reach this one; empty: `host`, or this machine's name when all are heard."""
    database_url: str = ""
    """PostgreSQL for all services; empty: a SQLite file of each in the data folder."""
    allow_plaintext: bool = False
    tls: str = ""
    """As the setting: `generated`, `own`, `off`, or empty."""
    tls_cert: str = ""
    tls_key: str = ""
    agent_certificates: bool = False
    agent: bool = True
    agent_slots: int = 1
    queues: tuple[str, ...] = ("default",)
    config: str = ""
    """TOML file of settings; empty: the one that the environment names, if it does."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


def installed() -> dict[str, Build]:
    """The services of this environment, by name. Raises `SettingsError` when one cannot be loaded."""
    found: dict[str, Build] = {}
    for point in metadata.entry_points(group=GROUP):
        try:
            found[point.name] = cast("Build", point.load())
        except ImportError as error:
            raise SettingsError(
                f"the {point.name} service cannot be loaded ({error}). `batuta up` needs the server extra: "
                "pip install 'batuta[server]'"
            ) from error
    return found


class Deployment:
    """Everything that `batuta up` runs."""

    def __init__(self, options: Options, clock: Clock, ids: Ids, services: Mapping[str, Build] | None = None) -> None:
        """`services` are the builders by name; default: those installed."""
        self._options = options
        self._clock = clock
        self._ids = ids
        self._builds = dict(installed() if services is None else services)
        self._processes: dict[str, ServiceProcess] = {}
        self._folder: DataFolder | None = None
        self._agent: Child | None = None

    @property
    def endpoints(self) -> dict[str, str]:
        """Service name to address."""
        return {name: process.settings.endpoint for name, process in self._processes.items()}

    @property
    def api(self) -> str:
        """The address of the API as people write it: under TLS the certificate's name."""
        return self._processes["api"].settings.api_endpoint if "api" in self._processes else "not installed"

    @property
    def http(self) -> str:
        """The address of the API for browsers and curl; empty when there is none."""
        if "api" not in self._processes or self._processes["api"].settings.http_port < 0:
            return ""
        return f"{self.api.rpartition(':')[0]}:{self._processes['api'].settings.http_port}"

    @property
    def fingerprint(self) -> str:
        """Of the authority that was made for this deployment; empty where there is none."""
        settings = self._processes["api"].settings if "api" in self._processes else None
        if settings is None or settings.tls_mode != GENERATED:
            return ""
        return fingerprints(authorities(settings, self._clock))[0]

    @property
    def agent(self) -> Child | None:
        """The agent on this machine, if one was asked for."""
        return self._agent

    async def start(self) -> None:
        """Start all. Raises `SettingsError`, with everything stopped again, when something stands in the way."""
        self._folder = folder = DataFolder(self._options.data)
        try:
            settings = self._settings(folder)
            for name in sorted(self._builds, key=lambda name: (_ORDER.index(name) if name in _ORDER else -1, name)):
                process = ServiceProcess(self._builds[name], settings[name], self._clock, self._ids)
                await process.start()
                self._processes[name] = process
            folder.note_endpoints({**self.endpoints, "dispatch": self._dispatch(settings), "http": self.http})
            if "api" in settings:
                folder.correct_credentials(settings["api"].api_endpoint, authorities(settings["api"], self._clock))
            if self._options.agent:
                await self._start_agent(folder)
        except BaseException:
            await self.stop(grace=0)
            raise

    async def stop(self, grace: float | None = None) -> None:
        """End in order: agent, API, the others, the lock."""
        if self._agent is not None:
            await self._agent.stop()
        for name in reversed(list(self._processes)):
            await self._processes.pop(name).stop(grace)
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def _settings(self, folder: DataFolder) -> dict[str, Settings]:
        """The settings of all services; ports are chosen here, because each service is told of the others."""
        bare = {name: self._bare(name, folder).with_port() for name in self._builds}
        seen = {name: self._seen(settings) for name, settings in bare.items()}
        dispatch = self._dispatch(bare)
        return {
            name: replace(
                settings,
                api_endpoint=seen.get("api", ""),
                queue_endpoint=seen.get("queue", ""),
                autoscaler_endpoint=seen.get("autoscaler", ""),
                dispatch_endpoint=dispatch,
            )
            for name, settings in bare.items()
        }

    def _seen(self, settings: Settings) -> str:
        """The address of a service as the others and people write it: a certificate is for a name, not for loopback."""
        if settings.tls_mode != OFF or (settings.service == "api" and self._options.advertise):
            return f"{settings.endpoint.partition('://')[0]}://{self._name}:{settings.port}"
        return settings.endpoint

    @property
    def _name(self) -> str:
        """This machine as others dial it."""
        everywhere = self._options.host in EVERYWHERE
        return self._options.advertise or (socket.gethostname() if everywhere else self._options.host)

    def _bare(self, name: str, folder: DataFolder) -> Settings:
        wanted = {"api": self._options.port, "queue": self._options.queue_port}.get(name, 0)
        port = wanted or _free(self._options.host, folder.last_port(name))
        outside = name in ("api", "queue")  # nobody outside dials the others
        told = {key: value for key, value in told_of(name, self._options).items() if key not in _DECIDED}
        own: dict[str, Any] = {
            "data_dir": folder.path,
            "keys_dir": folder.path / "keys",
            "host": self._options.host if outside else "127.0.0.1",
            "port": port,
            "http_port": self._http_port(folder) if name == "api" else -1,
            "http_origins": ",".join(self._options.http_origins),
            "http_names": ",".join(self._options.http_names),
            "allow_plaintext": self._options.allow_plaintext,
            "tls": self._options.tls if outside else OFF,
            "agent_certificates": self._options.agent_certificates and outside,
            "tls_client_ca": told_of(name, self._options).get("tls_client_ca", "") if outside else "",
            "tls_cert": self._options.tls_cert if outside else "",
            "tls_key": self._options.tls_key if outside else "",
            "database_url": self._options.database_url,
        }
        chosen: dict[str, Any] = {"grace_seconds": 3.0, **told, **own}
        return Settings(service=name, **chosen)

    def _http_port(self, folder: DataFolder) -> int:
        return self._options.http_port or _free(self._options.host, folder.last_port("http"))

    def _dispatch(self, settings: Mapping[str, Settings]) -> str:
        if "queue" not in settings:
            return ""
        scheme = "https://" if settings["queue"].tls_mode != OFF else ""
        return f"{scheme}{self._name}:{settings['queue'].port}"

    async def _start_agent(self, folder: DataFolder) -> None:
        missing = [name for name in ("batuta_agent", "psutil", "uv") if find_spec(name) is None]
        if missing:
            raise SettingsError(
                f"the agent on this machine needs the agent extra: pip install 'batuta[agent]' (missing: "
                f"{', '.join(missing)}). Without an agent here: --no-agent"
            )
        command = [sys.executable, "-m", "batuta_agent", "start"]
        for queue in self._options.queues:
            command += ["--queue", queue]
        command += [
            "--create-queue",
            "--slots",
            str(self._options.agent_slots),
            "--credentials",
            str(folder.agent_credentials),
        ]
        command += ["--data", str(folder.path / "agent")]
        if "api" in self._processes and (traces := self._processes["api"].settings.trace_endpoint):
            command += ["--trace-endpoint", traces]
        # The agent's own credential counts, not that of the person who started this.
        kept = {key: value for key, value in self._options.environment.items() if key not in _PERSONAL}
        self._agent = Child(command, kept, os.getpid(), self._clock, self._ids)
        await self._agent.start()


def told_of(service: str, options: Options) -> dict[str, Any]:
    """What environment and file say of one service. Raises `SettingsError`."""
    return Sources(Settings, service, (), options.environment, config=options.config).values


_DECIDED = (
    "data_dir keys_dir host port http_port http_origins http_names allow_plaintext tls tls_cert tls_key "
    "agent_certificates tls_client_ca database_url api_endpoint queue_endpoint autoscaler_endpoint dispatch_endpoint"
).split()
"""What `batuta up` decides for each service."""
_PERSONAL = ("BATUTA_API", "BATUTA_ACCESS_KEY", "BATUTA_SECRET_KEY", "BATUTA_CONFIG_FILE", "BATUTA_CA_FILE")


def _free(host: str, port: int) -> int:
    """The port if it is free, else 0 (any)."""
    if port == 0:
        return 0
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError:
            return 0
        return port


async def run(options: Options, clock: Clock, ids: Ids, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; a second signal cuts the grace short."""
    ended, hurry = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (hurry if ended.is_set() else ended).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    deployment = Deployment(options, clock, ids)
    await deployment.start()
    for line in welcome(options, deployment.api, deployment.http, deployment.fingerprint):
        say(line)
    await ended.wait()
    say("Stopping. Tasks that run go on; the next `batuta up` takes them up again.")
    stopping = asyncio.create_task(deployment.stop())
    hurrying = asyncio.create_task(hurry.wait())
    await asyncio.wait({stopping, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    hurrying.cancel()
    if not stopping.done():
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
        return
    await stopping


def welcome(options: Options, api: str, http: str, fingerprint: str = "") -> list[str]:
    """What people read when everything is up. `fingerprint` is that of an authority made here."""
    credentials = options.data / CREDENTIALS
    here = f"this machine, queue {', '.join(options.queues)}"
    return [
        "Batuta is up.",
        f"  API          {api}",
        f"  HTTP         {f'{http} (JSON, browsers)' if http else 'none'}",
        f"  agent        {here if options.agent else 'none (start one: batuta agent start)'}",
        f"  credentials  {credentials}",
        f"  data         {options.data}",
        *([f"  authority    {fingerprint}"] if fingerprint else []),
        "",
        f"Next, in another terminal:  batuta init --file {credentials}",
        "Ctrl-C stops it.",
    ]
