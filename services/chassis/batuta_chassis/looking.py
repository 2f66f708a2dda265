"""Opens the databases of the services for an operator: read-only, or as the one process that has them."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, make_url

from batuta_chassis.administered import Administered, installed
from batuta_chassis.backend import Backend
from batuta_chassis.database import open_backend
from batuta_chassis.database_times import DatabaseTimes
from batuta_chassis.settings import Settings, SettingsError
from batuta_chassis.sources import Sources

TIMES = DatabaseTimes(database_statement_within=3600.0)
"""Proofs read whole tables."""


@dataclass(frozen=True)
class Target:
    """One service's database."""

    part: Administered
    settings: Settings

    @property
    def service(self) -> str:
        """The name of the service."""
        return self.part.service

    @property
    def exists(self) -> bool:
        """Whether there is one; a server is asked only when it is opened."""
        url = make_url(self.settings.database_url)
        return url.get_backend_name() != "sqlite" or Path(url.database or "").exists()

    @contextlib.contextmanager
    def opened(self) -> Generator[Backend]:
        """Its engines. Raises `SettingsError` when there is no database."""
        if not self.exists:
            raise SettingsError(
                f"there is no database of the {self.service} service at {self.settings.data_dir}. Name the data folder "
                "with --data, or the PostgreSQL with --database-url"
            )
        backend = open_backend(self.settings.database_url, self.service, TIMES, 0)
        try:
            yield backend
        finally:
            backend.dispose()

    @contextlib.contextmanager
    def reading(self) -> Generator[Connection]:
        """One snapshot of it, which cannot be written to."""
        with self.opened() as backend, backend.read_engine.connect() as connection, connection.begin():
            if connection.dialect.name == "postgresql":  # whole tables are read here
                connection.exec_driver_sql("SET LOCAL enable_seqscan = on")
            yield connection


def targets(args: argparse.Namespace, environ: Mapping[str, str] | None = None) -> list[Target]:
    """The databases that flags, environment and file name. Raises `SettingsError`."""
    found: list[Target] = []
    for service, part in sorted(installed().items()):
        told = Sources(Settings, service, (), os.environ if environ is None else environ, config=args.config).values
        if args.data is not None:
            told["data_dir"] = args.data.expanduser().absolute()
        if args.database_url:
            told["database_url"] = args.database_url
        # Only where the rows are is of interest; what the process would listen on may stand in its way here.
        kept = {name: told[name] for name in ("data_dir", "database_url", "limits", "disk_reserve") if name in told}
        found.append(Target(part, Settings(service, **kept)))
    return found
