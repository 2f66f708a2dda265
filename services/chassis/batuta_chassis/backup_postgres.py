"""The services' schemas on PostgreSQL as one file, and the way back, by PostgreSQL's own pg_dump and pg_restore.

One dump holds all services as of one moment. After a restore each service is told: the queue's event log then begins a
new epoch, since positions will be given out again for other events, and the API follows it from a snapshot (ADR 20).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from batuta_chassis.administered import Administered
from batuta_chassis.settings import SettingsError
from batuta_rpc.ids import Ids

DUMP = "postgresql.dump"


def dump(url: str, schemas: Sequence[str], target: Path) -> None:
    """Write those of the schemas that are there into a new file. Raises `SettingsError`."""
    here = [name for name in _schemas(url) if name in schemas]
    if not here:
        raise SettingsError("there is nothing of Batuta in this database; is --database-url the services' own?")
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    _run("pg_dump", url, "--format=custom", "--no-owner", *(f"--schema={name}" for name in here), "--file", str(target))


def load(source: Path, url: str, services: Mapping[str, Administered], ids: Ids) -> None:
    """Bring a dump into a database that holds no service yet: all of it, or nothing. Raises `SettingsError`."""
    taken = [name for name in _schemas(url) if name in services]
    if taken:
        raise SettingsError(
            f"the database has {' and '.join(taken)} already; restore into a new one, and then let the services use it"
        )
    _run("pg_restore", url, "--exit-on-error", "--single-transaction", "--no-owner", str(source))
    engine = create_engine(_driver(url))
    try:
        with engine.begin() as connection:
            present = inspect(connection).get_schema_names()
            for name, service in services.items():
                if name in present and service.restored is not None:
                    connection.execute(text(f"SET LOCAL search_path TO {name}"))
                    service.restored(connection, ids)
    except SQLAlchemyError as error:
        raise SettingsError(f"the restored database could not be told that it is one: {_in_a_line(error)}") from error
    finally:
        engine.dispose()


def _schemas(url: str) -> list[str]:
    engine = create_engine(_driver(url))
    try:
        return sorted(inspect(engine).get_schema_names())
    except SQLAlchemyError as error:
        raise SettingsError(f"the database cannot be reached: {_in_a_line(error)}") from error
    finally:
        engine.dispose()


def _driver(url: str) -> str:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingsError("--database-url is no address of a database: postgresql://USER@HOST/NAME") from error
    if parsed.get_backend_name() != "postgresql":
        raise SettingsError(f"--database-url is for PostgreSQL, and not for {parsed.get_backend_name()}")
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _in_a_line(error: SQLAlchemyError) -> str:
    return " ".join(str(getattr(error, "orig", None) or error).split())


def _run(program: str, url: str, *words: str) -> None:
    """Run a program of PostgreSQL on a database. The password goes by the environment: arguments can be seen."""
    path = shutil.which(program)
    if path is None:
        raise SettingsError(
            f"{program} is not here: install PostgreSQL's client programs, of the server's version or newer"
        )
    parsed = make_url(url).set(drivername="postgresql")
    environ = {**os.environ, **({"PGPASSWORD": str(parsed.password)} if parsed.password else {})}
    known = parsed.set(password=None).render_as_string(hide_password=False)
    done = subprocess.run(
        [path, "--dbname", known, *words],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise SettingsError(f"{program} failed: {done.stderr.strip()[-2000:]}")
