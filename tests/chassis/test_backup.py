"""A data folder is copied while it is in use, and comes back whole or not at all."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batuta_chassis.backup import MANIFEST, backup, check, restore
from batuta_chassis.settings import SettingsError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder as `batuta up` leaves it."""
    folder = tmp_path / "data"
    (folder / "keys").mkdir(parents=True)
    (folder / "agent").mkdir()
    for name in ("api.db", "queue.db"):
        with contextlib.closing(sqlite3.connect(folder / name)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("CREATE TABLE t (n INTEGER)")
            database.commit()
    (folder / "keys" / "api.key").write_bytes(b"secret")
    (folder / "admin.credentials").write_text("[batuta]\n")
    for name in ("lock", "queue.log-place", "api.db-reserve", "endpoints.json", "agent/journal.db"):
        (folder / name).write_text("here and now")
    return folder


def rows(path: Path) -> list[int]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return [n for (n,) in database.execute("SELECT n FROM t ORDER BY n")]


def test_a_folder_that_is_written_meanwhile_is_copied_as_of_one_moment(data: Path, tmp_path: Path) -> None:
    done = threading.Event()

    def write() -> None:
        with contextlib.closing(sqlite3.connect(data / "api.db", timeout=30)) as database:
            number = 0
            while not done.is_set():
                number += 1
                database.execute("INSERT INTO t VALUES (?)", (number,))
                database.commit()

    writing = threading.Thread(target=write)
    writing.start()
    try:
        for number in range(3):
            backup(data, tmp_path / f"b{number}", NOW)
    finally:
        done.set()
        writing.join()
    for number in range(3):
        found = rows(tmp_path / f"b{number}" / "api.db")
        assert found == list(range(1, len(found) + 1))


def test_what_comes_back_is_what_matters_and_for_its_owner_only(data: Path, tmp_path: Path) -> None:
    copied = backup(data, tmp_path / "copies" / "b", NOW)
    assert (copied.files, check(copied.folder)) == (4, copied)
    back = restore(tmp_path / "copies" / "b", tmp_path / "new").folder
    names = sorted(path.relative_to(back).as_posix() for path in back.rglob("*"))
    assert names == ["admin.credentials", "api.db", "keys", "keys/api.key", "queue.db"]
    assert {path.stat().st_mode & 0o077 for path in [back, *back.rglob("*")]} == {0}
    assert rows(back / "api.db") == []


def test_a_backup_that_is_not_as_it_was_written_is_not_restored(data: Path, tmp_path: Path) -> None:
    backup(data, tmp_path / "b", NOW)
    (tmp_path / "b" / "keys" / "api.key").write_bytes(b"secreT")
    with pytest.raises(SettingsError, match=r"keys/api.key is missing or is not as it was written"):
        restore(tmp_path / "b", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "b" / MANIFEST).unlink()
    with pytest.raises(SettingsError, match="is no backup"):
        check(tmp_path / "b")


def test_nothing_that_is_there_is_written_over(data: Path, tmp_path: Path) -> None:
    backup(data, tmp_path / "b", NOW)
    with pytest.raises(SettingsError, match="is there already"):
        backup(data, tmp_path / "b", NOW)
    with pytest.raises(SettingsError, match="is not empty"):
        restore(tmp_path / "b", data)
    with pytest.raises(SettingsError, match="holds no databases"):
        backup(tmp_path / "nothing", tmp_path / "c", NOW)


def test_a_damaged_database_makes_no_backup(data: Path, tmp_path: Path) -> None:
    (data / "queue.db").write_bytes(b"not a database at all" * 500)
    (data / "queue.db-wal").unlink(missing_ok=True)
    with pytest.raises(SettingsError, match="could not be written"):
        backup(data, tmp_path / "b", NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_artifacts_come_along_unless_they_are_left_out(data: Path, tmp_path: Path) -> None:
    blobs = data / "artifacts" / "blobs" / "tasks" / "t1" / "1"
    blobs.mkdir(parents=True)
    (blobs / "b1").write_bytes(b"weights")
    (blobs / ".b2.new").write_bytes(b"half")
    (data / "artifacts" / "uploads").mkdir()
    (data / "artifacts" / "uploads" / "u1").write_bytes(b"half")
    copied = backup(data, tmp_path / "b", NOW)
    assert check(copied.folder).files == 5
    back = restore(tmp_path / "b", tmp_path / "new").folder / "artifacts"
    assert [path.relative_to(back).as_posix() for path in back.rglob("*") if path.is_file()] == ["blobs/tasks/t1/1/b1"]
    assert {path.stat().st_mode & 0o077 for path in [back, *back.rglob("*")]} == {0}
    assert backup(data, tmp_path / "c", NOW, artifacts=False).files == 4
