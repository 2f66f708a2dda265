"""Who has which agent, as rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, delete, exists, insert, literal, select, update

from batuta_chassis.members import MEMBERS, SqlMembers
from batuta_queue.model import Attempt, Drain, Entry, EntryState
from batuta_queue.share_store import Placement
from batuta_queue.sql_attempts import BOTH, OPEN, attempt_of
from batuta_queue.sql_entries import entry_of
from batuta_queue.tables import agents, attempts, entries, placements, queues

_BY_ID = select(placements).where(placements.c.agent_id == bindparam("id"))
_has_work = exists().where(attempts.c.agent_id == placements.c.agent_id, attempts.c.phase < OPEN)
_drains = (agents.c.drain_reason, agents.c.drain_request_millis, agents.c.drain_deadline_millis)
_facts = [column for column in placements.columns if column.name != "view"]
_OF_OWNER: Select[Any] = (
    select(*_facts, *_drains)
    .join(agents, agents.c.id == placements.c.agent_id, isouter=True)
    .where(placements.c.owner == bindparam("owner"), (placements.c.session_id != "") | _has_work)
)
_ELSEWHERE: Select[Any] = (
    select(placements, agents.c.queue_ids)
    .join(MEMBERS, MEMBERS.c.id == placements.c.owner)
    .join(agents, agents.c.id == placements.c.agent_id)
    .where(placements.c.owner != bindparam("owner"), placements.c.session_id != "")
)
_ATTEMPTS = BOTH.join(placements, placements.c.agent_id == attempts.c.agent_id).where(
    attempts.c.phase < OPEN, placements.c.owner == bindparam("owner")
)
_VIEW = (
    update(placements)
    .where(placements.c.agent_id == bindparam("key"), placements.c.owner == bindparam("me"))
    .values(view=bindparam("seen"))
)
_MANY = 500


class ShareRows:
    """See `ShareStore`."""

    _connection: Connection

    @property
    def members(self) -> SqlMembers:
        """See `ShareStore.members`."""
        return SqlMembers(self._connection)

    def place(self, placement: Placement) -> None:
        """See `ShareStore.place`."""
        values = {
            "agent_id": placement.agent_id,
            "journal_id": placement.journal_id,
            "instance_id": placement.instance_id,
            "host": placement.host,
            "owner": placement.owner,
            "session_id": placement.session_id,
            "view": None,
        }
        here = update(placements).where(placements.c.agent_id == placement.agent_id)
        if self._connection.execute(here.values(values)).rowcount == 0:
            self._connection.execute(insert(placements), values)
        others = and_(placements.c.journal_id == placement.journal_id, placements.c.agent_id != placement.agent_id)
        self._connection.execute(update(placements).where(others).values(owner=placement.owner, session_id=""))

    def placement(self, agent_id: str) -> Placement | None:
        """See `ShareStore.placement`."""
        row = self._connection.execute(_BY_ID, {"id": agent_id}).first()
        return None if row is None else _placement(row, view=row.view)

    def end_session(self, agent_id: str, session_id: str) -> None:
        """See `ShareStore.end_session`."""
        mine = and_(placements.c.agent_id == agent_id, placements.c.session_id == session_id)
        self._connection.execute(update(placements).where(mine).values(session_id=""))

    def adopt(self, owner: str) -> list[str]:
        """See `ShareStore.adopt`."""
        orphans = and_(_has_work, placements.c.owner.not_in(select(MEMBERS.c.id)))
        taken = update(placements).where(orphans).values(owner=owner, session_id="").returning(placements.c.agent_id)
        return list(self._connection.execute(taken).scalars())

    def placements(self, owner: str) -> list[Placement]:
        """See `ShareStore.placements`."""
        return [_placement(row, drain=_drain(row)) for row in self._connection.execute(_OF_OWNER, {"owner": owner})]

    def elsewhere(self, owner: str, agent_ids: Collection[str] | None = None) -> list[Placement]:
        """See `ShareStore.elsewhere`."""
        if agent_ids is None:
            parts = [_ELSEWHERE]
        else:
            listed = list(agent_ids)
            parts = [
                _ELSEWHERE.where(placements.c.agent_id.in_(listed[start : start + _MANY]))
                for start in range(0, len(listed), _MANY)
            ]
        return [
            _placement(row, view=row.view, queue_ids=tuple(row.queue_ids))
            for part in parts
            for row in self._connection.execute(part, {"owner": owner})
        ]

    def owned(self, owner: str, agent_ids: Collection[str]) -> set[str]:
        """See `ShareStore.owned`."""
        found: set[str] = set()
        listed = list(agent_ids)
        for start in range(0, len(listed), _MANY):
            mine = and_(placements.c.owner == owner, placements.c.agent_id.in_(listed[start : start + _MANY]))
            # No lock on the rows: one writing transaction of a service runs at a time (ADR 10).
            found.update(self._connection.execute(select(placements.c.agent_id).where(mine)).scalars())
        return found

    def attempts_of(self, owner: str) -> list[tuple[Entry, Attempt]]:
        """See `ShareStore.attempts_of`."""
        return [(entry_of(row), attempt_of(row)) for row in self._connection.execute(_ATTEMPTS, {"owner": owner})]

    def save_views(self, owner: str, views: Mapping[str, bytes]) -> None:
        """See `ShareStore.save_views`."""
        if views:
            rows = [{"key": agent_id, "me": owner, "seen": view} for agent_id, view in sorted(views.items())]
            self._connection.execute(_VIEW, rows)

    def ready_queues(self, queue_ids: Sequence[str], now: int) -> list[str]:
        """See `ShareStore.ready_queues`."""
        # The state as a literal: a partial index serves only whoever names its condition.
        waits = exists().where(
            entries.c.queue_id == queues.c.id,
            entries.c.state == literal(int(EntryState.WAITING), literal_execute=True),
            entries.c.not_before_millis <= now,
        )
        found: list[str] = []
        for start in range(0, len(queue_ids), _MANY):
            look = select(queues.c.id).where(queues.c.id.in_(list(queue_ids[start : start + _MANY])), waits)
            found += self._connection.execute(look).scalars()
        return found


def forget_placements(connection: Connection) -> None:
    """Forget where agents are that are forgotten themselves."""
    connection.execute(delete(placements).where(placements.c.agent_id.not_in(select(agents.c.id))))


def _drain(row: Row[Any]) -> Drain | None:
    if row.drain_request_millis is None:
        return None
    return Drain(row.drain_reason, row.drain_request_millis, row.drain_deadline_millis)


def _placement(row: Row[Any], **more: Any) -> Placement:
    return Placement(row.agent_id, row.journal_id, row.instance_id, row.host, row.owner, row.session_id, **more)
