"""The HTTP port of one service, put together."""

from __future__ import annotations

import grpc.aio

from batuta_chassis.contract import contract
from batuta_chassis.interceptors.auth import Authenticator
from batuta_chassis.peer import Doorman
from batuta_chassis.settings import Settings
from batuta_chassis.web.guard import Guard
from batuta_chassis.web.inner import Inner
from batuta_chassis.web.server import WebServer
from batuta_chassis.web.site import Site
from batuta_rpc.channel import open_raw_aio
from batuta_rpc.clock import Clock


class HttpPort:
    """Made before its service's gRPC server starts, started after it."""

    def __init__(
        self, settings: Settings, server: grpc.aio.Server, authenticator: Authenticator, doorman: Doorman, clock: Clock
    ) -> None:
        """Gives `server` a second port, on loopback, that this one dials: a certificate is for another name."""
        self._settings = settings
        port = server.add_insecure_port("127.0.0.1:0")
        self._inner = Inner(open_raw_aio(f"127.0.0.1:{port}", retries=False), doorman)
        guard = Guard(settings.host, _listed(settings.http_names), _listed(settings.http_origins))
        site = Site(contract(), authenticator, self._inner, guard, document=settings.reflection)
        self._web = WebServer(site, clock)

    async def start(self) -> None:
        """Listen. Raises `SettingsError` when the port is taken."""
        await self._web.start(self._settings)

    def stop_listening(self) -> None:
        """Take no more connections; those that are open go on."""
        self._web.stop_listening()

    async def stop(self) -> None:
        """Close everything."""
        await self._inner.close()  # what is still called ends, and says so to its client
        await self._web.stop()


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]
