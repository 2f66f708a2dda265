"""Limits of a service: what grows has one, each limit a name, a default and a setting.

A service lists its limits as fields of a frozen dataclass, whole numbers with their help in the metadata:
`series_per_task: int = limit(50_000, "series that one task may have")`. An operator sets one with
`--limit series_per_task=1000` or, several at once, with `BATUTA_API_LIMITS=series_per_task=1000,attempts_per_task=50`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, TypeVar

from batuta_chassis.settings import SettingsError

L = TypeVar("L")

_NUMBER = re.compile(r"([0-9]+)\s*(Ki|Mi|Gi)?")
_UNITS = {None: 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def limit(default: int, help_text: str, *, least: int = 1) -> Any:
    """A field that is a limit. `least` is the smallest number that makes sense."""
    return field(default=default, metadata={"help": help_text, "least": least})


def read_limits(kind: type[L], given: Mapping[str, str]) -> L:
    """The limits of a service, with what was set. Raises `SettingsError` for a name or number that cannot be."""
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]  # every kind is a dataclass
    values: dict[str, int] = {}
    for name, text in given.items():
        if name not in known:
            raise SettingsError(f"there is no limit {name!r}; there are: {describe(kind)}")
        number, least = _number(name, text), int(known[name].metadata["least"])
        if number < least:
            raise SettingsError(f"limit {name} is at least {least}, not {number}")
        values[name] = number
    return kind(**values)


def describe(kind: type[Any]) -> str:
    """All limits of a kind with their defaults, for people."""
    return ", ".join(f"{each.name}={each.default} ({each.metadata['help']})" for each in fields(kind))


def _number(name: str, text: str) -> int:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise SettingsError(f"limit {name} is a whole number, with Ki, Mi or Gi where that helps, not {text!r}")
    return int(found[1]) * _UNITS[found[2]]
