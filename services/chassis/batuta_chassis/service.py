"""What makes a service out of the chassis: its name, its servicers, its background work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from batuta_chassis.gate import Gate
from batuta_chassis.meters import Meter
from batuta_chassis.settings import Settings
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids
from batuta_rpc.trace import NO_TRACER, Tracer

Hook = Callable[[], Awaitable[None]]
"""Something to do, or to keep doing."""
Servicer = tuple[Callable[[Any, Any], None], Any, str]
"""The generated `add_…_to_server`, the servicer, and the full name of its service."""


@dataclass
class Service:
    """One service, built and not yet started."""

    name: str
    """`api`, `queue` or `autoscaler`."""
    servicers: Sequence[Servicer]
    generic_handlers: Sequence[grpc.GenericRpcHandler] = ()
    """For calls that no servicer takes, such as `batuta_chassis.forward`."""
    background: Sequence[Hook] = ()
    """Started after the port is open, cancelled and awaited at the end. One that raises is logged and started again,
    with growing pauses; one that returns is done."""
    on_drain: Sequence[Hook] | Hook = ()
    """Run when the process has been told to end, after health says NOT_SERVING and before calls are cut."""
    on_stop: Sequence[Hook] | Hook = ()
    """Run last, in order: close databases and channels."""
    capabilities: Sequence[str] = ()
    """Optional behaviours, for GetServerInfo."""
    dispatch_endpoint: str = ""
    """Where agents dial, for GetServerInfo; the API's alone."""
    gate: Gate = field(default_factory=Gate)
    """Who is refused although their token is good; the service fills it."""
    for_agents: bool = False
    """Agents dial this port: where settings say so, only those with a certificate of their own get in."""
    meters: Sequence[Meter] = ()
    """What it counts beyond its calls."""
    tracer: Tracer = NO_TRACER
    """Where its spans go; it is closed last of all."""
    forwarded: Sequence[str] = field(default=())
    """Full names of the services whose calls are passed on; they get a health entry too."""


Build = Callable[[Settings, Clock, Ids], "Service | Awaitable[Service]"]
"""Every service package has one of these as `build` in its `__main__`."""


def hooks(given: Sequence[Hook] | Hook) -> list[Hook]:
    """Hooks as a list, whether one or several were given."""
    return [given] if callable(given) else list(given)
