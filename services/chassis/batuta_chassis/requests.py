"""One request, one effect: what a call that carries a `request_id` answered, kept in the transaction of its effect.

The same caller, method and id with the same bytes gets the same answer again; with other bytes it is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    insert,
    select,
)

from batuta_chassis.database import Database
from batuta_chassis.prepared import Prepared
from batuta_chassis.service import Hook
from batuta_rpc.clock import Clock, SystemClock
from batuta_rpc.errors import RequestIdReused

M = TypeVar("M", bound=Message)

KEPT_HOURS = 24
_PURGE_PERIOD = 600.0
_PURGE_ROWS = 5_000


def requests_table(metadata: MetaData) -> Table:
    """The table, as part of a service's own `metadata`."""
    return Table(
        "requests",
        metadata,
        Column("caller", String(256), primary_key=True),
        Column("method", String(128), primary_key=True),
        Column("request_id", String(64), primary_key=True),
        Column("request_hash", LargeBinary, nullable=False),
        Column("response", LargeBinary, nullable=False),
        Column("create_time", BigInteger, nullable=False),  # milliseconds since 1970
        Index("requests_by_time", "create_time"),
        sqlite_with_rowid=False,
    )


REQUESTS = requests_table(MetaData())
"""The same table, standing alone: for migrations (`REQUESTS.create(op.get_bind())`) and for the statements here."""
# Built once: every call that changes something runs it, and building costs more than running.
_FIND = Prepared(
    select(REQUESTS.c.request_hash, REQUESTS.c.response).where(
        REQUESTS.c.caller == bindparam("by"),
        REQUESTS.c.method == bindparam("what"),
        REQUESTS.c.request_id == bindparam("which"),
    )
)
_KEEP = Prepared(insert(REQUESTS))


class RequestStore(Protocol):
    """Where answers are kept, within the running transaction."""

    def find_request(self, caller: str, method: str, request_id: str) -> tuple[bytes, bytes] | None:
        """(hash of the request, serialized response), if the id was seen."""
        ...

    def keep_request(self, caller: str, method: str, request_id: str, request_hash: bytes, response: bytes) -> None:
        """Keep an answer."""
        ...


class SqlRequests:
    """Answers in the table `requests`."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def find_request(self, caller: str, method: str, request_id: str) -> tuple[bytes, bytes] | None:
        """(hash of the request, serialized response), if the id was seen."""
        wanted = {"by": caller, "what": method, "which": request_id}
        row = _FIND.row(self._connection, wanted)
        return None if row is None else (bytes(row[0]), bytes(row[1]))

    def keep_request(self, caller: str, method: str, request_id: str, request_hash: bytes, response: bytes) -> None:
        """Keep an answer."""
        _KEEP.run(
            self._connection,
            {
                "caller": caller,
                "method": method,
                "request_id": request_id,
                "request_hash": request_hash,
                "response": response,
                "create_time": self._clock.unix_millis(),
            },
        )


def once(
    store: Connection | RequestStore,
    caller: str,
    method: str,
    request: Message,
    fn: Callable[[], M],
    clock: Clock | None = None,
) -> M:
    """Run `fn` in the running transaction, unless this request has had its effect: then return what it answered.

    `method` is the full name `batuta.tasks.v1.TaskService/CreateTask` (a leading slash is fine). A request without
    `request_id` always runs. Raises `RequestIdReused` when the id came before with other contents.
    """
    request_id = str(cast("Any", request).request_id)
    if not request_id:
        return fn()
    answers = SqlRequests(store, clock or SystemClock()) if isinstance(store, Connection) else store
    method = method.lstrip("/")
    digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    known = answers.find_request(caller, method, request_id)
    if known is None:
        response = fn()
        answers.keep_request(caller, method, request_id, digest, response.SerializeToString())
        return response
    if known[0] != digest:
        raise RequestIdReused(
            f"request_id {request_id} was used before for another {method.rpartition('/')[2]}; make a new id",
            request_id=request_id,
            method=method,
        )
    return cast("M", _response_type(method).FromString(known[1]))


def _response_type(method: str) -> type[Message]:
    service, _, name = method.rpartition("/")
    described = descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
    return message_factory.GetMessageClass(described.output_type)


def purge(database: Database, clock: Clock, hours: int = KEPT_HOURS) -> Hook:
    """Background work: forget answers after so many hours."""

    async def work() -> None:
        while True:
            before = clock.unix_millis() - hours * 3_600_000
            while await database.write(partial(_purge_some, before=before)) == _PURGE_ROWS:
                pass
            await clock.sleep(_PURGE_PERIOD)

    return work


def _purge_some(connection: Connection, before: int) -> int:
    """Delete one bounded batch, so that no use case waits behind a long purge. Returns how many went."""
    key = (REQUESTS.c.caller, REQUESTS.c.method, REQUESTS.c.request_id)
    old = connection.execute(select(*key).where(REQUESTS.c.create_time < before).limit(_PURGE_ROWS)).all()
    for row in old:
        connection.execute(delete(REQUESTS).where(key[0] == row.caller, key[1] == row.method, key[2] == row.request_id))
    return len(old)
