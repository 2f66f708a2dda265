"""Limits and periods of a service as settings: the fields of one frozen dataclass, each with a default and a sentence.

A field made by `limit` can be set at the start of the process, with `--limit name=value` (as often as needed) or with
the variable `BATUTA_<SERVICE>_LIMIT_<NAME>`; other fields cannot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import metadata
from typing import Any, TypeVar, cast

from batuta_chassis.settings import SettingsError

T = TypeVar("T")
GROUP = "batuta.limits"
"""Entry points: the name of a service, and its dataclass of limits."""
_UNITS = ("seconds", "hours", "days", "bytes")


@dataclass(frozen=True, slots=True)
class Limit:
    """One number that can be set."""

    name: str
    default: float
    low: float
    sentence: str

    @property
    def whole(self) -> bool:
        """Whether it is a whole number."""
        return isinstance(self.default, int)

    @property
    def shown(self) -> str:
        """The default as people write it."""
        return str(int(self.default) if self.default == int(self.default) else self.default)

    @property
    def unit(self) -> str:
        """The unit that the sentence names; empty for a plain number."""
        return next((unit for unit in _UNITS if unit in self.sentence.split()[0] or f"in {unit}" in self.sentence), "")

    def read(self, text: str) -> float:
        """The value in a text. Raises `SettingsError`."""
        try:
            value: float = int(text) if self.whole else float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < self.low:
            kind = "a whole number" if self.whole else "a number"
            raise SettingsError(f"the limit {self.name} is {kind} from {self.low:g} on, not {text!r}")
        return value


def limit(default: float, sentence: str, low: float = 1) -> Any:
    """A field that can be set. `sentence` says what it is, with its unit."""
    return field(default=default, metadata={"limit": sentence, "low": low})


def limits_of(kind: type[Any]) -> list[Limit]:
    """What can be set of a dataclass, in its order."""
    return [
        Limit(each.name, cast("float", each.default), each.metadata["low"], each.metadata["limit"])
        for each in fields(kind)
        if "limit" in each.metadata
    ]


def read_limits(kind: type[T], given: Mapping[str, str]) -> T:
    """The dataclass with what was given. Raises `SettingsError` for a name or a value that cannot be, and for values
    that do not go together (a `ValueError` of the dataclass)."""
    known = {each.name: each for each in limits_of(kind)}
    for name in given:
        if name not in known:
            raise SettingsError(f"there is no limit {name!r}; there are: {', '.join(known)}")
    values: dict[str, Any] = {name: known[name].read(text) for name, text in given.items()}
    try:
        return cast("Any", kind)(**values)  # type: ignore[no-any-return]
    except ValueError as error:
        raise SettingsError(str(error)) from error


def installed(service: str) -> type[Any] | None:
    """The limits of a service of this environment; None: it has none."""
    for point in metadata.entry_points(group=GROUP, name=service):
        return cast("type[Any]", point.load())
    return None


def described(limits: Sequence[Limit]) -> str:
    """The limits for `--help`, one a line."""
    size = max((len(each.name) for each in limits), default=0)
    return "\n".join(f"  {each.name:<{size}}  {each.sentence} ({each.shown})" for each in limits)
