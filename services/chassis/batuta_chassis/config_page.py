"""Every setting of a service with what it is now, where that comes from, and the words for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from batuta_chassis.limits import Limit, described, installed, limits_of, read_limits
from batuta_chassis.settings import Settings
from batuta_chassis.sources import CONFIG_VARIABLE, LIMITS, Sources, flag_of, settable, variable_of

_MASK = "***"


@dataclass(frozen=True)
class Shown:
    """One setting for people and programs. `toml` is its key, dots between the tables; secrets are masked."""

    service: str
    name: str
    value: str
    origin: str
    default: str
    unit: str
    variable: str
    toml: str
    flag: str
    description: str

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


def page(
    service: str,
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    config: str = "",
    kind: type[Any] = Settings,
    limits: type[Any] | None = None,
) -> list[Shown]:
    """All settings of a service as a process with these flags and variables would have them. Raises `SettingsError`."""
    limits = limits or installed(service)
    known = [] if limits is None else limits_of(limits)
    given = Sources(kind, service, argv, environ, described(known), config)
    now, plain = kind(service=service, **given.values), kind(service=service)
    rows = [_config(service, given)]
    for each in settable(kind):
        told = each.metadata
        value, default = (_text(getattr(one, each.name), bool(told.get("secret"))) for one in (now, plain))
        rows.append(
            Shown(
                service,
                each.name,
                value,
                given.origin(each.name),
                default,
                told.get("unit", ""),
                variable_of(service, each.name),
                f"{service}.{each.name}",
                flag_of(each.name),
                told.get("help", ""),
            )
        )
    if limits is not None:
        rows += _limits(service, known, read_limits(limits, now.limits), given)
    return rows


def _config(service: str, given: Sources) -> Shown:
    words = "TOML file of settings"
    origin = given.config_origin
    return Shown(service, "config", given.config, origin, "", "", CONFIG_VARIABLE, "", "--config", words)


def _limits(service: str, known: Sequence[Limit], now: object, given: Sources) -> Iterator[Shown]:
    for each in known:
        yield Shown(
            service,
            f"{LIMITS}.{each.name}",
            f"{getattr(now, each.name):.15g}",
            given.origin(f"{LIMITS}.{each.name}"),
            each.shown,
            each.unit,
            variable_of(service, f"limit_{each.name}"),
            f"{service}.{LIMITS}.{each.name}",
            f"--limit {each.name}=",
            each.sentence,
        )


def as_text(rows: Sequence[Shown]) -> str:
    """Three lines a setting."""
    return "\n".join(_lines(row) for row in rows)


def _lines(row: Shown) -> str:
    unit = f" {row.unit}" if row.unit and row.value else ""
    where = "default" if row.origin == "default" else f"{row.origin}; default {row.default or 'none'}"
    ways = [
        row.variable,
        row.flag,
        *([f"[{row.toml.rpartition('.')[0]}] {row.name.rpartition('.')[2]}"] * bool(row.toml)),
    ]
    head = f"{row.service}.{row.name} = {row.value or '(empty)'}{unit}  ({where})"
    return f"{head}\n    {row.description}\n    {'  '.join(ways)}"


def _text(value: object, secret: bool) -> str:
    text = {True: "1", False: "0"}[value] if isinstance(value, bool) else str(value)
    if not secret or not text:
        return text
    if "://" not in text:
        return _MASK
    # What stands before the last @ of the address may hold a password; parameters may as well.
    masked = re.sub(r"(://[^:/@]*):.*@", rf"\1:{_MASK}@", text)
    return re.sub(r"(?i)(password|passwd|pwd|secret|token)=[^&]*", rf"\1={_MASK}", masked)


def undocumented(rows: Sequence[Shown]) -> list[str]:
    """The settings that nobody described."""
    return [f"{row.service}.{row.name}" for row in rows if not row.description.strip()]
