"""An SQLite file has one process: a second one is refused with one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from batuta_chassis.settings import Settings, SettingsError
from batuta_chassis.sole import SoleProcess


def test_a_second_service_on_one_file_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    settings = Settings("queue", tmp_path)
    first = SoleProcess(settings)
    with pytest.raises(SettingsError, match=r"queue\.db is in use by another queue service \(process \d+\)"):
        SoleProcess(settings)
    first.close()
    SoleProcess(settings).close()


def test_services_with_files_of_their_own_do_not_meet(tmp_path: Path) -> None:
    held = [SoleProcess(Settings(service, tmp_path)) for service in ("api", "queue")]
    for each in held:
        each.close()


def test_on_postgresql_there_may_be_several(tmp_path: Path) -> None:
    settings = Settings("queue", tmp_path, database_url="postgresql://batuta@127.0.0.1/batuta")
    held = [SoleProcess(settings) for _ in range(2)]
    for each in held:
        each.close()


def test_redis_beside_sqlite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="redis_url is for several processes"):
        Settings("queue", tmp_path, redis_url="redis://127.0.0.1:6379")
