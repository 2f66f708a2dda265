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
from batuta_rpc import several, target
from batuta_rpc.target import is_loopback

__all__ = ["EVERYWHERE", "GENERATED", "OFF", "OWN", "Settings", "SettingsError", "default_data_dir"]

OFF, OWN, GENERATED = "off", "own", "generated"
EVERYWHERE = ("0.0.0.0", "::", "[::]")

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
    tls: str = setting(
        "", "off, own (tls_cert and tls_key) or generated (by an authority in keys_dir); empty: own if tls_cert is set"
    )
    tls_cert: str = setting("", "file of the certificate chain (PEM), read again when it is replaced")
    tls_key: str = setting("", "file of the certificate's key (PEM)")
    tls_ca: str = setting("", "file of the authorities (PEM) that signed what the other services and this one show")
    tls_names: str = setting(
        "", "more names and addresses that a generated certificate is for, separated by commas; endpoints are included"
    )
    agent_certificates: bool = setting(
        False, "agents get in with a certificate of their own only, on the port that they dial (0 or 1)"
    )
    tls_client_ca: str = setting(
        "", "file of the authorities (PEM) that sign agents' certificates; default: the one in keys_dir"
    )
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
    users_file: str = setting(
        "",
        "file of users to bring in at the start: NAME:HASH[:ROLE[:DISPLAY NAME]] a line, bcrypt or argon2",
    )
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
        self._check_tls()
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
        if self.tls_mode == OFF and not self.allow_plaintext:
            raise SettingsError(
                f"metrics_listen={self.metrics_listen} can be reached from other machines, and there is no TLS: set "
                f"tls={GENERATED} (or tls_cert and tls_key), or allow_plaintext=1 on a network that you trust"
            )

    def _check_tls(self) -> None:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise SettingsError("TLS needs both: set tls_cert and tls_key, or neither")
        if self.tls not in ("", OFF, OWN, GENERATED):
            raise SettingsError(f"tls is {OFF}, {OWN} or {GENERATED}, not {self.tls!r}")
        if self.tls == OWN and not self.tls_cert:
            raise SettingsError(f"tls={OWN} needs the certificate: set tls_cert and tls_key, or tls={GENERATED}")
        if self.tls in (OFF, GENERATED) and self.tls_cert:
            raise SettingsError(
                f"tls_cert and tls_key are for tls={OWN}, not for tls={self.tls}: leave one of them out"
            )
        if self.tls_client_ca and not self.agent_certificates:
            raise SettingsError("tls_client_ca has no effect without agent_certificates=1: set it, or leave it out")
        if self.tls_mode == OFF and not self.allow_plaintext and not is_loopback(self.host):
            raise SettingsError(
                f"{self.host} can be reached from other machines, and there is no TLS: tokens and code would be "
                f"readable on the way. Set tls={GENERATED} (or tls_cert and tls_key), or allow_plaintext=1 on a "
                "network that you trust"
            )

    @property
    def tls_mode(self) -> str:
        """`off`, `own` or `generated`."""
        return self.tls or (OWN if self.tls_cert else OFF)

    @property
    def served_names(self) -> list[str]:
        """What a generated certificate is for: `tls_names`, this machine, and the hosts of all endpoints, which the
        services of a deployment have in common. Listening everywhere adds nothing: who knows by which name?"""
        endpoints = ",".join((self.api_endpoint, self.queue_endpoint, self.autoscaler_endpoint, self.dispatch_endpoint))
        dialled = [target.parse(each).host for each in several.split(endpoints)]
        here = [] if self.host in EVERYWHERE else [self.host.strip("[]")]
        usual = ["localhost", "127.0.0.1", "::1", socket.gethostname()]
        return list(dict.fromkeys([*several.split(self.tls_names), *dialled, *here, *usual]))

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
        return f"{'http' if self.tls_mode == OFF else 'https'}://{host}:{self.port}"

    @property
    def http_endpoint(self) -> str:
        """Where browsers on this machine find it: `http://host:port`; empty without an HTTP port."""
        return "" if self.http_port < 0 else f"{self.endpoint.rpartition(':')[0]}:{self.http_port}"

    def with_port(self) -> Settings:
        """The same with free ports where a port was 0, so that a service knows its address while it is built.

        Raises `SettingsError` when nothing can listen there.
        """
        with self._probe(self.port) as probe:  # held, so that a free port for HTTP is another one
            chosen = replace(self, port=int(probe.getsockname()[1]))
            if self.http_port < 0:
                return chosen
            if self.http_port == chosen.port:
                raise SettingsError(f"port and http_port cannot both be {chosen.port}")
            with self._probe(self.http_port) as other:
                return replace(chosen, http_port=int(other.getsockname()[1]))

    def _probe(self, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        probe = socket.socket(family, socket.SOCK_STREAM)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((self.host.strip("[]"), port))
        except OSError as error:
            probe.close()
            raise SettingsError(self._cannot_listen(port, error)) from error
        return probe

    def _cannot_listen(self, port: int, error: OSError) -> str:
        where = f"the {self.service} service cannot listen on {self.host}:{port}"
        if error.errno == errno.EADDRINUSE:
            return f"{where}: the port is taken. Stop what has it, or choose another port (0: a free one)"
        return f"{where} ({error.strerror}). Choose another host or port"

    def prepare(self) -> None:
        """Make the folders, open to their owner only."""
        for folder in (self.data_dir, self.keys_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.data_dir.chmod(0o700)
