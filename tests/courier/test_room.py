"""How large spools may grow, each and all together, and what goes when they have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from batuta_courier import layout
from batuta_courier.leftovers import make_room
from batuta_courier.lock import hold
from batuta_courier.producer import ProducerSpool
from batuta_courier.room import Limits, limits, size_bytes
from batuta_rpc.clock import SystemClock
from batuta_rpc.config import ConfigError

GONE = 4_000_000
"""A pid that no script has."""
MIB = 1024 * 1024


def spool(root: Path, name: str, mebibytes: int, mode: str = layout.LOCAL, acks: layout.Acks | None = None) -> Path:
    folder = root / name
    layout.create(folder, layout.RunInfo(name, 1, "api", mode, GONE))
    (folder / "console.log").write_bytes(bytes(mebibytes * MIB))
    if acks is not None:
        layout.write_acks(folder, acks)
    return folder


def test_the_environment_sets_the_limits() -> None:
    env = {"BATUTA_SPOOL_BYTES": "2000000", "BATUTA_SPOOL_LIMIT_BYTES": "9000000"}
    assert limits(env, Limits()) == (2_000_000, 9_000_000)
    assert limits({}, Limits(1, 2)) == (1, 2)


@pytest.mark.parametrize("given", ["2GB", "-5", "1000"])
def test_a_limit_that_cannot_be_is_named_with_what_to_give(given: str) -> None:
    with pytest.raises(ConfigError, match=f"BATUTA_SPOOL_BYTES is '{given}': give a whole number of bytes"):
        limits({"BATUTA_SPOOL_BYTES": given}, Limits())


def test_room_is_made_by_deleting_what_was_refused_longest_ago_and_no_more_than_needed(tmp_path: Path) -> None:
    old = spool(tmp_path, "b", 3, acks=layout.Acks(error="no", refused_millis=1))
    older = spool(tmp_path, "c", 3, acks=layout.Acks(error="no", refused_millis=0))
    new = spool(tmp_path, "a", 3, acks=layout.Acks(error="no", refused_millis=2))
    left = make_room(tmp_path, 8 * MIB)
    assert (older.exists(), old.exists(), new.exists()) == (False, True, True)
    assert left == size_bytes(old) + size_bytes(new)


def test_nothing_goes_that_is_being_sent_or_still_to_be_sent_or_was_made_offline(tmp_path: Path) -> None:
    refused = layout.Acks(error="no")
    kept = [
        spool(tmp_path, "waits", 3),
        spool(tmp_path, "offline", 3, layout.OFFLINE, refused),
        spool(tmp_path, "agents", 3, layout.AGENT, refused),
        spool(tmp_path, "tried again", 3, acks=refused),
    ]
    with hold(kept[-1] / "courier.lock"):
        assert make_room(tmp_path, MIB) > 12 * MIB
    assert all(each.exists() for each in kept)


def test_a_run_beside_full_spools_notes_what_it_drops_and_keeps_scalars(tmp_path: Path) -> None:
    spool(tmp_path, "other", 12)
    mine = tmp_path / "mine"
    layout.create(mine, layout.RunInfo("mine", 1, "api", layout.LOCAL, GONE, all_bytes=14 * MIB))
    producer = ProducerSpool(mine, SystemClock(), "x", records=1024)
    for at in range(5_000):
        producer.console.write(b"x" * 999 + b"\n")
        producer.scalars.report("loss", "train", 1.0, at)
    producer.close()
    assert producer.scalars.dropped == 0
    assert producer.console.dropped > 4_000_000
    log = (mine / "console.log").read_bytes()
    assert re.findall(rb"batuta: (\d+) bytes of output are missing", log) == [b"%d" % producer.console.dropped]
