"""`batuta agent show|fleet|drain|undrain|declare-lost`."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from batuta._cli.arguments import SubParsers, add_json, command, duration
from batuta._cli.context import Context
from batuta._cli.failures import USAGE, CliError

if TYPE_CHECKING:
    from batuta_proto.agents import v1 as agents

_NAME = "name of the agent, as `batuta agent list` shows it"


def add(parent: SubParsers, context: Context) -> None:
    """Add the commands."""
    show = command(parent, "show", "show one agent and what it runs", "batuta agent show gpu-7:0")
    _finish(show, partial(show_agent, context))
    fleet = command(parent, "fleet", "say how many agents are there and how many are gone", "batuta agent fleet")
    add_json(fleet)
    fleet.set_defaults(run=partial(show_fleet, context))
    drain = command(
        parent,
        "drain",
        "give an agent no new work until undrain, for admins",
        "batuta agent drain gpu-7:0 --reason disks",
        "batuta agent drain gpu-7:0 --deadline 2h",
    )
    drain.add_argument("--reason", default="", help="why; people see it")
    drain.add_argument(
        "--deadline",
        type=duration,
        metavar="TIME",
        help="cancel what still runs after this time (90s, 30m, 2h, 1d); it is tried again elsewhere at no cost",
    )
    _finish(drain, partial(drain_agent, context))
    undrain = command(parent, "undrain", "give a drained agent work again, for admins", "batuta agent undrain gpu-7:0")
    _finish(undrain, partial(undrain_agent, context))
    _add_declare_lost(parent, context)


def _add_declare_lost(parent: SubParsers, context: Context) -> None:
    parser = command(
        parent,
        "declare-lost",
        "say that an offline agent's machine is gone for good, so that its tasks move now, for admins",
        "batuta agent declare-lost gpu-7:0 --reason burnt",
        "batuta agent declare-lost spot-3:0 --explained --yes",
    )
    parser.add_argument("--reason", default="", help="why; people see it")
    parser.add_argument(
        "--explained", action="store_true", help="its end has a known cause, so no task is suspected of it"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    _finish(parser, partial(declare_lost, context))


def show_agent(context: Context, args: argparse.Namespace) -> None:
    """Print one agent."""
    from batuta_proto.agents import v1 as agents

    with context.connect() as client:
        found = client.agents.GetAgent(agents.GetAgentRequest(agent_id=args.agent)).agent
    _print(context, args, found)


def show_fleet(context: Context, args: argparse.Namespace) -> None:
    """Print how many agents are there, and whether lost work is held back."""
    from batuta._cli import agent_page, render, tables
    from batuta_proto.agents import v1 as agents

    with context.connect() as client:
        fleet = client.agents.GetFleet(agents.GetFleetRequest())
    if args.json:
        context.print(render.as_json(render.as_dict(fleet)))
        return
    context.print(tables.facts([("online", fleet.online_count), ("vanished", fleet.vanished_count)]))
    words = agent_page.mass_loss_words(fleet)
    if words:
        context.note(words)


def drain_agent(context: Context, args: argparse.Namespace) -> None:
    """Drain an agent."""
    from batuta_proto.agents import v1 as agents

    request = agents.DrainAgentRequest(agent_id=args.agent, reason=args.reason)
    if args.deadline is not None:
        request.deadline.FromMilliseconds(context.clock.unix_millis() + round(args.deadline * 1000))
    with context.connect() as client:
        drained = client.agents.DrainAgent(request).agent
    _print(context, args, drained)


def undrain_agent(context: Context, args: argparse.Namespace) -> None:
    """Undrain an agent."""
    from batuta_proto.agents import v1 as agents

    with context.connect() as client:
        free = client.agents.UndrainAgent(agents.UndrainAgentRequest(agent_id=args.agent)).agent
    _print(context, args, free)


def declare_lost(context: Context, args: argparse.Namespace) -> None:
    """Declare an agent lost, once somebody has seen what that ends."""
    from batuta._cli import render
    from batuta_proto.agents import v1 as agents

    request = agents.DeclareAgentLostRequest(agent_id=args.agent, reason=args.reason, explained=args.explained)
    with context.connect() as client:
        if not args.yes:
            _ask(context, client.agents.GetAgent(agents.GetAgentRequest(agent_id=args.agent)).agent)
        answer = client.agents.DeclareAgentLost(request)
    if args.json:
        context.print(render.as_json(render.as_dict(answer)))
        return
    context.print(f"Agent {args.agent!r} is declared lost; {_attempts(answer.lost_count)} lost by this.")


def _ask(context: Context, agent: agents.Agent) -> None:
    from batuta._cli import agent_page, render

    heard = render.moment(agent.last_heartbeat_time) or "never"
    running = len(agent.assignments)
    context.note(f"agent {agent.id} was last heard {heard}; {_attempts(running)} lost when it is declared lost.")
    if running:
        context.stderr.write(agent_page.running_table(agent, context.width) + "\n")
    if not context.stdin.isatty():
        raise CliError("nobody can be asked here; add --yes to declare it lost.", USAGE)
    context.stderr.write("Is its machine gone for good? A process that still runs there would run twice. [y/N] ")
    context.stderr.flush()
    if context.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CliError("nothing was changed.")


def _attempts(count: int) -> str:
    return f"{count} attempt is" if count == 1 else f"{count} attempts are"


def _finish(parser: argparse.ArgumentParser, run: object) -> None:
    parser.add_argument("agent", metavar="NAME", help=_NAME)
    add_json(parser)
    parser.set_defaults(run=run)


def _print(context: Context, args: argparse.Namespace, agent: agents.Agent) -> None:
    from batuta._cli import agent_page, render

    if args.json:
        context.print(render.as_json(render.as_dict(agent)))
    else:
        agent_page.print_agent(context, agent)
