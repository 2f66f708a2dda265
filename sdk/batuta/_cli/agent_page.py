"""One agent, and the fleet, as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batuta._cli.context import Context

if TYPE_CHECKING:
    from batuta_proto.agents import v1 as agents


def state_of(agent: agents.Agent) -> str:
    """`ONLINE`, `OFFLINE`, and why it gets no work though it could: `ONLINE,drained`, `ONLINE,unhealthy`."""
    from batuta._cli import render
    from batuta_proto.agents import v1 as agents

    words = [render.word(agents.AgentState, agent.state, "AGENT_STATE_")]
    if agent.HasField("drain"):
        words.append("drained")
    elif agent.draining:
        words.append("draining")
    if agent.unhealthy_reason:
        words.append("unhealthy")
    return ",".join(words)


def gpus_of(agent: agents.Agent) -> str:
    """`2 × NVIDIA H200, 1 × NVIDIA L4`."""
    names = [gpu.display_name for gpu in agent.gpus]
    return ", ".join(f"{names.count(name)} × {name}" for name in dict.fromkeys(names))


def print_agent(context: Context, agent: agents.Agent) -> None:
    """All that is known about one agent, then what it runs."""
    from batuta._cli import render, tables

    drain = agent.drain if agent.HasField("drain") else None
    context.print(
        tables.facts(
            [
                ("id", agent.id),
                ("state", state_of(agent)),
                ("drain", "" if drain is None else drain_words(drain)),
                ("unhealthy", agent.unhealthy_reason),
                ("host", agent.host),
                ("release", agent.version),
                ("queues", ", ".join(agent.queue_names or agent.queue_ids)),
                ("runs", f"{len(agent.assignments)}/{agent.max_assignments}"),
                ("gpus", gpus_of(agent)),
                ("labels", ", ".join(f"{name}={value}" for name, value in sorted(agent.labels.items()))),
                ("capabilities", ", ".join(agent.capabilities)),
                ("connected", render.moment(agent.connect_time)),
                ("heartbeat", render.moment(agent.last_heartbeat_time)),
            ]
        )
    )
    if agent.assignments:
        context.print("\n" + running_table(agent, context.width))


def running_table(agent: agents.Agent, width: int | None) -> str:
    """What the agent runs."""
    from batuta._cli import render, tables

    rows = [(each.task_id, each.attempt, render.moment(each.accept_time)) for each in agent.assignments]
    return tables.render(("TASK", "ATTEMPT", "ACCEPTED"), rows, width=width, whole=("TASK",), right=("ATTEMPT",))


def drain_words(drain: agents.AgentDrain) -> str:
    """`since …, until … (what runs is then cancelled): reason`."""
    from batuta._cli import render

    words = f"since {render.moment(drain.request_time)}"
    if drain.HasField("deadline"):
        words += f", what runs is cancelled at {render.moment(drain.deadline)}"
    return f"{words}: {drain.reason}" if drain.reason else words


def mass_loss_words(fleet: agents.GetFleetResponse) -> str:
    """Why lost work stays where it is, in one line; empty when nothing is held back."""
    from batuta._cli import render

    if not fleet.HasField("mass_loss"):
        return ""
    loss = fleet.mass_loss
    return (
        f"many agents are gone at once ({fleet.vanished_count} vanished, {fleet.online_count} online, since "
        f"{render.moment(loss.begin_time)}): work of {loss.held_back_count} lost attempts stays where it is until they "
        f"come back, at most until {render.moment(loss.expire_time)}. `batuta agent declare-lost NAME` moves it now."
    )
