"""The first credentials of a deployment: one for its administrator, one for the agent on the same machine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from batuta_api.users import credentials, people
from batuta_api.users.model import Credential
from batuta_api.users.user import LEVELS
from batuta_api.work import Work, Works
from batuta_chassis.tokens import write_private
from batuta_rpc import trust
from batuta_rpc.config import Connection, format_connection
from batuta_rpc.ids import Ids


@dataclass(frozen=True)
class First:
    """A credential that is made at the first start, and the file that its secret is written to."""

    file_name: str
    subject: str
    role: str
    comment: str


FIRSTS = (
    First("admin.credentials", "admin", "admin", "made at the first start"),
    First("agent.credentials", "agent:local", "agent", "made at the first start, for the agent on this machine"),
)


async def ensure_credentials(
    works: Works, data_dir: Path, api: str, authorities: bytes, now: datetime, ids: Ids
) -> list[Path]:
    """Make what is missing. The files written, each readable by its owner only; they name the `authorities` (PEM) whom
    their holder is to believe at the address `api`.

    The file comes before the row: a crash in between leaves a file that opens nothing, and the next start writes it
    again. The other way round nobody would ever learn the secret.
    """
    written: list[Path] = []
    for first in FIRSTS:
        if not await works.read(partial(_exists, first=first)):
            path = data_dir / first.file_name
            wanted = credentials.Wanted(first.subject, (first.role,), first.comment)
            made, secret = credentials.mint(wanted, now, ids)
            block = format_connection(Connection(api, made.access_key, secret, trust.fold(authorities)))
            write_private(path, block.encode())
            if await works.write(partial(_add, first=first, made=made)):
                written.append(path)
            else:
                path.unlink()
    return written


def _exists(work: Work, first: First) -> bool:
    user = work.people.get(first.subject)
    if user is not None and not user.enabled:
        return True  # a credential would open nothing
    return work.users.has(first.subject, first.role)


def _add(work: Work, first: First, made: Credential) -> bool:
    """Store it. False: another process that started at the same time was quicker."""
    if _exists(work, first):
        return False
    if first.role in LEVELS and work.people.get(first.subject) is None:
        people.create(work, first.subject, first.role, "", made.create_time)
    work.users.add(made)
    return True
