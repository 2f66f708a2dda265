"""A courier that is killed at any of its steps is followed by one that goes on: nothing is missing, nothing double."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batuta_courier import layout
from batuta_courier.producer import ProducerSpool
from batuta_courier.testing import FakeApi
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.clock import SystemClock
from batuta_rpc.errors import Unavailable

StartCourier = Callable[[Path], "subprocess.Popen[bytes]"]
POINTS, LINES = 2_500, 40_000
_names = (f"c{number}" for number in itertools.count())


class Killer:
    """A fault for `FakeState.on_step`: at the steps given, counted over all couriers, the running one is killed.

    A step is a call that has been asked for and not acted on, or has acted and not been answered.
    """

    def __init__(self, steps: frozenset[int]) -> None:
        self.steps = steps
        self.seen = 0
        self.killed = 0
        self.courier: subprocess.Popen[bytes] | None = None

    def __call__(self, call: str, moment: str, producer: str) -> None:
        self.seen += 1
        if self.seen in self.steps and self.courier is not None:
            self.killed += 1
            self.courier.kill()
            raise Unavailable("the caller is gone")


def shipped_under(steps: frozenset[int], api: FakeApi, home: Path, start: StartCourier) -> Killer:
    """Ship a whole run while its couriers are killed at those steps, and judge what the server has."""
    task_id = next(_names)
    api.state.add_task(task_id, local=False)
    spool = layout.spool_root(home) / f"{task_id}.1"
    layout.create(spool, layout.RunInfo(task_id, 1, api.address, layout.AGENT))
    producer = ProducerSpool(spool, SystemClock(), "x")
    for at in range(POINTS):
        producer.scalars.report("loss", f"s{at % 3}", at / 2, at)
    producer.text(b"text\n" * 1_000)
    console = b"".join(b"%d\n" % number for number in range(LINES))
    (spool / "console.log").write_bytes(console)
    layout.write_close(spool, layout.Close())
    killer = Killer(steps)
    api.state.on_step = killer
    try:
        for _ in range(len(steps) + 1):
            killer.courier = start(spool)
            if killer.courier.wait(60) == 0:
                break
    finally:
        api.state.on_step = lambda call, moment, producer: None
    assert killer.courier is not None
    assert killer.courier.returncode == 0
    assert layout.read_acks(spool).done
    assert api.state.log(task_id) == console
    assert api.state.log(task_id, f"{producer.name}.text") == b"text\n" * 1_000
    assert sorted(point[2] for point in api.state.points(task_id)) == list(range(POINTS))
    assert api.state.state(task_id) == tasks.TASK_STATE_RUNNING  # its end is the agent's to tell
    return killer


def test_a_courier_dies_at_each_step_of_a_run_in_turn(api: FakeApi, home: Path, start_courier: StartCourier) -> None:
    undisturbed = shipped_under(frozenset(), api, home, start_courier).seen
    assert undisturbed >= 6
    for step in range(1, undisturbed + 1, 3):
        assert shipped_under(frozenset({step}), api, home, start_courier).killed == 1


@pytest.mark.nightly
@pytest.mark.timeout(900)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=st.frozensets(st.integers(1, 24), max_size=6))
def test_couriers_die_at_any_steps_one_after_the_other(
    api: FakeApi, home: Path, start_courier: StartCourier, steps: frozenset[int]
) -> None:
    shipped_under(steps, api, home, start_courier)
