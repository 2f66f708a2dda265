"""A copy of a data folder while it is in use, and the way back.

Databases are copied by SQLite's own online backup, the queue's first: what the API knows of its tasks then is never
older than what the queue service knows of its entries, and the API sets the queue right (ADR 20). The note of the
queue's log is left out: a queue service that finds a database without it gives its log a new epoch. Artifacts come
last: what the databases name and nobody deletes meanwhile is there then. Those in object stores stay there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from batuta_chassis.backup_postgres import DUMP
from batuta_chassis.settings import SettingsError
from batuta_chassis.tokens import write_private
from batuta_rpc.version import VERSION

Dump = Callable[[Path], None]
MANIFEST = "backup.json"
_ORDER = ("queue", "autoscaler", "api")
_FILES = ("admin.credentials", "agent.credentials")
_KEYS = "keys"
ARTIFACTS = Path("artifacts", "blobs")
"""Where the API keeps the bytes of artifacts in its data folder."""
_PAGES = 1024
"""Pages copied at a time: those who write are not held up for long."""


@dataclass(frozen=True)
class Copied:
    """What a backup holds, or a restore brought back."""

    folder: Path
    files: int
    size: int


def backup(data: Path, target: Path, now: datetime, artifacts: bool = True, dump: Dump | None = None) -> Copied:
    """Copy databases, keys and logins of a data folder, in use or not, into a new folder: whole or not at all.

    Without `artifacts` their bytes are left out, which may be most of it. `dump` writes what is on PostgreSQL into a
    file, in place of SQLite's files. Raises `SettingsError`.
    """
    databases = [] if dump is not None else _databases(data)
    if target.exists():
        raise SettingsError(f"{target} is there already; a backup goes into a folder of its own")
    scratch = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        scratch.mkdir(mode=0o700, parents=True)
        for database in databases:
            _copy_database(database, scratch / database.name)
        if dump is not None:
            dump(scratch / DUMP)
        _copy_files(data, scratch)
        if artifacts:
            _copy_artifacts(data / ARTIFACTS, scratch / ARTIFACTS)
        files = _described(scratch)
        said = {"version": VERSION, "time": now.isoformat(), "from": str(data), "artifacts": artifacts}
        manifest: dict[str, Any] = {**said, "files": files}
        write_private(scratch / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
        scratch.rename(target)
    except (OSError, sqlite3.Error) as error:
        raise SettingsError(f"the backup of {data} could not be written: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Copied(target, len(files), sum(int(each["bytes"]) for each in files.values()))


def check(folder: Path) -> Copied:
    """Whether every file of a backup is as it was written. Raises `SettingsError` naming the first that is not."""
    try:
        manifest = cast("dict[str, Any]", json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
        files = cast("dict[str, dict[str, Any]]", manifest["files"])
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(f"{folder} is no backup: {MANIFEST} is missing or cannot be read") from error
    here = _described(folder)
    for name, wanted in files.items():
        if here.get(name) != wanted:
            raise SettingsError(f"{folder / name} is missing or is not as it was written; use another backup")
    return Copied(folder, len(files), sum(int(each["bytes"]) for each in files.values()))


def restore(folder: Path, data: Path, load: Dump | None = None) -> Copied:
    """Make a data folder from a backup. The folder must not be there yet, or be empty. `load` brings the file of what
    was on PostgreSQL into a database. Raises `SettingsError`."""
    checked = check(folder)
    dumped = (folder / DUMP).exists()
    if dumped and load is None:
        raise SettingsError(f"{folder} was on PostgreSQL: name a database for it with --database-url")
    if load is not None and not dumped:
        raise SettingsError(f"{folder} was on SQLite: leave --database-url out")
    if data.exists() and any(data.iterdir()):
        raise SettingsError(f"{data} is not empty; stop what runs on it, move it away, and restore again")
    scratch = data.with_name(f".{data.name}.{os.getpid()}.new")
    try:
        shutil.copytree(folder, scratch, ignore=shutil.ignore_patterns(MANIFEST, DUMP), copy_function=_copy_private)
        scratch.chmod(0o700)
        with contextlib.suppress(FileNotFoundError):
            data.rmdir()
        if load is not None:
            load(folder / DUMP)
        scratch.rename(data)
    except OSError as error:
        raise SettingsError(f"{folder} could not be restored to {data}: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Copied(data, checked.files, checked.size)


def _databases(data: Path) -> list[Path]:
    found = [data / f"{name}.db" for name in _ORDER if (data / f"{name}.db").exists()]
    if not found:
        raise SettingsError(
            f"{data} holds no databases. Name the data folder with --data, and a PostgreSQL with --database-url"
        )
    return found


def _copy_database(source: Path, target: Path) -> None:
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with contextlib.closing(sqlite3.connect(source)) as here, contextlib.closing(sqlite3.connect(target)) as there:
        here.backup(there, pages=_PAGES)
        there.execute("PRAGMA journal_mode=DELETE")
        (said,) = there.execute("PRAGMA integrity_check").fetchone()
    if said != "ok":
        raise sqlite3.DatabaseError(f"{source} is damaged: {said}")


def _copy_files(data: Path, target: Path) -> None:
    for name in _FILES:
        if (data / name).exists():
            _copy_private(data / name, target / name)
    if (data / _KEYS).is_dir():
        (target / _KEYS).mkdir(mode=0o700)
        for key in sorted((data / _KEYS).iterdir()):
            _copy_private(key, target / _KEYS / key.name)


def _copy_artifacts(source: Path, target: Path) -> None:
    """Bytes of artifacts never change, so they are copied while the service runs."""
    for path in sorted(source.rglob("*")):
        if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
            copy = target / path.relative_to(source)
            for folder in reversed(copy.parents):
                if not folder.exists():
                    folder.mkdir(mode=0o700)
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                _copy_private(path, copy)


def _copy_private(source: str | Path, target: str | Path) -> str:
    """Copy a file so that only its owner may read it."""
    shutil.copyfile(source, target)
    os.chmod(target, 0o600)
    with Path(target).open("rb") as file:
        os.fsync(file.fileno())
    return str(target)


def _described(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and hash of every file but the manifest, by its path in the folder."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": digest}
    return found
