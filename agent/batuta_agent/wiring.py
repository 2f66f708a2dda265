"""The only place that names implementations: builds an agent from its arguments and closes it again."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc.aio

from batuta_agent import joining, run_environment
from batuta_agent.agent import Agent, Identity
from batuta_agent.assignments import Assignments
from batuta_agent.certificates import Certificates, GivenCertificate, IssuedCertificate, write_private
from batuta_agent.environment.interpreters import Interpreters
from batuta_agent.environment.prepare import Preparer
from batuta_agent.environment.source import Sources
from batuta_agent.environment.venv import VenvCache
from batuta_agent.folders import Caches, StateFolder
from batuta_agent.gpu import Gpus
from batuta_agent.health import Health
from batuta_agent.journal import Journal
from batuta_agent.printer import Printer, printer
from batuta_agent.reading import ApiTaskReader
from batuta_agent.shims import ShimPool, end_abandoned_groups
from batuta_agent.telemetry import Sampler
from batuta_agent.warm import WarmInterpreters
from batuta_agent.workshop import Workshop
from batuta_courier import room
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.channel import open_aio
from batuta_rpc.clock import Clock, SystemClock
from batuta_rpc.config import ConfigError, Connection
from batuta_rpc.ids import SystemIds
from batuta_rpc.trace import Tracer
from batuta_rpc.trace_export import ENDPOINT_VARIABLE, MissingLibrary, open_tracer
from batuta_rpc.trust import Trust


@asynccontextmanager
async def build(
    arguments: argparse.Namespace, name: str, state: StateFolder, connection: Connection, env: Mapping[str, str]
) -> AsyncGenerator[Agent]:
    """An agent that is ready to run.

    Raises `RpcError` when the server refuses it or a queue is unknown, and `ConfigError`.
    """
    clock, ids = SystemClock(), SystemIds()
    limits = room.limits(env, room.AGENT_LIMITS)
    says = printer(clock, json_lines=arguments.json_logs)
    tokens = joining.tokens_of(connection, clock)
    tracer = _tracer(arguments.trace_endpoint or env.get(ENDPOINT_VARIABLE, ""))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, tracer.close)
        channel = open_aio(connection.api, tokens, joining.CLIENT, trust=connection.trust)
        stack.push_async_callback(channel.close)

        async def ask() -> tuple[joining.Broker, dict[str, str]]:
            broker = await joining.broker_of(channel, connection.api)
            return broker, await joining.find_queues(channel, arguments.queue, ids, create=arguments.create_queue)

        broker, queues = await joining.reach(ask, says, clock, ids, patient=state.known)
        await _sweep(says)
        journal = Journal(state.journal, ids)
        stack.push_async_callback(journal.close)
        shims = ShimPool(run_environment.machine(env), clock, arguments.slots)
        stack.push_async_callback(shims.close)
        shims.fill()
        warm = WarmInterpreters(arguments.warm_interpreters, shims, env, says, clock)
        stack.push_async_callback(warm.close)
        health = Health()
        sampler = Sampler(Gpus(), state.path, clock, health)
        stack.callback(sampler.close)
        preparer = _preparer(arguments, ids)
        await preparer.wheel()
        workshop = Workshop(
            api=connection.api,
            ca_file=_keep_authorities(state, connection.trust),
            agent=name,
            env=env,
            journal=journal,
            shims=shims,
            warm=warm,
            reader=ApiTaskReader(tasks.TaskServiceStub(channel), clock, ids),
            maker=preparer,
            printer=says,
            clock=clock,
            ids=ids,
            health=health,
            limits=limits,
            tracer=tracer,
        )
        assignments = Assignments(state, workshop, arguments.slots)
        identity = Identity(name, queues, dict(arguments.label))
        shown = _certificates(arguments, state, connection, channel, clock, wanted=broker.wants_certificate)
        yield Agent(identity, broker.endpoint, tokens, shown, assignments, journal, sampler, says, clock, ids)


async def _sweep(says: Printer) -> None:
    """End, before anything is said of them, what a shim left that died together with the agent before us."""
    left = await asyncio.to_thread(end_abandoned_groups)
    if left:
        says.event("swept", f"ended what {left} dead shim(s) had left running", "warn")


def _keep_authorities(state: StateFolder, trust: Trust) -> str:
    """Write down whom runs and couriers are to believe. The name of the file; empty where they need none."""
    if not trust.authorities:
        return ""
    write_private(state.authorities, trust.authorities)
    return str(state.authorities)


def _certificates(
    arguments: argparse.Namespace,
    state: StateFolder,
    connection: Connection,
    channel: grpc.aio.Channel,
    clock: Clock,
    *,
    wanted: bool,
) -> Certificates:
    if arguments.certificate is not None:
        return GivenCertificate(connection.trust, arguments.certificate, arguments.certificate_key)
    return IssuedCertificate(connection, state.certificate(connection.access_key), channel, clock, wanted=wanted)


def _tracer(endpoint: str) -> Tracer:
    # With what its traces say of themselves only: whether they are collected was decided where they began.
    try:
        return open_tracer(endpoint, "batuta-agent", share=0.0)
    except MissingLibrary as error:
        raise ConfigError(str(error)) from error


def _preparer(arguments: argparse.Namespace, ids: SystemIds) -> Preparer:
    caches = Caches((arguments.cache or Path("~/.batuta/cache")).expanduser())
    return Preparer(
        Sources(caches.repositories, allow_local=arguments.allow_local_git),
        VenvCache(caches.environments),
        Interpreters(arguments.python),
        caches.wheels,
        ids,
    )
