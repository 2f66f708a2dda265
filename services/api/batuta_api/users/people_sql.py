"""Users in SQL."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from batuta_api.schema import values
from batuta_api.users.tables import users
from batuta_api.users.user import User


class SqlPeopleStore:
    """`PeopleStore` over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, user: User) -> None:
        """Keep a new user."""
        self._connection.execute(insert(users), asdict(user))

    def get(self, name: str) -> User | None:
        """By name."""
        row = self._connection.execute(select(users).where(users.c.name == name)).mappings().one_or_none()
        return None if row is None else User(**values(row))

    def put(self, user: User) -> None:
        """Keep a changed user."""
        self._connection.execute(update(users).where(users.c.name == user.name).values(**asdict(user)))

    def page(self, after: str | None, limit: int) -> list[User]:
        """The next users after a name, by name as code points order it."""
        query = select(users).order_by(users.c.name).limit(limit)
        if after is not None:
            query = query.where(users.c.name > after)
        return [User(**values(row)) for row in self._connection.execute(query).mappings()]

    def fenced_since(self, moment: datetime) -> dict[str, int]:
        """The epochs, by name, of users whose epoch went up then or later."""
        query = select(users.c.name, users.c.epoch).where(users.c.epoch_time >= moment)
        return {row.name: row.epoch for row in self._connection.execute(query)}

    def admins(self, limit: int) -> list[User]:
        """Users that may manage users now, at most so many."""
        query = select(users).where(users.c.role == "admin", users.c.disable_time.is_(None)).limit(limit)
        return [User(**values(row)) for row in self._connection.execute(query).mappings()]
