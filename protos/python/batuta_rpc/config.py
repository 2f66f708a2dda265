"""Where a program finds its server and its credential: the environment first, then one small file.

The file is INI, mode 0600, by default `~/.batuta/batuta.conf`:

    [batuta]
    api = https://host:8480
    access_key = …
    secret_key = …
    ca = …              the authority that signed the server's certificate, on one line, or
    ca_file = …         its file; neither: a public authority signed it

Imports neither grpc nor protobuf: the SDK reads it before it knows whether there is a server at all.
"""

from __future__ import annotations

import configparser
import io
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from batuta_rpc import trust
from batuta_rpc.trust import Trust

FILE_VARIABLE = "BATUTA_CONFIG_FILE"
API_VARIABLE = "BATUTA_API"
ACCESS_KEY_VARIABLE = "BATUTA_ACCESS_KEY"
SECRET_KEY_VARIABLE = "BATUTA_SECRET_KEY"
SECTION = "batuta"
_NEEDED = ("api", "access_key", "secret_key")


class ConfigError(ValueError):
    """What is written in a configuration cannot be used; the text says where it stands and what to do."""


class Connection(NamedTuple):
    """A server and the credential for it."""

    api: str
    """`http://host:port`, `https://host` or `host:port`."""
    access_key: str
    secret_key: str
    ca: str = ""
    """Authorities of the server's certificate, as `trust.fold` writes them."""
    ca_file: str = ""
    """File of such authorities (PEM); read when the server is dialled."""

    @property
    def trust(self) -> Trust:
        """Whom to believe when dialling `api`. Raises `ConfigError`."""
        try:
            found = trust.unfold(self.ca)
            if self.ca_file:
                found += trust.read_authorities(Path(self.ca_file), "ca_file")
        except ValueError as error:
            raise ConfigError(str(error)) from error
        return Trust(found)

    def __repr__(self) -> str:
        """Without the secret: this ends up in logs."""
        return f"Connection(api={self.api!r}, access_key={self.access_key!r}, secret_key='…')"


def default_path(env: Mapping[str, str]) -> Path:
    """The file that is read when none is named: BATUTA_CONFIG_FILE, else `~/.batuta/batuta.conf`."""
    named = env.get(FILE_VARIABLE)
    return Path(named).expanduser() if named else Path("~/.batuta/batuta.conf").expanduser()


def load_connection(env: Mapping[str, str], path: Path | None = None) -> Connection | None:
    """The connection that `env` or the file at `path` (None: `default_path`) describes, or None.

    BATUTA_API, BATUTA_ACCESS_KEY and BATUTA_SECRET_KEY each win over the file, but the keys of a file are only ever
    used with the address that stands beside them: a secret must not go to another server because a variable was set.
    So are its authorities, over which BATUTA_CA_FILE wins.

    Raises `ConfigError` when something is there but not whole, or cannot be read.
    """
    where = default_path(env) if path is None else path
    stored = _read(where)
    api = env.get(API_VARIABLE) or stored.get("api", "")
    access = env.get(ACCESS_KEY_VARIABLE, "")
    secret = env.get(SECRET_KEY_VARIABLE, "")
    if not access and not secret:
        if api and stored and api != stored.get("api", ""):
            raise ConfigError(
                f"{API_VARIABLE} names {api}, but {where} holds the credential of {stored.get('api', 'no server')}: "
                f"set {ACCESS_KEY_VARIABLE} and {SECRET_KEY_VARIABLE} too, or run `batuta init` for that server"
            )
        access, secret = stored.get("access_key", ""), stored.get("secret_key", "")
    if not (api or access or secret):
        return None
    _whole({"api": api, "access_key": access, "secret_key": secret}, where)
    return _with_authorities(Connection(api, access, secret), env, stored)


def _with_authorities(connection: Connection, env: Mapping[str, str], stored: Mapping[str, str]) -> Connection:
    named = env.get(trust.CA_VARIABLE)
    if named:
        return connection._replace(ca_file=named)
    if stored.get("api") != connection.api:
        return connection
    return connection._replace(ca=stored.get("ca", ""), ca_file=stored.get("ca_file", ""))


def save_connection(path: Path, connection: Connection) -> None:
    """Write the file at `path`, mode 0600, all of it or nothing; missing folders are made with mode 0700."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=str(path.parent), prefix=path.name + ".")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(format_connection(connection))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def format_connection(connection: Connection) -> str:
    """The text of a file, which people also paste into `batuta init`."""
    parser = _parser()
    parser[SECTION] = {name: value for name, value in connection._asdict().items() if value or name in _NEEDED}
    text = io.StringIO()
    parser.write(text)
    return text.getvalue().rstrip("\n") + "\n"


def parse_connection(text: str, source: str = "the text") -> Connection:
    """Read what `format_connection` writes. Raises `ConfigError`, which names `source` and what is missing."""
    found = _parse(text, source)
    _whole(found, source)
    return Connection(
        found["api"], found["access_key"], found["secret_key"], found.get("ca", ""), found.get("ca_file", "")
    )


def read_connection(path: Path) -> Connection:
    """The connection in the file at `path`. Raises `ConfigError`."""
    try:
        return parse_connection(path.expanduser().read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read {path}: it is not text") from error


def _read(path: Path) -> dict[str, str]:
    try:
        return _parse(path.read_text(encoding="utf-8"), str(path))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def _parse(text: str, source: str) -> dict[str, str]:
    parser = _parser()
    try:
        parser.read_string(text, source)
    except configparser.Error as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"{source} is not a Batuta configuration ({first}): it begins with [{SECTION}]") from error
    return {name: value.strip() for name, value in parser[SECTION].items()} if parser.has_section(SECTION) else {}


def _parser() -> configparser.ConfigParser:
    return configparser.ConfigParser(interpolation=None)  # a secret may hold a percent sign


def _whole(found: Mapping[str, str], source: object) -> None:
    missing = [name for name in _NEEDED if not found.get(name)]
    if missing:
        raise ConfigError(
            f"the connection to a server is not whole: {' and '.join(missing)} missing in {source} "
            f"(or in the environment: {', '.join('BATUTA_' + name.upper() for name in missing)})"
        )
