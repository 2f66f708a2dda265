"""The API service: reads its settings, builds, wires, runs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio

from batuta_api import topics
from batuta_api.among import Among
from batuta_api.artifacts.places import BlobPlaces
from batuta_api.artifacts.receiving import ByteRoom
from batuta_api.artifacts.servicer import SERVICE as ARTIFACTS
from batuta_api.artifacts.servicer import ArtifactServicer
from batuta_api.artifacts.servicer import Surroundings as ArtifactSurroundings
from batuta_api.artifacts.staging import Staging
from batuta_api.artifacts.sweeping import ArtifactSweep
from batuta_api.artifacts.threads import BlobThreads
from batuta_api.audit.refusals import Refusals
from batuta_api.audit.servicer import SERVICE as AUDIT
from batuta_api.audit.servicer import AuditServicer
from batuta_api.audit.trail import PassedOn
from batuta_api.calls import Calls
from batuta_api.closing import Closing
from batuta_api.housekeeping import Housekeeping
from batuta_api.limits import Limits, Places
from batuta_api.logs.servicer import SERVICE as LOGS
from batuta_api.logs.servicer import LogServicer
from batuta_api.meters import Arrivals, cursor_meter
from batuta_api.metrics.servicer import SERVICE as METRICS
from batuta_api.metrics.servicer import MetricServicer
from batuta_api.projects.servicer import SERVICE as PROJECTS
from batuta_api.projects.servicer import ProjectServicer
from batuta_api.service_tokens import ServiceTokens
from batuta_api.tasks.delivery import Delivery
from batuta_api.tasks.following import Follower, always
from batuta_api.tasks.link import Link
from batuta_api.tasks.passage import Passage
from batuta_api.tasks.queue_names import QueueNames
from batuta_api.tasks.servicer import SERVICE as TASKS
from batuta_api.tasks.servicer import Surroundings, TaskServicer
from batuta_api.users.agent_certificates import CAPABILITY, AgentCertificates
from batuta_api.users.first_start import ensure_credentials
from batuta_api.users.logins import Logins
from batuta_api.users.password_logins import PasswordLogins
from batuta_api.users.revocations import Revocations
from batuta_api.users.servicer import SERVICE as USERS
from batuta_api.users.servicer import UserServicer
from batuta_api.users.users_file import bring_in
from batuta_api.wiring import METADATA, sql_work
from batuta_api.work import Work, Works
from batuta_chassis import requests
from batuta_chassis.authority import Authority
from batuta_chassis.bus import Bus, open_bus
from batuta_chassis.certificates import authorities, services_trust
from batuta_chassis.contract import contract
from batuta_chassis.database import Database
from batuta_chassis.forward import Forward
from batuta_chassis.gate import Gate
from batuta_chassis.hub import Hub
from batuta_chassis.limits import described, limits_of, read_limits
from batuta_chassis.migrations import migrate
from batuta_chassis.outbox_meter import outbox_meter
from batuta_chassis.outbox_sender import OutboxSender
from batuta_chassis.server import run
from batuta_chassis.service import Service, Servicer
from batuta_chassis.settings import Settings
from batuta_chassis.sole import SoleProcess
from batuta_chassis.tokens import PEOPLE_ISSUER, Signer
from batuta_chassis.tracing import tracer_of
from batuta_chassis.transactions import SqlTransactor
from batuta_proto.artifacts import v1 as artifacts
from batuta_proto.audit import v1 as audit
from batuta_proto.logs import v1 as logs
from batuta_proto.metrics import v1 as metrics
from batuta_proto.projects import v1 as projects
from batuta_proto.tasks import v1 as tasks
from batuta_proto.users import v1 as users
from batuta_rpc.channel import open_aio, open_raw_aio
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids
from batuta_rpc.several import split

QUEUE_SERVICES = ("batuta.queues.v1.QueueService", "batuta.agents.v1.AgentService")
"""Passed on to the queue service."""
_BLOB_THREADS = 16
_KEPT_FREE = 4
"""Uploads leave so many times the database's reserve free on its disk."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Parts:
    """What the pieces of the service share."""

    settings: Settings
    clock: Clock
    ids: Ids
    signer: Signer
    database: Database
    works: Works
    hub: Hub
    closing: Closing
    queue: grpc.aio.Channel
    brokers: tuple[grpc.aio.Channel, ...]
    sole: SoleProcess
    among: Among | None
    limits: Limits
    refusals: Refusals
    room: ByteRoom
    arrivals: Arrivals = field(default_factory=Arrivals)

    def calls(self, service: str) -> Calls:
        """How the servicer of a service reaches its use cases."""
        return Calls(self.works, self.refusals, self.clock, service)


async def build(settings: Settings, clock: Clock, ids: Ids) -> Service:
    """The API service, its database migrated and its first credentials written. Raises `SettingsError`."""
    limits = read_limits(Limits, settings.limits)
    places = BlobPlaces.of(settings)
    signer = Signer.load_or_create(settings.keys_dir, PEOPLE_ISSUER, clock, ids)
    hub = Hub(clock)
    sole = SoleProcess(settings)
    bus = open_bus(settings, clock, ids)
    database = Database(
        settings.database_url,
        METADATA,
        clock,
        limit=limits.waiting_changes,
        schema=settings.service,
        ids=ids,
        times=limits,
        reserve=settings.disk_reserve,
    )
    try:
        migrate(database.engine, Path(__file__).parent / "migrations")
        works: Works = SqlTransactor[Work](database, sql_work(hub, clock, limits))
        await _first_people(works, settings, clock, ids)
        among = None if bus is None else await _enter(database, bus, hub, settings, clock, ids)
    except BaseException:
        await database.close()
        sole.close()
        raise
    # Whoever calls the API repeats the call, and the outbox repeats what it delivers: no third one needs to.
    endpoint = settings.queue_endpoint or "127.0.0.1"
    tokens, trust = ServiceTokens(signer, clock), services_trust(settings, clock)
    queue = open_aio(endpoint, tokens, "api", dispatch=True, retries=False, trust=trust)
    # What all brokers must hear is told each of them by a channel of its own.
    brokers = tuple(open_aio(each, tokens, "api", dispatch=True, trust=trust) for each in split(endpoint))
    refusals = Refusals(works, clock)
    closing = Closing(hub)
    threads = BlobThreads(_BLOB_THREADS)
    staging = Staging(settings.data_dir / "artifacts" / "uploads", threads, _KEPT_FREE * settings.disk_reserve)
    room = ByteRoom(places, staging, threads)
    parts = _Parts(
        settings, clock, ids, signer, database, works, hub, closing, queue, brokers, sole, among, limits, refusals, room
    )
    return _service(parts)


async def _first_people(works: Works, settings: Settings, clock: Clock, ids: Ids) -> None:
    """See that somebody can log in: by the first credentials, and those of the users file."""
    for path in await ensure_credentials(
        works,
        settings.data_dir,
        settings.api_endpoint or settings.endpoint,
        authorities(settings, clock),
        clock.now(),
        ids,
    ):
        _log.info("first credential written", extra={"path": str(path)})
    if settings.users_file:
        for name in await bring_in(works, Path(settings.users_file), clock.now()):
            _log.info("user brought in from the users file", extra={"user": name})


async def _enter(database: Database, bus: Bus, hub: Hub, settings: Settings, clock: Clock, ids: Ids) -> Among:
    hub.connect(bus)
    among = Among(database, bus, settings.api_endpoint or settings.endpoint, clock, ids)
    await among.enter()
    return among


def _service(parts: _Parts) -> Service:
    settings, works, clock, ids = parts.settings, parts.works, parts.clock, parts.ids
    among = parts.among
    names, gate = QueueNames(parts.queue, clock, ids), Gate()
    if among is not None:
        among.bus.listen(names.hear)
    link = Link(clock)
    tracer = tracer_of(settings)
    delivery = Delivery(works, parts.queue, link, names, clock, ids, tracer)
    sender = OutboxSender(parts.database, delivery.deliver, clock, ids, delivery.refused)
    trust = services_trust(settings, clock)
    raw = open_raw_aio(settings.queue_endpoint or "127.0.0.1", dispatch=True, retries=False, trust=trust)
    passed_on = PassedOn(works, clock, Passage(works, parts.queue).check)
    leads, heard = always if among is None else among.leads, parts.arrivals.event_seconds.note
    return Service(
        name="api",
        servicers=_servicers(parts, names),
        generic_handlers=(Forward(raw, QUEUE_SERVICES, contract(), "queue", passed_on, _heed(parts.hub, names)),),
        background=(
            sender.run,
            Follower(works, parts.queue, link, names, clock, ids, leads, heard).run,
            Housekeeping(works, clock).run,
            ArtifactSweep(works, parts.room, clock, parts.limits.upload_hours).run,
            Revocations(works, gate, parts.brokers, clock).run,
            parts.refusals.run,
            requests.purge(parts.database, clock, parts.limits.request_hours),
            *(() if among is None else among.background(sender)),
        ),
        on_drain=parts.closing.begin,
        on_stop=(
            *(() if among is None else (among.leave,)),
            parts.queue.close,
            *(broker.close for broker in parts.brokers),
            raw.close,
            parts.room.threads.close,
            parts.database.close,
            parts.sole.release,
        ),
        capabilities=[CAPABILITY] if settings.agent_certificates else [],
        meters=(
            parts.database.meter,
            outbox_meter(parts.database, clock),
            cursor_meter(works, link, clock),
            parts.arrivals,
        ),
        tracer=tracer,
        dispatch_endpoint=settings.dispatch_endpoint,
        gate=gate,
        forwarded=QUEUE_SERVICES,
    )


def _heed(hub: Hub, names: QueueNames) -> dict[str, Callable[[], None]]:
    """What passes through here and makes known names of queues wrong, in all processes of the API."""

    def changed() -> None:
        names.forget_all()
        hub.publish(topics.QUEUES)

    return {f"/batuta.queues.v1.QueueService/{method}": changed for method in ("UpdateQueue", "DeleteQueue")}


def _servicers(parts: _Parts, names: QueueNames) -> list[Servicer]:
    works, clock, ids, hub, closing = parts.works, parts.clock, parts.ids, parts.hub, parts.closing
    watchers, limits = Places("task_watchers", parts.limits.task_watchers), parts.limits
    around = Surroundings(parts.calls(TASKS), names, hub, closing, clock, ids, watchers)
    logins = Logins(works, parts.signer, clock, ids)
    user_servicer = UserServicer(
        parts.calls(USERS),
        logins,
        PasswordLogins(works, parts.signer, clock, ids),
        _certificates(logins, parts.settings, clock),
        clock,
        ids,
    )
    return [
        (projects.add_ProjectServiceServicer_to_server, ProjectServicer(parts.calls(PROJECTS), clock, ids), PROJECTS),
        (tasks.add_TaskServiceServicer_to_server, TaskServicer(around), TASKS),
        (
            metrics.add_MetricServiceServicer_to_server,
            MetricServicer(parts.calls(METRICS), hub, closing, clock, parts.arrivals),
            METRICS,
        ),
        (
            logs.add_LogServiceServicer_to_server,
            LogServicer(parts.calls(LOGS), hub, closing, clock, limits, parts.arrivals),
            LOGS,
        ),
        (
            artifacts.add_ArtifactServiceServicer_to_server,
            ArtifactServicer(ArtifactSurroundings(parts.calls(ARTIFACTS), parts.room, closing, clock, ids, limits)),
            ARTIFACTS,
        ),
        (users.add_UserServiceServicer_to_server, user_servicer, USERS),
        (audit.add_AuditServiceServicer_to_server, AuditServicer(parts.calls(AUDIT)), AUDIT),
    ]


def _certificates(logins: Logins, settings: Settings, clock: Clock) -> AgentCertificates:
    if not settings.agent_certificates:
        return AgentCertificates(logins, None, "agents need no certificate here (agent_certificates is off)")
    if settings.tls_client_ca:
        return AgentCertificates(
            logins,
            None,
            "this server signs no certificates for agents, another authority does: give the agent its own with "
            "--certificate and --certificate-key",
        )
    return AgentCertificates(logins, Authority.load_or_create(settings.keys_dir, clock), "")


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    return run("api", build, limits_help=described(limits_of(Limits)))


if __name__ == "__main__":
    sys.exit(main())
