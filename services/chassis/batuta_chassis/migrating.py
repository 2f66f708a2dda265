"""`batuta admin migrate`: which changes of its schema a service's database still needs, and making them."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util.exc import CommandError
from sqlalchemy import Connection, select

from batuta_chassis.backend import Backend
from batuta_chassis.looking import Target
from batuta_chassis.members import MEMBERS
from batuta_chassis.migrations import migrate
from batuta_chassis.settings import SettingsError
from batuta_chassis.sole import SoleProcess
from batuta_rpc.clock import Clock

_BEATS_WITHIN = 3.0
"""Seconds after which each living process of a service has counted a beat."""


@dataclass(frozen=True)
class Pending:
    """The state of one schema. `revision` is empty for a database that is not there yet."""

    service: str
    revision: str
    newest: str
    steps: tuple[str, ...]
    """What is to be done, oldest first: number and sentence."""


def pending(target: Target) -> Pending:
    """What is to be done. Raises `SettingsError` for a database of a newer release."""
    scripts = _scripts(target)
    newest = scripts.get_current_head() or ""
    if not target.exists:
        return Pending(target.service, "", newest, ())
    with target.opened() as backend, backend.read_engine.connect() as connection:
        revision = MigrationContext.configure(connection).get_current_revision() or ""
    return Pending(target.service, revision, newest, _steps(target, scripts, revision, newest))


def ensure_current(connection: Connection, target: Target) -> None:
    """Raise `SettingsError` unless the schema is that of this release: proofs and chores are written for it."""
    scripts = _scripts(target)
    revision = MigrationContext.configure(connection).get_current_revision() or ""
    newest = scripts.get_current_head() or ""
    if _steps(target, scripts, revision, newest):
        raise SettingsError(
            f"the database of the {target.service} service is of an older release (revision {revision or 'none'}, this "
            f"release has {newest}): run `batuta admin migrate`, or start the service"
        )


def apply(target: Target, clock: Clock) -> Pending:
    """Do it, in one transaction, unless a process of the service has the database. Returns what was to be done."""
    found = pending(target)
    if found.steps:
        with alone(target, clock), target.opened() as backend:
            migrate(backend.write_engine, target.part.migrations)
    return found


@contextlib.contextmanager
def alone(target: Target, clock: Clock) -> Generator[None]:
    """Have the database as if one were its service. Raises `SettingsError` when a process of it lives.

    Of SQLite that is certain. On PostgreSQL those are seen who count beats in `members`.
    """
    sole = SoleProcess(target.settings)
    try:
        if target.settings.several:
            with target.opened() as backend:
                _ensure_silent(target, backend, clock)
        yield
    finally:
        sole.close()


def _ensure_silent(target: Target, backend: Backend, clock: Clock) -> None:
    before = _beats(backend)
    if not before:
        return
    clock.sleep_blocking(_BEATS_WITHIN)
    after = _beats(backend)
    alive = sorted(address for key, (address, beats) in after.items() if key not in before or beats != before[key][1])
    if alive:
        raise SettingsError(
            f"{len(alive)} processes of the {target.service} service use this database ({', '.join(alive)}): stop them "
            "first, or they meet tables that are not theirs"
        )


def _beats(backend: Backend) -> dict[str, tuple[str, int]]:
    with backend.read_engine.connect() as connection:
        if not connection.dialect.has_table(connection, MEMBERS.name):
            return {}
        return {row.id: (row.address, row.beats) for row in connection.execute(select(MEMBERS))}


def _scripts(target: Target) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(target.part.migrations).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def _steps(target: Target, scripts: ScriptDirectory, revision: str, newest: str) -> tuple[str, ...]:
    try:
        found = list(scripts.iterate_revisions(newest, revision or "base"))
    except (CommandError, RevisionError) as error:
        raise SettingsError(
            f"the database of the {target.service} service has revision {revision}, which this release does not know: "
            "it is of a newer release. Use that one, or restore a backup"
        ) from error
    return tuple(f"{each.revision} {(each.doc or '').rstrip('.')}" for each in reversed(found))
