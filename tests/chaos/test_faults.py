"""Each fault, alone, while tasks come and go; judged by what was stored."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from typing import Any

import grpc
import psutil
import pytest

from batuta_chassis.tokens import Signer
from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_rpc.errors import IllegalTransition
from tests.chaos.counting import Tally
from tests.chaos.world import LINES, RUN, Kills, World
from tests.e2e.harness.payloads import ONCE
from tests.e2e.harness.processes import poll
from tests.e2e.harness.remote import SDK

Open = Callable[[], World]
REPORTS = f"""
from batuta import Task
logger = Task.init("chaos", "kills").get_logger()
for n in range({LINES}):
    logger.report_scalar("loss", "train", float(n), n)
    print("line", n, flush=True)
    time.sleep(0.02)
"""
FLOOD = """
block = b"x" * 99 + b"\\n"
end = time.monotonic() + 20
while time.monotonic() < end:
    os.write(1, block * 1000)
"""


def some_work(world: World, count: int = 4) -> None:
    """Tasks for two agents, and their ends."""
    remote = world.remote()
    world.keep_agent("a")
    world.keep_agent("b")
    identities = [world.submit(remote, f"task {number}") for number in range(count)]
    ended = world.until_ended(remote, identities)
    states = {identity: task.status.state for identity, task in ended.items()}
    assert set(states.values()) == {tasks.TASK_STATE_COMPLETED}, [task.status for task in ended.values()]


def crash_cases() -> list[Any]:
    """Every step of the handshake before and after its commit; two of them in every run."""
    cases: list[Any] = []
    for step in ("Submitter._submit", "Dispatcher.once", "Reports.take"):
        for number in (1, 2, 3) if step == "Reports.take" else (1,):
            for when in ("before", "after"):
                short = (step, number, when) in (("Reports.take", 1, "after"), ("Submitter._submit", 1, "after"))
                marks = [] if short else [pytest.mark.nightly]
                cases.append(pytest.param(f"{step}:{number}:{when}", marks=marks))
    return cases


@pytest.mark.timeout(240)
@pytest.mark.parametrize("wish", crash_cases())
def test_f1_a_broker_that_dies_at_a_commit_loses_nothing(open_world: Open, tally: Tally, wish: str) -> None:
    world = open_world()
    world.crash["queue"] = wish
    world.queue_process.kill9()
    world.start_queue()
    world.ready()
    died = world.queue_process
    some_work(world)
    assert not died.running, f"{wish} never came"
    tally.judge(wish, world.judged())


@pytest.mark.nightly
@pytest.mark.timeout(240)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [2, 5, 8])
def test_f2_an_api_that_dies_while_it_hears_of_events_ends_every_task_once(
    open_world: Open, tally: Tally, when: str, number: int
) -> None:
    world = open_world()
    world.crash["api"] = wish = f"Follower._take:{number}:{when}"
    world.api_process.kill9()
    world.start_api()
    world.ready()
    died = world.api_process
    some_work(world)
    assert not died.running, f"{wish} never came"
    tally.judge(wish, world.judged())


@pytest.mark.nightly
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kills_at_random_lose_nothing_and_double_nothing(open_world: Open, tally: Tally, seed: int) -> None:
    world = open_world()
    remote, kills = world.remote(), Kills(world, seed)
    world.keep_agent("a")
    world.keep_agent("b")
    for number in range(24):
        world.submit(remote, f"task {number}", REPORTS, [SDK])
        if number % 2:
            kills.strike()
    ended = world.until_ended(remote, world.submitted, 240)
    assert {task.status.state for task in ended.values()} == {tasks.TASK_STATE_COMPLETED}, kills.done
    for identity in world.submitted:
        lines = [line for line in remote.log(identity, "console").decode().splitlines() if line.startswith("line ")]
        assert lines == [f"line {n}" for n in range(LINES)], kills.done
        assert remote.points(identity)["loss", "train"] == [(n, float(n)) for n in range(LINES)], kills.done
    tally.judge(f"kills {kills.done}", world.judged())


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seconds", [pytest.param(60, marks=pytest.mark.nightly), 8])
def test_f8_a_broker_that_was_frozen_loses_no_lease(open_world: Open, tally: Tally, seconds: int) -> None:
    world = open_world()
    remote = world.remote()
    world.keep_agent("a")
    identities = [world.submit(remote, f"task {n}", "time.sleep(4)\n") for n in range(2)]
    poll("both run", 60, lambda: all(remote.get(each).status.state == tasks.TASK_STATE_RUNNING for each in identities))
    world.queue_process.send(signal.SIGSTOP)
    time.sleep(seconds)
    world.queue_process.send(signal.SIGCONT)
    world.until_ended(remote, identities)
    assert [remote.get(each).status.attempt for each in identities] == [1, 1]
    tally.judge("frozen broker", world.judged())


@pytest.mark.nightly
@pytest.mark.timeout(400)
def test_f6_a_frozen_agent_loses_its_lease_its_shim_kills_the_run_and_another_agent_does_it(
    open_world: Open, tally: Tally
) -> None:
    world = open_world()
    remote = world.remote()
    frozen = world.keep_agent("a")
    identity = remote.create(ONCE + "time.sleep(100 if os.environ['BATUTA_ATTEMPT'] == '1' else 1)\n", "task")
    retry = types.RetryPolicy(lease_policy=types.LEASE_POLICY_FAST)
    request = tasks.UpdateTaskRequest(task=tasks.Task(id=identity, spec=tasks.TaskSpec(retry=retry)))
    request.update_mask.paths.append("spec.retry")
    remote.tasks.UpdateTask(request)
    remote.enqueue(identity)
    world.submitted.append(identity)
    poll("it runs", 60, lambda: remote.get(identity).status.state == tasks.TASK_STATE_RUNNING)
    frozen.send(signal.SIGSTOP)
    world.keep_agent("b")
    poll("another has it", 120, lambda: remote.get(identity).status.attempt > 1)
    frozen.send(signal.SIGCONT)
    ended = world.until_ended(remote, [identity])
    assert ended[identity].status.state == tasks.TASK_STATE_COMPLETED
    assert ended[identity].status.agent_id == "b"
    tally.judge("frozen agent", world.judged())


@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_f24_a_task_that_floods_its_console_hinders_no_other(open_world: Open, tally: Tally) -> None:
    world = open_world()
    remote = world.remote()
    world.keep_agent("a")
    flood = world.submit(remote, "flood", FLOOD)
    quiet = world.submit(remote, "quiet", RUN.replace("0.03", "0.5"))
    ended = world.until_ended(remote, [flood, quiet], 200)
    assert {task.status.state for task in ended.values()} == {tasks.TASK_STATE_COMPLETED}
    assert ended[quiet].status.attempt == ended[flood].status.attempt == 1
    said = remote.log(quiet, "console").decode()
    assert [line for line in said.splitlines() if line.startswith("line")] == [f"line {n}" for n in range(LINES)]
    tally.judge("flood", world.judged())


@pytest.mark.nightly
@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", ["up", "down"])
def test_f10_f11_a_link_that_swallows_one_direction_is_noticed_and_costs_no_attempt(
    open_world: Open, tally: Tally, way: str
) -> None:
    world = open_world()
    assert world.network is not None
    remote = world.remote()
    world.keep_agent("a")
    identity = world.submit(remote, "task", "time.sleep(45)\n")
    poll("it runs", 60, lambda: remote.get(identity).status.state == tasks.TASK_STATE_RUNNING)
    world.network.silence(up=way == "up", down=way == "down")
    poll("the agent is offline", 45, lambda: not _online(world))
    world.network.heal()
    remote.online("a", seconds=40)
    world.until_ended(remote, [identity])
    assert remote.get(identity).status.attempt == 1
    tally.judge(f"one-way cut {way}", world.judged())


def _online(world: World) -> bool:
    listed = world.remote().agents.ListAgents(agents.ListAgentsRequest()).agents
    return any(each.state == agents.AGENT_STATE_ONLINE for each in listed)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("rounds", [pytest.param(60, marks=pytest.mark.nightly), 4])
def test_f12_a_link_that_flaps_costs_no_attempt(open_world: Open, tally: Tally, rounds: int) -> None:
    world = open_world()
    assert world.network is not None
    remote = world.remote()
    world.keep_agent("a")
    identity = world.submit(remote, "task", f"time.sleep({rounds * 2 + 2})\n")
    poll("it runs", 60, lambda: remote.get(identity).status.state == tasks.TASK_STATE_RUNNING)
    for _ in range(rounds):
        world.network.cut()
        time.sleep(1)
        world.network.heal()
        time.sleep(1)
    world.until_ended(remote, [identity])
    status = remote.get(identity).status
    assert (status.state, status.attempt) == (tasks.TASK_STATE_COMPLETED, 1)
    tally.judge("flapping link", world.judged())


@pytest.mark.timeout(120)
def test_f23_bytes_that_are_no_message_are_refused_cleanly_and_cost_no_memory(open_world: Open) -> None:
    world = open_world()
    remote = world.remote()
    before = _memory(world.queue_process.pid)
    with grpc.insecure_channel(
        f"127.0.0.1:{world.ports['queue']}", options=[("grpc.max_metadata_size", 1 << 20)]
    ) as channel:
        token = (("authorization", f"Bearer {_token(world)}"),)
        call: Any = channel.unary_unary("/batuta.queues.v1.QueueService/GetQueue")
        nested = b"\x0a" * 100
        bad = [b"\xff" * 1000, nested, b"\x12\x04\xff\xfe\xfd\xfc", b"x" * (64 << 20)]
        for payload in bad:
            with pytest.raises(grpc.RpcError) as caught:
                call(payload, timeout=20, metadata=token)
            code: Any = caught.value
            assert code.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)
        with pytest.raises(grpc.RpcError):
            call(b"", timeout=20, metadata=(*token, ("junk", "x" * 200_000)))
    assert remote.queues.ListQueues(queues.ListQueuesRequest()).queues
    assert _memory(world.queue_process.pid) - before < 96 << 20


def _token(world: World) -> str:
    return Signer.load_or_create(world.folder / "keys", "api").sign_user("tester", frozenset({"admin"}))[0]


def _memory(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(2, 6))])
def test_f28_a_cancel_at_any_moment_ends_a_task_once(open_world: Open, tally: Tally, seed: int) -> None:
    world = open_world()
    remote, chance = world.remote(), random.Random(seed)
    world.keep_agent("a")
    warm = world.submit(remote, "warm")
    world.until_ended(remote, [warm])
    for number in range(8):
        identity = world.submit(remote, f"task {number}")
        time.sleep(chance.uniform(0, 0.9))
        try:
            remote.tasks.AbortTask(tasks.AbortTaskRequest(task_id=identity))
        except IllegalTransition:
            continue  # it had ended
    ended = world.until_ended(remote, world.submitted)
    allowed = {tasks.TASK_STATE_COMPLETED, tasks.TASK_STATE_ABORTED}
    assert {task.status.state for task in ended.values()} <= allowed, [task.status for task in ended.values()]
    tally.judge(f"cancels, seed {seed}", world.judged())


@pytest.mark.nightly
@pytest.mark.timeout(400)
def test_f30_a_task_that_kills_its_agents_is_held_after_two_of_them(open_world: Open, tally: Tally) -> None:
    world = open_world()
    remote = world.remote()
    for name in ("a", "b"):
        world.keep_agent(name, slots=1)
    poison = (
        "import signal\n"
        "for _ in range(3):\n"
        "    parent = os.getppid()\n"
        "    os.kill(parent, signal.SIGKILL)\n"
        "    time.sleep(0.3)\n"
    )
    identity = world.submit(remote, "poison", poison)
    well = world.submit(remote, "well")

    def held() -> bool:
        world.revive()
        return remote.get(identity).status.reason == "HELD"

    poll("it is held", 120, held)
    world.until_ended(remote, [well])
    world.submitted.remove(identity)
    tally.judge("poison", world.judged())
