"""`batuta agent list|join-token`."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from batuta._cli.arguments import SubParsers, add_json, command, whole_number
from batuta._cli.context import Context

if TYPE_CHECKING:
    from batuta._cli.client import Client
    from batuta_proto.agents import v1 as agents


def add(parent: SubParsers, context: Context) -> None:
    """Add the commands."""
    parser = command(parent, "list", "list agents, those that are offline too", "batuta agent list")
    add_json(parser)
    parser.set_defaults(run=partial(list_agents, context))
    token = command(
        parent,
        "join-token",
        "make a token with which one agent may join, for admins",
        "batuta agent join-token --minutes 60 --comment rack7",
    )
    token.add_argument(
        "--minutes",
        type=whole_number(1, 24 * 60),
        default=15,
        metavar="N",
        help="how long it is good (15; 1440 at most)",
    )
    token.add_argument("--comment", default="", help="what it is for")
    add_json(token)
    token.set_defaults(run=partial(make_join_token, context))


def list_agents(context: Context, args: argparse.Namespace) -> None:
    """Print all agents: what they serve, run and have."""
    from batuta._cli import pages, render, tables
    from batuta_proto.agents import v1 as agents

    with context.connect() as client:

        def fetch(page_size: int, page_token: str) -> tuple[list[agents.Agent], str]:
            answer = client.agents.ListAgents(agents.ListAgentsRequest(page_size=page_size, page_token=page_token))
            return list(answer.agents), answer.next_page_token

        found = pages.gather(fetch)
        lost = "" if args.json else _mass_loss(client)
    if args.json:
        context.print(render.listed("agents", found))
        return
    headers = ("ID", "STATE", "QUEUES", "RUNS", "CPU", "MEMORY", "GPUS", "HEARTBEAT", "TASKS")
    rows = [_row(each) for each in found]
    context.print(
        tables.render(headers, rows, width=context.width, whole=("ID", "STATE"), right=("RUNS", "CPU", "MEMORY"))
    )
    if lost:
        context.note(lost)


def make_join_token(context: Context, args: argparse.Namespace) -> None:
    """Make a join token. The table form prints it alone, so that a script can take it; how to use it is a note."""
    from google.protobuf.duration_pb2 import Duration

    from batuta._cli import render
    from batuta_proto.users import v1 as users
    from batuta_rpc.pinning import fingerprints

    request = users.CreateJoinTokenRequest(ttl=Duration(seconds=60 * args.minutes), comment=args.comment)
    with context.connect() as client:
        made = client.users.CreateJoinToken(request)
        api, believed = client.api, fingerprints(client.trust.authorities)
    if args.json:
        context.print(render.as_json(render.as_dict(made)))
        return
    context.note(
        f"good for one agent, until {render.moment(made.expire_time)}; on its machine: "
        f"`batuta agent start --queue default --api {api} --join-token TOKEN{_pin(believed)}`"
    )
    context.print(made.join_token)


def _pin(believed: list[str]) -> str:
    """How the new agent gets the authority that we believe. With several, its operator has to choose the file."""
    return f" --ca-fingerprint {believed[0]}" if len(believed) == 1 else " --ca-file FILE" if believed else ""


def _row(agent: agents.Agent) -> tuple[object, ...]:
    from batuta._cli import agent_page, render

    sample = agent.telemetry.host if agent.HasField("telemetry") else None
    return (
        agent.id,
        agent_page.state_of(agent),
        ", ".join(agent.queue_names or agent.queue_ids),
        f"{len(agent.assignments)}/{agent.max_assignments}",
        "" if sample is None else f"{sample.cpu_percent:.0f} %",
        "" if sample is None else render.size(sample.memory_used_bytes),
        agent_page.gpus_of(agent),
        render.moment(agent.last_heartbeat_time),
        ", ".join(each.task_id for each in agent.assignments),
    )


def _mass_loss(client: Client) -> str:
    """What an operator has to know of many agents that are gone at once."""
    from batuta._cli import agent_page
    from batuta_proto.agents import v1 as agents
    from batuta_rpc.errors import Unimplemented

    try:
        return agent_page.mass_loss_words(client.agents.GetFleet(agents.GetFleetRequest()))
    except Unimplemented:  # a server of an earlier release
        return ""
