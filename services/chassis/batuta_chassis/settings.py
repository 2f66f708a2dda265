"""What a service process is told at its start: by flags, else by environment variables, else by a TOML file, else by
defaults.

Flag `--data-dir` of the queue service is the variable `BATUTA_QUEUE_DATA_DIR` and the key `data_dir` below `[queue]`,
and so on for each field. Limits are given by `--limit name=value`, `BATUTA_QUEUE_LIMIT_<NAME>` or below
`[queue.limits]`; see `batuta_chassis.limits`. `batuta config show` lists all of it.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from batuta_chassis.sources import SettingsError, Sources, setting, words
from batuta_rpc.target import is_loopback

__all__ = ["Settings", "SettingsError", "default_data_dir"]


NOWHERE = Path()
"""No folder: the default is taken."""


def default_data_dir() -> Path:
    """The data folder where none is named."""
    return Path.home() / ".batuta" / "server"


@dataclass(frozen=True)
class Settings:
    """The settings of one service process. Folders exist once `prepare` has run."""

    service: str
    data_dir: Path = field(default=NOWHERE, metadata=words("folder of everything this service keeps"))
    host: str = setting("127.0.0.1", "address to listen on")
    port: int = setting(0, "port to listen on; 0 takes a free one")
    http_port: int = setting(-1, "port for browsers and curl; 0 takes a free one, -1 opens none")
    http_origins: str = setting("", "origins of pages elsewhere that may call the HTTP port, separated by commas")
    http_names: str = setting("", "names besides localhost by which the HTTP port is called, separated by commas")
    keys_dir: Path = field(
        default=NOWHERE,
        metadata=words("folder of the token keys, shared by the services; default: keys in the data folder"),
    )
    database_url: str = setting("", "SQLAlchemy URL; default: a file in the data folder", secret=True)
    reflection: bool = setting(True, "let tools ask for the contract (0 or 1)")
    allow_plaintext: bool = setting(False, "allow listening beyond this machine without TLS (0 or 1)")
    tls_cert: str = setting("", "file of the certificate chain (PEM)")
    tls_key: str = setting("", "file of the certificate's key (PEM)")
    api_endpoint: str = setting("", "where the API service listens")
    queue_endpoint: str = setting("", "where the queue service listens; several, separated by commas")
    autoscaler_endpoint: str = setting("", "where the autoscaler service listens")
    dispatch_endpoint: str = setting("", "where agents dial, as they see it: host:port, several separated by commas")
    redis_url: str = setting(
        "", "Redis for wake-ups between several processes on one PostgreSQL: redis://host:port", secret=True
    )
    disk_reserve: int = setting(
        8 << 20,
        "bytes of an SQLite file's disk kept for changes of state when the disk is full; 0: none",
        unit="bytes",
    )
    artifacts_uri: str = setting(
        "", "where the API keeps artifacts: s3://BUCKET/FOLDER, gs://… or file:///FOLDER; default: in the data folder"
    )
    artifact_stores: str = setting("", "object stores that projects may name for their artifacts, separated by commas")
    grace_seconds: float = setting(10.0, "how long calls may go on after SIGTERM", unit="seconds")
    metrics_listen: str = setting(
        "", "host:port for /metrics, /healthz and /readyz over HTTP, as 127.0.0.1:9480; port 0: a free one; empty: none"
    )
    metrics_token: str = setting(
        "", "bearer token that /metrics asks for; needed where other machines reach it", secret=True
    )
    trace_endpoint: str = setting(
        "",
        "where a collector takes OpenTelemetry traces (OTLP over HTTP), as http://127.0.0.1:4318; empty: none are sent",
    )
    trace_share: float = setting(
        1.0, "share of traces that are collected where their caller has not decided, from 0 to 1"
    )
    log_level: str = setting("INFO", "DEBUG, INFO, WARNING or ERROR")
    log_format: str = setting("json", "json: an object a line; text: lines for people")
    limits: Mapping[str, str] = field(default_factory=dict[str, str])
    """Limits that are not at their defaults, by name; the service reads them."""

    def __post_init__(self) -> None:
        """Fill in what depends on other fields, and refuse what cannot work."""
        if self.data_dir == NOWHERE:
            object.__setattr__(self, "data_dir", default_data_dir())
        if self.keys_dir == NOWHERE:
            object.__setattr__(self, "keys_dir", self.data_dir / "keys")
        if not self.database_url:
            object.__setattr__(self, "database_url", f"sqlite:///{self.data_dir / (self.service + '.db')}")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise SettingsError("TLS needs both: set tls_cert and tls_key, or neither")
        if not self.tls_cert and not self.allow_plaintext and not is_loopback(self.host):
            raise SettingsError(
                f"{self.host} can be reached from other machines, and there is no TLS: tokens and code would be "
                "readable on the way. Set tls_cert and tls_key, or allow_plaintext=1 on a network that you trust"
            )
        if self.redis_url and not self.several:
            raise SettingsError(
                "redis_url is for several processes on one PostgreSQL, and SQLite has one: leave it out, or set "
                "database_url"
            )
        self._check_ports()
        if not 0 <= self.trace_share <= 1:
            raise SettingsError(f"trace_share is a number from 0 to 1, not {self.trace_share:g}")
        if self.log_format not in ("json", "text"):
            raise SettingsError(f"log_format is json or text, not {self.log_format!r}")
        if self.log_level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise SettingsError(f"log_level is DEBUG, INFO, WARNING or ERROR, not {self.log_level!r}")
        if self.metrics_listen:
            self._check_metrics(self.metrics_address[0])

    def _check_ports(self) -> None:
        if not 0 <= self.port <= 65535:
            raise SettingsError(f"port is 0 to 65535, not {self.port}")
        if not -1 <= self.http_port <= 65535:
            raise SettingsError(f"http_port is 0 to 65535, or -1 for none, not {self.http_port}")

    def _check_metrics(self, host: str) -> None:
        if is_loopback(host):
            return
        if not self.metrics_token:
            raise SettingsError(
                f"metrics_listen={self.metrics_listen} can be reached from other machines: set metrics_token, which "
                "/metrics then asks for, or listen on 127.0.0.1"
            )
        if not self.tls_cert and not self.allow_plaintext:
            raise SettingsError(
                f"metrics_listen={self.metrics_listen} can be reached from other machines, and there is no TLS: set "
                "tls_cert and tls_key, or allow_plaintext=1 on a network that you trust"
            )

    @classmethod
    def load(
        cls,
        service: str,
        argv: Sequence[str] | None = None,
        environ: Mapping[str, str] | None = None,
        limits_help: str = "",
    ) -> Settings:
        """Read flags (`argv`, default: the process's), environment and file. `limits_help` lists the limits, for a
        service that has some. Raises `SettingsError`."""
        given = Sources(cls, service, argv, os.environ if environ is None else environ, limits_help)
        return cls(service=service, **given.values)

    @property
    def metrics_address(self) -> tuple[str, int]:
        """Host and port of `metrics_listen`. Raises `SettingsError`."""
        host, colon, port = self.metrics_listen.rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) > 65535:
            raise SettingsError(f"metrics_listen is HOST:PORT, such as 127.0.0.1:9480, not {self.metrics_listen!r}")
        return host.strip("[]"), int(port)

    @property
    def several(self) -> bool:
        """Whether other processes of this service may share its database."""
        return not self.database_url.startswith("sqlite")

    @property
    def endpoint(self) -> str:
        """Where this service listens, as clients on this machine write it: `http://host:port`."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "[::]": "[::1]"}.get(self.host, self.host)
        return f"{'https' if self.tls_cert else 'http'}://{host}:{self.port}"

    @property
    def http_endpoint(self) -> str:
        """Where browsers on this machine find it: `http://host:port`; empty without an HTTP port."""
        return "" if self.http_port < 0 else f"{self.endpoint.rpartition(':')[0]}:{self.http_port}"

    def with_port(self) -> Settings:
        """The same with free ports where a port was 0, so that a service knows its address while it is built.

        Raises `SettingsError` when nothing can listen there.
        """
        chosen = replace(self, port=self._probed(self.port))
        if self.http_port < 0:
            return chosen
        if self.http_port == chosen.port:
            raise SettingsError(f"port and http_port cannot both be {chosen.port}")
        return replace(chosen, http_port=self._probed(self.http_port))

    def _probed(self, port: int) -> int:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host.strip("[]"), port))
            except OSError as error:
                raise SettingsError(self._cannot_listen(port, error)) from error
            return int(probe.getsockname()[1])

    def _cannot_listen(self, port: int, error: OSError) -> str:
        where = f"the {self.service} service cannot listen on {self.host}:{port}"
        if error.errno == errno.EADDRINUSE:
            return f"{where}: the port is taken. Stop what has it, or choose another port (0: a free one)"
        return f"{where} ({error.strerror}). Choose another host or port"

    def read_certificate(self) -> tuple[bytes, bytes]:
        """Key and certificate chain, PEM. Raises `SettingsError`."""
        try:
            return Path(self.tls_key).read_bytes(), Path(self.tls_cert).read_bytes()
        except OSError as error:
            raise SettingsError(f"cannot read {error.filename} ({error.strerror}): see tls_cert and tls_key") from error

    def prepare(self) -> None:
        """Make the folders, open to their owner only."""
        for folder in (self.data_dir, self.keys_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.data_dir.chmod(0o700)
