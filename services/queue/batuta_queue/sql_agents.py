"""Agents and their journals as rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is SQLite's too

from batuta_chassis.prepared import Prepared
from batuta_queue.model import Agent, Drain, Gpu, Resources
from batuta_queue.tables import agents, journals

_BY_ID = select(agents).where(agents.c.id == bindparam("id"))
_PAGE = select(agents).where(agents.c.id > bindparam("after")).order_by(agents.c.id).limit(bindparam("count"))
_TOUCH = update(agents).where(agents.c.id == bindparam("key")).values(heartbeat_millis=bindparam("millis"))
_NUMBER = select(journals.c.report_number).where(journals.c.id == bindparam("id"))

_DRAIN_COLUMNS = ("drain_reason", "drain_request_millis", "drain_deadline_millis")
_ONE = update(agents).where(agents.c.id == bindparam("key"))
_DRAIN = _ONE.values({name: bindparam(name) for name in _DRAIN_COLUMNS})
_DRAINED = select(agents).where(agents.c.drain_request_millis.is_not(None))
_LEAVE = _ONE.values(leave_millis=bindparam("millis"))
_HEARD = select(agents.c.id, agents.c.heartbeat_millis).where(
    agents.c.heartbeat_millis >= bindparam("since"), agents.c.leave_millis.is_(None)
)

_new_agent = insert(agents)
# A drain is the operator's, not the agent's: no Hello undoes it.
_UPSERT = _new_agent.on_conflict_do_update(
    index_elements=[agents.c.id],
    set_={
        column.name: _new_agent.excluded[column.name]
        for column in agents.columns
        if not column.primary_key and column.name not in _DRAIN_COLUMNS
    },
)
_new_number = insert(journals)
_RAISE = Prepared(
    _new_number.on_conflict_do_update(
        index_elements=[journals.c.id],
        set_={"report_number": _new_number.excluded.report_number},
        where=journals.c.report_number < _new_number.excluded.report_number,
    ),
    journals.columns.keys(),
)


class AgentRows:
    """The part of the store that keeps agents."""

    _connection: Connection

    def save_agent(self, agent: Agent) -> None:
        """See `QueueStore.save_agent`."""
        self._connection.execute(_UPSERT, _values(agent))

    def agent(self, agent_id: str) -> Agent | None:
        """See `QueueStore.agent`."""
        row = self._connection.execute(_BY_ID, {"id": agent_id}).first()
        return None if row is None else _agent(row)

    def agents(self, after_id: str, limit: int) -> list[Agent]:
        """See `QueueStore.agents`."""
        return [_agent(row) for row in self._connection.execute(_PAGE, {"after": after_id, "count": limit})]

    def drain_agent(self, agent_id: str, drain: Drain | None) -> None:
        """See `QueueStore.drain_agent`."""
        values = {} if drain is None else {f"drain_{name}": value for name, value in asdict(drain).items()}
        self._connection.execute(_DRAIN, {"key": agent_id, **dict.fromkeys(_DRAIN_COLUMNS), **values})

    def drained_agents(self) -> list[Agent]:
        """See `QueueStore.drained_agents`."""
        return [_agent(row) for row in self._connection.execute(_DRAINED)]

    def agent_left(self, agent_id: str, millis: int) -> None:
        """See `QueueStore.agent_left`."""
        self._connection.execute(_LEAVE, {"key": agent_id, "millis": millis})

    def heard_since(self, millis: int) -> Mapping[str, int]:
        """See `QueueStore.heard_since`."""
        return {row[0]: row[1] for row in self._connection.execute(_HEARD, {"since": millis})}

    def touch_agents(self, heard: Mapping[str, int]) -> None:
        """See `QueueStore.touch_agents`."""
        if heard:
            self._connection.execute(_TOUCH, [{"key": each, "millis": millis} for each, millis in heard.items()])

    def report_number(self, journal_id: str) -> int:
        """See `QueueStore.report_number`."""
        return self._connection.execute(_NUMBER, {"id": journal_id}).scalar() or 0

    def save_report_number(self, journal_id: str, number: int) -> None:
        """See `QueueStore.save_report_number`."""
        _RAISE.run(self._connection, {"id": journal_id, "report_number": number})


def _agent(row: Row[Any]) -> Agent:
    drain = None
    if row.drain_request_millis is not None:
        drain = Drain(row.drain_reason, row.drain_request_millis, row.drain_deadline_millis)
    return Agent(
        id=row.id,
        instance_id=row.instance_id,
        journal_id=row.journal_id,
        boot_id=row.boot_id,
        host=row.host,
        version=row.version,
        queue_ids=tuple(row.queue_ids),
        max_assignments=row.max_assignments,
        connect_millis=row.connect_millis,
        heartbeat_millis=row.heartbeat_millis,
        labels=row.labels,
        capabilities=tuple(row.capabilities),
        capacity=Resources(**row.capacity),
        gpus=tuple(Gpu(**each) for each in row.gpus),
        drain=drain,
        leave_millis=row.leave_millis,
    )


def _values(agent: Agent) -> dict[str, Any]:
    return {
        "id": agent.id,
        "instance_id": agent.instance_id,
        "journal_id": agent.journal_id,
        "boot_id": agent.boot_id,
        "host": agent.host,
        "version": agent.version,
        "queue_ids": list(agent.queue_ids),
        "max_assignments": agent.max_assignments,
        "connect_millis": agent.connect_millis,
        "heartbeat_millis": agent.heartbeat_millis,
        "labels": dict(agent.labels),
        "capabilities": list(agent.capabilities),
        "capacity": asdict(agent.capacity),
        "gpus": [asdict(gpu) for gpu in agent.gpus],
        "leave_millis": agent.leave_millis,
    }
