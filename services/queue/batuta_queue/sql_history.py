"""Histories as rows: one for each slot of a ring, written over when its time comes round."""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is SQLite's too

from batuta_chassis.prepared import Prepared
from batuta_queue.history import TIERS, Point
from batuta_queue.tables import history

_PART = 200
_KEY = (history.c.tier, history.c.slot, history.c.subject)
_new = insert(history)
_SAVE = Prepared(
    _new.on_conflict_do_update(
        index_elements=list(_KEY),
        set_={column.name: _new.excluded[column.name] for column in history.columns if not column.primary_key},
    ),
    history.columns.keys(),
)
_AT = select(history).where(
    history.c.subject.in_(bindparam("subjects", expanding=True)),
    history.c.tier == bindparam("tier"),
    history.c.slot == bindparam("slot"),
    history.c.time_millis == bindparam("millis"),
)
_ROWS = (
    history.c.tier == bindparam("tier"),
    # Named one by one, each is found at once, whatever other subjects there are.
    history.c.slot.in_(bindparam("slots", expanding=True)),
    history.c.subject == bindparam("subject"),
)
_DROP = delete(history).where(*_ROWS)
_RANGE = select(history).where(
    *_ROWS,
    history.c.time_millis >= bindparam("since"),
    history.c.time_millis < bindparam("until"),
)


class HistoryRows:
    """The part of the store that keeps histories."""

    _connection: Connection

    def points_at(self, subjects: Sequence[str], tier: int, millis: int) -> Mapping[str, Point]:
        """See `HistoryStore.points_at`."""
        found: dict[str, Point] = {}
        place = {"tier": tier, "slot": TIERS[tier].slot(millis), "millis": millis}
        for start in range(0, len(subjects), _PART):
            rows = self._connection.execute(_AT, {**place, "subjects": list(subjects[start : start + _PART])})
            found.update((row.subject, _point(row)) for row in rows)
        return found

    def save_points(self, tier: int, millis: int, points: Mapping[str, Point]) -> None:
        """See `HistoryStore.save_points`."""
        place = {"tier": tier, "slot": TIERS[tier].slot(millis), "time_millis": millis}
        _SAVE.run_all(self._connection, [{**place, **_values(subject, each)} for subject, each in points.items()])

    def history(self, subject: str, tier: int, since: int, until: int) -> list[tuple[int, Point]]:
        """See `HistoryStore.history`."""
        ring = TIERS[tier]
        first, last = ring.begin(since), max(since, until - 1)
        times = range(first, min(last, first + ring.span - 1) + 1, ring.period)
        asked: dict[str, Any] = {"subject": subject, "tier": tier, "since": since, "until": until}
        asked["slots"] = [ring.slot(millis) for millis in times]
        return sorted(
            ((row.time_millis, _point(row)) for row in self._connection.execute(_RANGE, asked)),
            key=lambda pair: pair[0],
        )

    def drop_history(self, subject: str) -> None:
        """See `HistoryStore.drop_history`."""
        drop_history(self._connection, subject)


def drop_history(connection: Connection, subject: str) -> None:
    """Forget all of a subject."""
    for tier, ring in enumerate(TIERS):
        connection.execute(_DROP, {"subject": subject, "tier": tier, "slots": list(range(ring.slots))})


def _values(subject: str, point: Point) -> dict[str, Any]:
    return {
        "subject": subject,
        "samples": point.samples,
        "means": _packed(point.means),
        "peaks": None if point.peaks == point.means else _packed(point.peaks),
        "names": "\n".join(point.names) or None,
        "waits": json.dumps(dict(point.waits), separators=(",", ":")) if point.waits else None,
    }


def _point(row: Row[Any]) -> Point:
    means = _unpacked(row.means)
    return Point(
        row.samples,
        means,
        means if row.peaks is None else _unpacked(row.peaks),
        tuple(row.names.split("\n")) if row.names else (),
        {int(each): count for each, count in json.loads(row.waits).items()} if row.waits else {},
    )


def _packed(numbers: Sequence[float]) -> bytes:
    """Four bytes a number, little end first: enough for a plot."""
    packed = array("f", numbers)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _unpacked(data: bytes) -> tuple[float, ...]:
    packed = array("f")
    packed.frombytes(data)
    if sys.byteorder == "big":
        packed.byteswap()
    return tuple(packed)
