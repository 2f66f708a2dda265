"""Disk that is kept for the time when everything else has filled the disk."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from batuta_chassis.reserve import Reserve

KIB = 1 << 10


def test_it_is_taken_at_once_given_up_once_and_taken_again(tmp_path: Path) -> None:
    file = tmp_path / "reserve"
    reserve = Reserve(file, 64 * KIB)
    assert (file.stat().st_size, stat.S_IMODE(file.stat().st_mode)) == (64 * KIB, 0o600)
    assert reserve.give_up()
    assert not file.exists()
    assert not reserve.give_up()
    assert reserve.take()
    assert file.stat().st_blocks * 512 >= 64 * KIB


def test_one_that_an_earlier_process_left_is_kept_and_nothing_is_kept_where_none_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "reserve"
    Reserve(file, 64 * KIB)
    first = file.stat().st_mtime_ns
    again = Reserve(file, 64 * KIB)
    assert file.stat().st_mtime_ns == first
    assert again.give_up()
    none = Reserve(tmp_path / "none", 0)
    assert none.take()
    assert not none.give_up()
    assert not (tmp_path / "none").exists()


def test_on_a_small_disk_it_is_small_and_it_waits_until_there_is_room_for_twice_its_size(
    small_disk: Callable[[int], Path],
) -> None:
    disk = small_disk(8)
    reserve = Reserve(disk / "reserve", 1 << 30)
    assert (disk / "reserve").stat().st_size == 1 << 20
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(13 << 19))
    assert reserve.give_up()
    assert not reserve.take()
    ballast.unlink()
    assert reserve.take()
