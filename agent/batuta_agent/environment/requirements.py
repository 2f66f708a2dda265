"""Requirement lines: what of pip's language is taken, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from batuta_agent.environment.failure import PreparationFailed

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_EXTRAS = rf"\s*(?:\[\s*(?:{_NAME}(?:\s*,\s*{_NAME})*)?\s*\])?"
_VERSION = r"(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9._*+!-]+"
_VERSIONS = rf"(?:\(\s*{_VERSION}(?:\s*,\s*{_VERSION})*\s*\)|{_VERSION}(?:\s*,\s*{_VERSION})*\s*,?)?"
_VARIABLE = (
    r"(?:python_version|python_full_version|os_name|sys_platform|platform_release|platform_system|platform_version|"
    r"platform_machine|platform_python_implementation|implementation_name|implementation_version|extra)"
)
_TOKEN = rf"(?:{_VARIABLE}\b|'[^'\"\\]*'|\"[^'\"\\]*\"|===|==|~=|!=|<=|>=|<|>|\(|\)|\band\b|\bor\b|\bnot\b|\bin\b)"
_MARKER = rf"(?:\s*;\s*(?P<marker>(?:{_TOKEN}\s*)+))?"
_BY_VERSION = re.compile(rf"(?P<name>{_NAME}){_EXTRAS}\s*(?P<versions>{_VERSIONS})\s*{_MARKER}")
_BY_URL = re.compile(rf"(?P<name>{_NAME}){_EXTRAS}\s*@\s*(?P<url>https://[^\s;'\"\\]+)(?:\s+{_MARKER}|\s*)")


class Requirement(NamedTuple):
    """One package that a task asks for."""

    name: str
    """As packages are compared: lower case, runs of `-_.` as one dash."""
    line: str
    """As it goes to the installer."""


def canonical(name: str) -> str:
    """A package's name as packages are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse(lines: Iterable[str]) -> list[Requirement]:
    """Read requirement lines, sorted, doubles left out. Raises `PreparationFailed`, which names the first bad line.

    Taken: `name`, extras, versions, markers, `name @ https://…`. Refused: options (they choose where packages come
    from, which is the machine owner's business), paths, `-e`, version control URLs.
    """
    found = {_parse_one(line) for line in map(_without_comment, lines) if line}
    return sorted(found)


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s)#.*$", "", line).strip()


def _parse_one(line: str) -> Requirement:
    if len(line) > 2048 or any(ord(each) < 32 or ord(each) == 127 for each in line):
        raise PreparationFailed(f"requirement {line[:80]!r} is not one line of text")
    if line.startswith("-"):
        raise PreparationFailed(f"requirement {line!r} is an option; only packages are taken, such as `numpy==2.1.0`")
    match = _BY_URL.fullmatch(line) or _BY_VERSION.fullmatch(line)
    if match is None:
        raise PreparationFailed(
            f"requirement {line!r} cannot be read: write `name==version`, with extras and markers if need be, "
            "or `name @ https://…`"
        )
    return Requirement(canonical(match["name"]), line)
