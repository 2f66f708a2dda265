"""Where a service's settings come from: flags, else environment variables, else a TOML file, else defaults.

The file has one table a service and `[all]` for every one of them; `[queue.limits]` holds limits:

    [all]
    log_level = "INFO"
    [queue]
    port = 8481
    [queue.limits]
    max_sessions = 500
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

FLAG, ENVIRONMENT, FILE, DEFAULT = "flag", "environment", "file", "default"
CONFIG_VARIABLE = "BATUTA_SERVER_CONFIG"
"""Names the file for all services."""
ALL = "all"
SERVICES = ("api", "queue", "autoscaler")
LIMITS = "limits"


class SettingsError(Exception):
    """A setting is wrong; the text says which and what to do."""


@dataclass(frozen=True)
class Given:
    """A value that somebody gave, and where."""

    value: object
    origin: str


def setting(default: Any, sentence: str, *, unit: str = "", secret: bool = False) -> Any:
    """A field that can be set. `sentence` says what it is; `secret` ones are never shown."""
    return field(default=default, metadata=words(sentence, unit, secret))


def words(sentence: str, unit: str = "", secret: bool = False) -> dict[str, Any]:
    """The metadata of such a field."""
    return {"help": sentence, "unit": unit, "secret": secret}


def settable(kind: type[Any]) -> list[Field[Any]]:
    """The fields of a dataclass that can be set: all but the service's name and its limits."""
    return [each for each in fields(kind) if each.name not in ("service", LIMITS)]


def flag_of(name: str) -> str:
    """The flag of a setting."""
    return "--" + name.replace("_", "-")


def variable_of(service: str, name: str) -> str:
    """The environment variable of a setting."""
    return f"BATUTA_{service}_{name}".upper()


class Sources:
    """What one service was given: by `name`, and limits by `limits.name`."""

    def __init__(
        self,
        kind: type[Any],
        service: str,
        argv: Sequence[str] | None,
        environ: Mapping[str, str],
        limits_help: str = "",
        config: str = "",
    ) -> None:
        """`kind` is the dataclass of the settings. `config` names the file where no flag does.

        Raises `SettingsError`.
        """
        self.given: dict[str, Given] = {}
        self._kinds = {each.name: str(each.type) for each in settable(kind)}
        parser = _parser(kind, service, limits_help)
        flags = vars(parser.parse_args(argv))
        self.config = str(flags.get("config") or config or environ.get(CONFIG_VARIABLE, ""))
        """The file; empty: none."""
        by_flag = flags.get("config") or config
        self.config_origin = FLAG if by_flag else ENVIRONMENT if self.config else DEFAULT
        if self.config:
            self._take_file(Path(self.config).expanduser(), service)
        self._take_texts(
            {name: environ.get(variable_of(service, name)) for name in self._kinds},
            limits_in(environ, service),
            ENVIRONMENT,
        )
        self._take_texts(flags, _pairs(flags.get("limit") or ()), FLAG)

    @property
    def values(self) -> dict[str, Any]:
        """What to make the settings of; defaults are left out."""
        plain = {name: each.value for name, each in self.given.items() if "." not in name}
        head = f"{LIMITS}."
        limits = {name[len(head) :]: each.value for name, each in self.given.items() if name.startswith(head)}
        return {**plain, LIMITS: limits}

    def origin(self, name: str) -> str:
        """Where the value of a setting comes from."""
        return self.given[name].origin if name in self.given else DEFAULT

    def _take_texts(self, texts: Mapping[str, Any], limits: Mapping[str, str], origin: str) -> None:
        for name, kind in self._kinds.items():
            text = texts.get(name)
            if text is not None:
                self.given[name] = Given(_read(f"{flag_of(name)} (or its environment variable)", kind, text), origin)
        for name, text in limits.items():
            self.given[f"{LIMITS}.{name}"] = Given(text, origin)

    def _take_file(self, path: Path, service: str) -> None:
        tables = _tables(path, service)
        for table, content in tables.items():
            self._check_keys(path, table, content)
        for table in (ALL, service):
            for key, value in tables.get(table, {}).items():
                if key != LIMITS:
                    self.given[key] = Given(_from_toml(path, table, key, self._kinds[key], value), FILE)
                    continue
                for name, number in value.items():
                    self.given[f"{LIMITS}.{name}"] = Given(str(number), FILE)

    def _check_keys(self, path: Path, table: str, content: Mapping[str, Any]) -> None:
        for key, value in content.items():
            if key == LIMITS and table != ALL and isinstance(value, dict):
                continue
            if key not in self._kinds:
                raise SettingsError(
                    f"{path}: there is no setting {key!r} (in [{table}]). `batuta config show` lists all that there are"
                )


def limits_in(environ: Mapping[str, str], service: str) -> dict[str, str]:
    """The limits of a service that the environment sets, by name."""
    prefix = variable_of(service, "limit_")
    return {name[len(prefix) :].lower(): text for name, text in environ.items() if name.startswith(prefix)}


def _tables(path: Path, service: str) -> dict[str, dict[str, Any]]:
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the settings in {path} ({error.strerror}): see --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no TOML: {error}") from error
    known = (ALL, *SERVICES, service)
    for table, held in content.items():
        if not isinstance(held, dict):
            raise SettingsError(f"{path}: {table!r} stands outside of a table; write it below [{ALL}] or [{service}]")
        if table not in known:
            raise SettingsError(
                f"{path}: there is no service {table!r}; its tables are {', '.join(dict.fromkeys(known))}"
            )
    return content


def _parser(kind: type[Any], service: str, limits_help: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"batuta-{service}",
        description=f"The {service} service of Batuta.",
        epilog=f"Limits, with their defaults:\n{limits_help}" if limits_help else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE", help=f"TOML file of settings (or the variable {CONFIG_VARIABLE})")
    if limits_help:
        parser.add_argument(
            "--limit", action="append", default=[], metavar="NAME=VALUE", help="set a limit; may be repeated"
        )
    for each in settable(kind):
        parser.add_argument(flag_of(each.name), help=each.metadata.get("help"))
    return parser


def _pairs(given: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"--limit takes NAME=VALUE, not {text!r}")
        pairs[name.strip().replace("-", "_")] = value.strip()
    return pairs


_FITTING: dict[str, tuple[type, ...]] = {"bool": (bool,), "int": (int,), "float": (int, float)}


def _from_toml(path: Path, table: str, key: str, kind: str, value: object) -> object:
    fitting = _FITTING.get(kind, (str,))
    if isinstance(value, bool) is not (kind == "bool") or not isinstance(value, fitting):
        raise SettingsError(f"{path}: {key} (in [{table}]) takes a {kind}, not {value!r}")
    return _read(key, kind, value) if isinstance(value, str) else value


def _read(name: str, kind: str, text: str) -> object:
    try:
        if kind == "bool":
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        if kind == "Path":
            return Path(text).expanduser().absolute()
        return int(text) if kind == "int" else float(text) if kind == "float" else text
    except (KeyError, ValueError):
        raise SettingsError(f"{name} takes a {kind}, not {text!r}") from None
