"""People from a file: names, hashes of their passwords, roles. For those who come from a server that kept them so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from batuta_api.users import people
from batuta_api.users.passwords import is_hash
from batuta_api.users.user import LEVELS
from batuta_api.work import Work, Works
from batuta_chassis.sources import SettingsError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")


@dataclass(frozen=True)
class Line:
    """One user of the file."""

    name: str
    password_hash: str
    role: str
    display_name: str


async def bring_in(works: Works, path: Path, now: datetime) -> list[str]:
    """Make the users of a file who are not there yet, and give their password to those who have none.

    Nobody who is there loses anything: a password set since, a role, being disabled. Returns the names of those made or
    changed. Raises `SettingsError` for a file that cannot be read.
    """
    lines = read(path)
    return await works.write(lambda work: [line.name for line in lines if _bring_in(work, line, now)])


def _bring_in(work: Work, line: Line, now: datetime) -> bool:
    known = work.people.get(line.name)
    if known is None:
        people.create(work, line.name, line.role, line.display_name, now)
    elif known.password_hash:
        return False
    people.set_password(work, line.name, line.password_hash, now)
    return True


def read(path: Path) -> list[Line]:
    """The users of a file: `NAME:HASH[:ROLE[:DISPLAY NAME]]` a line, as htpasswd writes it; # begins a comment.

    HASH is bcrypt or argon2; ROLE is viewer, member or admin (member). Raises `SettingsError` naming the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"users_file={path} cannot be read: {error}") from error
    found = [_line(path, number, each) for number, each in enumerate(text.splitlines(), 1) if _counts(each)]
    names = [line.name for line in found]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise SettingsError(f"users_file={path}: {twice} is there twice")
    return found


def _counts(text: str) -> bool:
    return bool(text.strip()) and not text.lstrip().startswith("#")


def _line(path: Path, number: int, text: str) -> Line:
    name, _, rest = text.strip().partition(":")
    password_hash, _, rest = rest.partition(":")
    role, _, display_name = rest.partition(":")
    role = role or "member"
    wrong = (
        f"{name!r} is no name of a user"
        if not _NAME.fullmatch(name)
        else f"the hash of {name} is neither bcrypt ($2b$…) nor argon2 ($argon2id$…)"
        if not is_hash(password_hash)
        else f"the role of {name} is {role!r}, and not one of {', '.join(LEVELS)}"
        if role not in LEVELS
        else ""
    )
    if wrong:
        raise SettingsError(f"users_file={path}, line {number}: {wrong}. A line is NAME:HASH[:ROLE[:DISPLAY NAME]]")
    return Line(name, password_hash, role, display_name)
