"""A service process: port, pipeline, health, reflection, signals, and an orderly end."""

from __future__ import annotations

import asyncio
import inspect
import logging
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from batuta_chassis.authority import Authority
from batuta_chassis.background import Background
from batuta_chassis.certificates import server_credentials
from batuta_chassis.contract import contract
from batuta_chassis.interceptors.auth import Authenticator
from batuta_chassis.interceptors.meter import CallMeter
from batuta_chassis.interceptors.pipeline import Pipeline
from batuta_chassis.logs import configure
from batuta_chassis.peer import Doorman
from batuta_chassis.peers import Peers
from batuta_chassis.service import Build, Service, hooks
from batuta_chassis.settings import Settings, SettingsError
from batuta_chassis.system import SERVICE_NAME, SystemServicer
from batuta_chassis.tokens import Verifier, write_private
from batuta_chassis.web.port import HttpPort
from batuta_proto.system import v1 as system
from batuta_rpc.channel import MESSAGE_BYTES
from batuta_rpc.clock import Clock, SystemClock
from batuta_rpc.ids import Ids, SystemIds

if TYPE_CHECKING:
    from batuta_chassis.monitor import Monitor

_log = logging.getLogger(__name__)
_CALLS = 20_000
"""Calls and streams open at once; beyond that new ones are refused."""
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 16 * 1024),
    # Two processes on one port would each get some of the calls.
    ("grpc.so_reuseport", 0),
    # Clients look for dead links every 10 s (dispatch) or 30 s; gRPC's default would cut them off for that.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]


class ServiceProcess:
    """One running service. Several may live in one event loop (`batuta up`), each on its own port."""

    def __init__(self, build: Build, settings: Settings, clock: Clock, ids: Ids) -> None:
        self._build = build
        self._settings = settings.with_port()
        self._clock = clock
        self._ids = ids
        self._background = Background(clock, ids)
        self._health: Any = health.aio.HealthServicer()
        self._service: Service | None = None
        self._server: grpc.aio.Server | None = None
        self._http: HttpPort | None = None
        self._draining = False
        self._meter = CallMeter()
        self._monitor: Monitor | None = None

    @property
    def settings(self) -> Settings:
        """The settings with the port that was chosen."""
        return self._settings

    @property
    def address(self) -> str:
        """`host:port` as clients on this machine dial it."""
        return self._settings.endpoint.partition("://")[2]

    @property
    def metrics_address(self) -> str:
        """`host:port` of /metrics; empty: there is none."""
        return "" if self._monitor is None else self._monitor.address

    async def start(self) -> None:
        """Build the service, open its port, start its background work, and say SERVING.

        Raises `SettingsError` when the port is taken.
        """
        self._settings.prepare()
        await self._health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        built = self._build(self._settings, self._clock, self._ids)
        self._service = await built if inspect.isawaitable(built) else built
        try:
            self._server = self._make_server(self._service)
            self._open_port(self._server, self._service)
            await self._start_monitor(self._service)
            await self._server.start()
            if self._http is not None:
                await self._http.start()
        except BaseException:
            await self._stop_monitor()
            if self._http is not None:
                await self._http.stop()
            if self._server is not None:  # gRPC ends what was never started only when it is told to
                await self._server.stop(0)
            await self._run(hooks(self._service.on_stop))
            raise
        self._record_address()
        self._background.start(self._service.background)
        for name in ("", *self._names(self._service)):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace: float | None = None) -> None:
        """End in order: NOT_SERVING, drain hooks, calls (after `grace` seconds), background, stop hooks."""
        if self._service is None or self._draining:
            return
        self._draining = True
        await self._health.enter_graceful_shutdown()
        if self._http is not None:
            self._http.stop_listening()
        await self._run(hooks(self._service.on_drain))
        if self._server is not None:
            await self._server.stop(self._settings.grace_seconds if grace is None else grace)
        if self._http is not None:
            await self._http.stop()
        await self._background.stop()
        await self._run(hooks(self._service.on_stop))
        await self._stop_monitor()
        await asyncio.to_thread(self._service.tracer.close)

    async def _start_monitor(self, service: Service) -> None:
        if self._settings.metrics_listen:
            from batuta_chassis.monitor import Monitor  # here: its library is of no use to those who do not watch

            self._monitor = Monitor(self._settings, (self._meter, *service.meters), self._is_ready, self._clock)
            await self._monitor.start()

    async def _stop_monitor(self) -> None:
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            await monitor.stop()

    async def _is_ready(self) -> bool:
        """What `grpc.health.v1` says of the whole service."""
        answer = await self._health.Check(health_pb2.HealthCheckRequest(service=""), None)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def _make_server(self, service: Service) -> grpc.aio.Server:
        authenticator = Authenticator(
            Verifier(self._settings.keys_dir, self._clock), service.gate, self._peers(service)
        )
        doorman = Doorman(self._ids.secret()) if self._settings.http_port >= 0 else None
        pipeline = Pipeline(contract(), authenticator, self._clock, self._ids, self._meter, service.tracer, doorman)
        server = grpc.aio.server(interceptors=[pipeline], options=_OPTIONS, maximum_concurrent_rpcs=_CALLS)
        for add, servicer, _name in service.servicers:
            add(servicer, server)
        system.add_SystemServiceServicer_to_server(SystemServicer(service), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if self._settings.reflection:
            names = [*self._names(service), reflection.SERVICE_NAME, "grpc.health.v1.Health"]
            reflection.enable_server_reflection(names, server)
        server.add_generic_rpc_handlers(tuple(service.generic_handlers))
        if doorman is not None:
            self._http = HttpPort(self._settings, server, authenticator, doorman, self._clock)
        return server

    def _names(self, service: Service) -> list[str]:
        return [*(name for _, _, name in service.servicers), *service.forwarded, SERVICE_NAME]

    def _asks_agents(self, service: Service) -> bool:
        return service.for_agents and self._settings.agent_certificates

    def _peers(self, service: Service) -> Peers:
        if not self._asks_agents(service):
            return Peers()
        return Peers(Authority.load_or_create(self._settings.keys_dir, self._clock).pem)

    def _open_port(self, server: grpc.aio.Server, service: Service) -> None:
        settings = self._settings
        address = f"{settings.host}:{settings.port}"
        credentials = server_credentials(settings, self._clock, ask_agents=self._asks_agents(service))
        try:
            if credentials is not None:
                server.add_secure_port(address, credentials)
            else:
                server.add_insecure_port(address)
        except (RuntimeError, OSError) as error:
            raise SettingsError(
                f"the {settings.service} service cannot listen on {address}: is something else running there? "
                f"Choose another port ({error})"
            ) from error

    def _record_address(self) -> None:
        write_private(self._settings.data_dir / f"{self._settings.service}.address", f"{self.address}\n".encode())
        _log.info("serving", extra={"service": self._settings.service, "address": self.address})

    async def _run(self, steps: Sequence[Any]) -> None:
        for step in steps:
            try:
                await step()
            except Exception:
                _log.exception("a step of stopping %s failed; going on", self._settings.service)


async def serve(build: Build, settings: Settings, clock: Clock, ids: Ids) -> None:
    """Run one service until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    process = ServiceProcess(build, settings, clock, ids)
    await process.start()
    http = process.settings.http_endpoint
    print(f"{settings.service} serves on {process.address}{f', HTTP on {http}' if http else ''}", flush=True)
    try:
        await ended.wait()
    finally:
        await process.stop()


def run(service: str, build: Build, argv: Sequence[str] | None = None, limits_help: str = "") -> int:
    """The `main` of a service: read settings, serve, and return the exit status. See `Settings.load` for
    `limits_help`."""
    try:
        settings = Settings.load(service, argv, limits_help=limits_help)
        configure(settings.log_level, form=settings.log_format)
        asyncio.run(serve(build, settings, SystemClock(), SystemIds()))
    except SettingsError as error:
        print(f"batuta-{service}: {error}", file=sys.stderr, flush=True)
        return 2
    return 0
