from __future__ import annotations

import os
from pathlib import Path

from batuta_agent import run_environment
from batuta_agent.delivery import Delivery
from batuta_courier import layout
from batuta_rpc.clock import SystemClock
from batuta_rpc.ids import SystemIds


async def test_an_end_that_finds_no_place_on_the_disk_is_written_when_there_is_room_again(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    layout.create(spool, layout.RunInfo("t", 1, "127.0.0.1:9", layout.AGENT))
    env = run_environment.courier({**os.environ, "HOME": str(tmp_path)}, "token", "")
    delivery = Delivery(spool, env, SystemClock(), SystemIds())
    try:
        (spool / "close.json").mkdir()  # cannot be replaced by a file
        assert not await delivery.finished(0.2)
        (spool / "close.json").rmdir()
        layout.write_acks(spool, layout.Acks(done=True))
        assert await delivery.finished(20.0)
        assert layout.read_close(spool) is not None
    finally:
        await delivery.stop(kill=True)


async def test_a_spool_that_somebody_has_deleted_is_not_waited_for(tmp_path: Path) -> None:
    env = run_environment.courier({**os.environ, "HOME": str(tmp_path)}, "token", "")
    delivery = Delivery(tmp_path / "gone", env, SystemClock(), SystemIds())
    assert await delivery.finished(20.0)
    await delivery.stop(kill=True)
