"""The queue service as a process: the only place that names what it is made of."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from batuta_chassis.bus import Bus, open_bus
from batuta_chassis.database import DOUBT, Database
from batuta_chassis.limits import described, limits_of, read_limits
from batuta_chassis.migrations import migrate
from batuta_chassis.requests import purge
from batuta_chassis.server import run
from batuta_chassis.service import Service, Servicer
from batuta_chassis.settings import Settings
from batuta_chassis.sole import SoleProcess
from batuta_chassis.tokens import ATTEMPT_ISSUER, Signer
from batuta_chassis.tracing import tracer_of
from batuta_chassis.transactions import SqlTransactor, Transactor
from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_queue import agent_servicer, dispatch_servicer, queue_servicer
from batuta_queue.agent_servicer import AgentServicer
from batuta_queue.among import Among
from batuta_queue.broker import Broker
from batuta_queue.dispatch_servicer import DispatchServicer
from batuta_queue.log_marker import LogMarker
from batuta_queue.numbers import Numbers
from batuta_queue.plots import Plots
from batuta_queue.queue_servicer import QueueServicer
from batuta_queue.recorder import Recorder
from batuta_queue.sql import SqlStore
from batuta_queue.store import QueueStore
from batuta_queue.tables import metadata
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids

_SHOWN_WITHIN = 5.0
"""Seconds after which other brokers know of a heartbeat."""
MIGRATIONS = Path(__file__).parent / "migrations"


async def build(
    settings: Settings, clock: Clock, ids: Ids, numbers: Numbers | None = None, bus: Bus | None = None
) -> Service:
    """The queue service over the database that `settings` name, brought to the newest schema and started.

    `numbers` and `bus` are those that the settings give, unless a test brings its own.
    """
    numbers = numbers or read_limits(Numbers, settings.limits)
    sole = None if bus is not None else SoleProcess(settings)
    database = Database(
        settings.database_url,
        metadata,
        clock,
        schema=settings.service,
        ids=ids,
        times=numbers,
        reserve=settings.disk_reserve,
    )
    try:
        migrate(database.engine, MIGRATIONS)
        transactor = SqlTransactor[QueueStore](database, lambda connection: SqlStore(connection, clock))
        signer = Signer.load_or_create(settings.keys_dir, ATTEMPT_ISSUER, clock, ids)
        bus = bus or open_bus(settings, clock, ids)
        address = settings.dispatch_endpoint or settings.endpoint
        among = None if bus is None else Among(transactor, bus, address, clock, ids)
        if among is not None:
            numbers = replace(numbers, touch_period=min(numbers.touch_period, _SHOWN_WITHIN))
        broker = Broker(transactor, signer, clock, ids, numbers, _marker(settings), among, tracer_of(settings))
        database.listen(DOUBT, lambda _none: broker.doubt())
        await broker.start()
    except BaseException:
        await database.close()
        if sole is not None:
            sole.close()
        raise
    leads = partial(_leads, among)
    recorder = Recorder(transactor, broker.registry, broker.telemetry, broker.waits, leads, clock)
    return Service(
        name="queue",
        servicers=_servicers(transactor, broker, clock),
        for_agents=True,
        background=[*broker.background, recorder.run, purge(database, clock)],
        tracer=broker.tracer,
        on_drain=broker.drain,
        meters=[database.meter, *broker.meters],
        on_stop=[recorder.stop, broker.stop, database.close, *([] if sole is None else [sole.release])],
    )


def _servicers(transactor: Transactor[QueueStore], broker: Broker, clock: Clock) -> list[Servicer]:
    plots = Plots(transactor, clock)
    entries = QueueServicer(
        transactor,
        broker.queues,
        broker.submitter,
        broker.batches,
        broker.mover,
        broker.pauses,
        broker.care,
        broker.removals,
        broker.log,
        broker.agents,
        plots,
        clock,
    )
    operators = AgentServicer(broker.agents, broker.oversight.operators, plots)
    dispatch = DispatchServicer(broker.streams)
    return [
        (queues.add_QueueServiceServicer_to_server, entries, queue_servicer.SERVICE_NAME),
        (agents.add_AgentServiceServicer_to_server, operators, agent_servicer.SERVICE_NAME),
        (agents.add_DispatchServiceServicer_to_server, dispatch, dispatch_servicer.SERVICE_NAME),
    ]


def _leads(among: Among | None) -> bool:
    return among is None or among.leads


def _marker(settings: Settings) -> LogMarker | None:
    """Only a database that is a file of this process alone can have a note beside it."""
    alone = settings.database_url.startswith("sqlite")
    return LogMarker(settings.data_dir / "queue.log-place") if alone else None


def main() -> int:
    """`batuta-queue`."""
    return run("queue", build, limits_help=described(limits_of(Numbers)))


if __name__ == "__main__":
    sys.exit(main())
