"""Credentials and join tokens in SQL."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, literal, select, tuple_, update

from batuta_api.schema import Moment, values
from batuta_api.users.model import Credential, JoinToken
from batuta_api.users.store import Place
from batuta_api.users.tables import credentials, join_tokens

_BY_KEY = select(credentials).where(credentials.c.access_key == bindparam("wanted"))


class SqlUserStore:
    """`UserStore` over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, credential: Credential) -> None:
        """Keep a new credential."""
        self._connection.execute(insert(credentials), _row(credential))

    def get(self, access_key: str) -> Credential | None:
        """By access key."""
        row = self._connection.execute(_BY_KEY, {"wanted": access_key}).mappings().one_or_none()
        return None if row is None else _credential(row)

    def put(self, credential: Credential) -> None:
        """Keep a changed credential."""
        changed = update(credentials).where(credentials.c.access_key == credential.access_key)
        self._connection.execute(changed.values(**_row(credential)))

    def page(self, after: Place | None, limit: int, subject: str = "") -> list[Credential]:
        """The next credentials after a place, newest first; all, or those of one subject."""
        place = tuple_(credentials.c.create_time, credentials.c.access_key)
        query = select(credentials).order_by(credentials.c.create_time.desc(), credentials.c.access_key.desc())
        if after is not None:
            query = query.where(place < tuple_(literal(after.create_time, Moment), after.access_key))
        if subject:
            query = query.where(credentials.c.subject == subject)
        return [_credential(row) for row in self._connection.execute(query.limit(limit)).mappings()]

    def has(self, subject: str, role: str) -> bool:
        """Whether a credential of that subject and role exists that is not revoked."""
        query = select(credentials.c.roles).where(credentials.c.subject == subject, credentials.c.revoke_time.is_(None))
        return any(role in roles.split() for roles in self._connection.execute(query).scalars())

    def revoked_since(self, moment: datetime) -> list[str]:
        """Access keys of credentials that were revoked then or later."""
        query = select(credentials.c.access_key).where(credentials.c.revoke_time >= moment)
        return list(self._connection.execute(query).scalars())

    def add_join_token(self, token: JoinToken) -> None:
        """Keep a new join token."""
        self._connection.execute(insert(join_tokens), asdict(token))

    def join_token(self, token_hash: bytes) -> JoinToken | None:
        """By hash."""
        query = select(join_tokens).where(join_tokens.c.token_hash == token_hash)
        row = self._connection.execute(query).mappings().one_or_none()
        return None if row is None else JoinToken(**values(row))

    def put_join_token(self, token: JoinToken) -> None:
        """Keep a changed join token."""
        changed = update(join_tokens).where(join_tokens.c.token_hash == token.token_hash)
        self._connection.execute(changed.values(**asdict(token)))

    def purge_join_tokens(self, before: datetime) -> int:
        """Drop those that ended before that. How many went."""
        return self._connection.execute(delete(join_tokens).where(join_tokens.c.expire_time < before)).rowcount


def _row(credential: Credential) -> dict[str, Any]:
    return {**asdict(credential), "roles": " ".join(credential.roles)}


def _credential(row: RowMapping) -> Credential:
    fields = values(row)
    fields["roles"] = tuple(fields["roles"].split())
    return Credential(**fields)
