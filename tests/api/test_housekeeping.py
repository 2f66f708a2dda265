"""What is done now and then, by a clock that the test moves."""

from __future__ import annotations

from datetime import timedelta

from batuta_api.housekeeping import PERIOD, Housekeeping
from batuta_api.tasks import runs
from batuta_api.tasks.model import Definition, TaskState
from batuta_api.tasks.testing import a_task
from batuta_api.testing import memory_work
from batuta_chassis.background import Background
from batuta_chassis.testing import MemoryTransactor
from batuta_rpc.testing import FakeClock, SeededIds


async def test_a_local_run_that_was_asked_to_stop_and_never_answers_ends_by_itself() -> None:
    clock = FakeClock()
    works = MemoryTransactor(memory_work)
    asked = a_task(state=TaskState.STOPPING, local=True, attempt=1, attempt_open=True, update_time=clock.now())
    await works.write(lambda work: work.tasks.add(asked, Definition()))
    background = Background(clock, SeededIds())
    background.start([Housekeeping(works, clock).run])
    await clock.run_for(runs.GIVE_UP_AFTER.total_seconds() - PERIOD)
    still = await works.read(lambda work: work.tasks.get("t1"))
    assert still is not None
    assert still.status.state is TaskState.STOPPING
    await clock.run_for(3 * PERIOD)
    ended = await works.read(lambda work: work.tasks.get("t1"))
    assert ended is not None
    assert (ended.status.state, ended.status.attempt_open) == (TaskState.ABORTED, False)
    assert ended.update_time - asked.update_time >= timedelta(seconds=PERIOD)
    await background.stop()
