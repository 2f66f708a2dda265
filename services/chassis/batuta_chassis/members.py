"""The processes of one service that share its database, as rows: who there is, and that it still lives.

A row counts beats instead of naming a time: whoever watches counts its own looks at which nothing moved, so that no
two clocks are ever compared, and a watcher that stood still itself has looked at nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from batuta_chassis.prepared import Prepared


@dataclass(frozen=True, slots=True)
class Member:
    """One process. `address` is for people."""

    id: str
    address: str
    beats: int


class MemberStore(Protocol):
    """The rows, inside one transaction."""

    def add(self, member: Member) -> None:
        """A process comes."""
        ...

    def beat(self, member_id: str) -> bool:
        """Count one beat. False: there is no such row any more."""
        ...

    def all(self) -> list[Member]:
        """Every row."""
        ...

    def present(self, member_id: str) -> bool:
        """Whether a row is there. In a writing transaction it stays there until that ends."""
        ...

    def remove(self, member: Member) -> bool:
        """Take a row out, if it has not moved since it was read."""
        ...


def members_table(metadata: MetaData) -> Table:
    """The table, as part of a service's own `metadata`."""
    return Table(
        "members",
        metadata,
        Column("id", String(64), primary_key=True),
        Column("address", String(1024), nullable=False),
        Column("beats", BigInteger, nullable=False),
    )


MEMBERS = members_table(MetaData())
"""The same table, standing alone: for migrations and for the statements here."""
_PRESENT = Prepared(select(MEMBERS.c.id).where(MEMBERS.c.id == bindparam("id")))
_KNOWN = "batuta_member"
"""Where a connection keeps the member that it has found in its transaction."""


class SqlMembers:
    """`MemberStore` over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, member: Member) -> None:
        """See `MemberStore.add`."""
        self._forget()
        values = {"id": member.id, "address": member.address, "beats": member.beats}
        self._connection.execute(insert(MEMBERS), values)

    def beat(self, member_id: str) -> bool:
        """See `MemberStore.beat`."""
        beaten = update(MEMBERS).where(MEMBERS.c.id == member_id).values(beats=MEMBERS.c.beats + 1)
        return self._connection.execute(beaten).rowcount == 1

    def all(self) -> list[Member]:
        """See `MemberStore.all`."""
        return [Member(row.id, row.address, row.beats) for row in self._connection.execute(select(MEMBERS))]

    def present(self, member_id: str) -> bool:
        """See `MemberStore.present`."""
        # No lock on the row: one writing transaction of a service runs at a time (ADR 10).
        transaction = self._connection.get_transaction()
        known: tuple[object, str] | None = self._connection.info.get(_KNOWN)
        if known is not None and known == (transaction, member_id):
            return True  # every use case of a group asks, and only this transaction could have taken it out
        found = _PRESENT.row(self._connection, {"id": member_id}) is not None
        if found:
            self._connection.info[_KNOWN] = (transaction, member_id)
        return found

    def remove(self, member: Member) -> bool:
        """See `MemberStore.remove`."""
        self._forget()
        gone = delete(MEMBERS).where(MEMBERS.c.id == member.id, MEMBERS.c.beats == member.beats)
        return self._connection.execute(gone).rowcount == 1

    def _forget(self) -> None:
        self._connection.info.pop(_KNOWN, None)


class MemoryMembers:
    """`MemberStore` in memory, for tests."""

    def __init__(self) -> None:
        self._rows: dict[str, Member] = {}

    def add(self, member: Member) -> None:
        """See `MemberStore.add`."""
        self._rows[member.id] = member

    def beat(self, member_id: str) -> bool:
        """See `MemberStore.beat`."""
        known = self._rows.get(member_id)
        if known is None:
            return False
        self._rows[member_id] = Member(known.id, known.address, known.beats + 1)
        return True

    def all(self) -> list[Member]:
        """See `MemberStore.all`."""
        return list(self._rows.values())

    def present(self, member_id: str) -> bool:
        """See `MemberStore.present`."""
        return member_id in self._rows

    def remove(self, member: Member) -> bool:
        """See `MemberStore.remove`."""
        if self._rows.get(member.id) != member:
            return False
        del self._rows[member.id]
        return True
