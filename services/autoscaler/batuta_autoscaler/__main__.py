"""The autoscaler service: its room and its address are fixed; so far it answers health and GetServerInfo."""

from __future__ import annotations

import sys

from batuta_chassis.server import run
from batuta_chassis.service import Service
from batuta_chassis.settings import Settings
from batuta_chassis.tracing import tracer_of
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids


def build(settings: Settings, _clock: Clock, _ids: Ids) -> Service:
    """The service with nothing but what the chassis gives every service."""
    return Service(name="autoscaler", servicers=(), tracer=tracer_of(settings))


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    return run("autoscaler", build)


if __name__ == "__main__":
    sys.exit(main())
