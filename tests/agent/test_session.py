"""Dialogues of one agent with a broker that says exactly what each test tells it to."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.rpc import error_details_pb2

from batuta_agent.agent import Agent, Identity
from batuta_agent.assignments import Assignments
from batuta_agent.environment.locks import try_lock
from batuta_agent.environment.prepare import Prepared
from batuta_agent.environment.source import Checkout
from batuta_agent.environment.tool import Tools
from batuta_agent.environment.venv import Venv
from batuta_agent.folders import AttemptFolder, StateFolder
from batuta_agent.health import Health, gpu_name
from batuta_agent.journal import Journal
from batuta_agent.model import Phase
from batuta_agent.session import Session
from batuta_agent.shims import ShimPool
from batuta_agent.testing import Dialogue, ScriptedBroker, until
from batuta_agent.warm import WarmInterpreters
from batuta_agent.workshop import Workshop
from batuta_proto.agents import v1 as agents
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_rpc.auth import StaticToken
from batuta_rpc.clock import SystemClock
from batuta_rpc.errors import AgentNameTaken, QueueNotFound
from batuta_rpc.ids import SystemIds
from batuta_rpc.testing import FakeClock
from batuta_rpc.trust import PUBLIC, Trust

from .conftest import assignment, end_everything_below

CLOCK = SystemClock()


class Maker:
    """Prepares nothing; user code is `code`, once `ready` is set."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.code = "pass"

    async def prepare(self, spec: tasks.TaskSpec, folder: AttemptFolder, tools: Tools) -> Prepared:
        await self.ready.wait()
        folder.work.mkdir(exist_ok=True)
        script = folder.work / "code.py"
        script.write_text(self.code)
        lock = folder.path / "venv.lock"
        held = try_lock(lock, shared=True)
        assert held is not None
        checkout = Checkout(folder.work, folder.work, (str(script),))
        return Prepared(checkout, Venv(sys.executable, folder.path, lock, held, cached=True))


class Reader:
    async def read(self, assignment: agents.Assignment) -> tasks.TaskSpec:
        return tasks.TaskSpec()


class Sampler:
    """Takes a sample whenever it is asked."""

    def __init__(self) -> None:
        self.taken = 0

    async def list_gpus(self) -> list[types.Gpu]:
        return [types.Gpu(uuid="GPU-1")]

    async def sample(self) -> agents.TelemetrySample | None:
        self.taken += 1
        return agents.TelemetrySample(time_unix_millis=self.taken)


class Silent:
    def __init__(self) -> None:
        self.said: list[str] = []

    def event(self, kind: str, text: str, level: str = "info", **facts: object) -> None:
        self.said.append(text)


class Unasked:
    """A broker that wants no certificate."""

    async def trust(self, *, refused: bool) -> Trust:
        return PUBLIC


class Bench:
    """An agent in this process, with its parts at hand."""

    def __init__(self, folder: Path, broker: ScriptedBroker, slots: int) -> None:
        self.maker = Maker()
        self.printer = Silent()
        self.sampler: Any = Sampler()
        self.state = StateFolder(folder / "state")
        self.ids = SystemIds()
        self.journal = Journal(self.state.journal, self.ids)
        self.shims = ShimPool(os.environ, CLOCK)
        self.health = Health()
        workshop = Workshop(
            broker.address,
            "tester",
            os.environ,
            self.journal,
            self.shims,
            WarmInterpreters(0, self.shims, os.environ, self.printer, CLOCK),
            Reader(),
            self.maker,
            self.printer,
            CLOCK,
            self.ids,
            self.health,
        )
        self.assignments = Assignments(self.state, workshop, slots)
        identity = Identity("tester", {"default": "q1", "other": "q2"}, {"zone": "a"})
        self.agent = Agent(
            identity,
            broker.address,
            StaticToken("token"),
            Unasked(),
            self.assignments,
            self.journal,
            self.sampler,
            self.printer,
            CLOCK,
            self.ids,
        )
        self.running = asyncio.ensure_future(self.agent.run())

    async def close(self) -> None:
        self.agent.stop()
        await self.running
        await self.shims.close()
        await self.journal.close()
        self.state.close()


@pytest.fixture
async def bench(tmp_path: Path, broker: ScriptedBroker) -> AsyncGenerator[Bench]:
    made = Bench(tmp_path, broker, slots=2)
    yield made
    await made.close()
    end_everything_below(tmp_path)


async def opened(broker: ScriptedBroker) -> tuple[Dialogue, agents.Hello]:
    session = await broker.session()
    return session, await session.take("hello")


async def test_hello_comes_first_and_says_who_what_and_where(bench: Bench, broker: ScriptedBroker) -> None:
    _session, hello = await opened(broker)
    assert (hello.agent_id, hello.journal_id) == ("tester", bench.journal.journal_id)
    assert (list(hello.queue_ids), hello.max_assignments, dict(hello.labels)) == (["q1", "q2"], 2, {"zone": "a"})
    assert hello.boot_id
    assert hello.instance_id
    assert hello.capacity.cpus > 0
    assert hello.capacity.gpus == 1
    assert [each.uuid for each in hello.gpus] == ["GPU-1"]
    assert hello.resume_session_id == ""
    assert list(hello.capabilities) == ["drain", "resync"]


async def test_heartbeats_count_up_at_the_brokers_period_and_tell_the_whole_truth(
    bench: Bench, broker: ScriptedBroker
) -> None:
    session, _ = await opened(broker)
    session.welcome(period=0.05)
    session.send(assignment=assignment())
    await session.take_report(Phase.ACCEPTED)
    beat = await session.take("heartbeat")
    while not beat.held:
        beat = await session.take("heartbeat")
    assert [(each.ref.task_id, each.ref.attempt, each.phase) for each in beat.held] == [("task", 1, Phase.ACCEPTED)]
    assert beat.free_assignments == 1
    numbers = [each.heartbeat.heartbeat_number for each in session.received if each.HasField("heartbeat")]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_an_acknowledgement_sets_a_new_period(bench: Bench, broker: ScriptedBroker) -> None:
    session, _ = await opened(broker)
    session.welcome(period=0.05)
    ack = agents.HeartbeatAck(heartbeat_number=1)
    ack.heartbeat_period.seconds = 60
    await session.take("heartbeat")
    session.send(heartbeat_ack=ack)
    await asyncio.sleep(0.2)
    before = len([each for each in session.received if each.HasField("heartbeat")])
    await asyncio.sleep(0.3)
    assert len([each for each in session.received if each.HasField("heartbeat")]) <= before + 1


async def test_accepted_is_in_the_journal_before_it_is_sent(bench: Bench, broker: ScriptedBroker) -> None:
    session, _ = await opened(broker)
    session.welcome()
    session.send(assignment=assignment())
    report = await session.take("report")
    assert report.phase == Phase.ACCEPTED
    other = Journal(bench.state.journal, bench.ids)
    assert [each.report_number for each in other.reports()] == [report.report_number]
    assert [each.ref.task_id for each in other.held()] == ["task"]
    await other.close()


async def test_the_same_assignment_twice_is_one(bench: Bench, broker: ScriptedBroker) -> None:
    session, _ = await opened(broker)
    session.welcome()
    session.send(assignment=assignment())
    session.send(assignment=assignment())
    session.send(assignment=assignment("other"))
    refs = [(await session.take("report")).ref.task_id for _ in range(2)]
    assert refs == ["task", "other"]


async def test_what_finds_no_place_is_rejected(bench: Bench, broker: ScriptedBroker) -> None:
    session, _ = await opened(broker)
    session.welcome()
    for name in ("a", "b", "c"):
        session.send(assignment=assignment(name))
    reports = [await session.take("report") for _ in range(3)]
    assert [(each.ref.task_id, each.phase) for each in reports] == [
        ("a", Phase.ACCEPTED),
        ("b", Phase.ACCEPTED),
        ("c", Phase.REJECTED),
    ]
    assert reports[2].reason.message == "all 2 places are taken"


async def test_a_draining_agent_takes_nothing_until_it_is_told_otherwise(bench: Bench, broker: ScriptedBroker) -> None:
    session, _ = await opened(broker)
    session.welcome(period=0.05)
    session.send(drain=agents.Drain(reason="maintenance"))
    beat = await session.take("heartbeat")
    while not beat.draining:
        beat = await session.take("heartbeat")
    assert beat.free_assignments == 0
    session.send(assignment=assignment("a"))
    assert (await session.take("report")).phase == Phase.REJECTED
    session.send(undrain=agents.Undrain())
    session.send(assignment=assignment("b"))
    assert (await session.take("report")).phase == Phase.ACCEPTED


async def test_an_agent_that_missed_the_undrain_takes_work_after_the_next_welcome(
    bench: Bench, broker: ScriptedBroker
) -> None:
    session, _ = await opened(broker)
    session.welcome(period=0.05)
    session.send(drain=agents.Drain(reason="maintenance"))
    while not (await session.take("heartbeat")).draining:
        pass
    session.end(None)
    again, _ = await opened(broker)
    again.welcome()
    again.send(assignment=assignment("a"))
    assert (await again.take("report")).phase == Phase.ACCEPTED


async def test_after_a_cut_the_session_is_resumed_at_once_and_unacknowledged_reports_come_again(
    bench: Bench, broker: ScriptedBroker
) -> None:
    session, first = await opened(broker)
    session.welcome()
    session.send(assignment=assignment("a"))
    session.send(assignment=assignment("b"))
    reports = [await session.take("report") for _ in range(2)]
    session.acknowledge(reports[0].report_number)
    await until(lambda: len(bench.journal.reports()) == 1)
    session.end()
    again, hello = await opened(broker)
    assert (hello.resume_session_id, hello.instance_id) == ("session", first.instance_id)
    assert sorted(each.ref.task_id for each in hello.held) == ["a", "b"]
    again.welcome(expected=[assignment("a"), assignment("b")], report_number=reports[0].report_number)
    assert await again.take("report") == reports[1]


async def test_welcome_acknowledges_reports_too(bench: Bench, broker: ScriptedBroker) -> None:
    session, _ = await opened(broker)
    session.welcome()
    session.send(assignment=assignment())
    report = await session.take("report")
    session.end()
    again, _ = await opened(broker)
    again.welcome(expected=[assignment()], report_number=report.report_number)
    await until(lambda: bench.journal.reports() == [])


async def test_being_expected_permits_the_start_as_the_acknowledgement_does(
    bench: Bench, broker: ScriptedBroker
) -> None:
    session, _ = await opened(broker)
    session.welcome()
    session.send(assignment=assignment())
    await session.take("report")
    bench.maker.ready.set()
    session.end()
    again, _ = await opened(broker)
    again.welcome(expected=[assignment()])
    again.auto = True
    await again.take_report(Phase.SUCCEEDED)


async def test_what_welcome_expects_and_nobody_has_is_started(bench: Bench, broker: ScriptedBroker) -> None:
    session, _ = await opened(broker)
    session.welcome(expected=[assignment("new")])
    assert (await session.take("report")).ref.task_id == "new"


async def test_what_welcome_does_not_expect_is_given_up_without_a_word(bench: Bench, broker: ScriptedBroker) -> None:
    session, _ = await opened(broker)
    session.welcome()
    session.send(assignment=assignment())
    await session.take("report")
    session.end()
    again, _ = await opened(broker)
    again.welcome()
    await until(lambda: bench.journal.held() == [])
    assert bench.journal.reports() == []


async def test_a_place_is_free_again_once_the_end_is_reported(bench: Bench, broker: ScriptedBroker) -> None:
    bench.maker.ready.set()
    session = await broker.welcomed(period=30.0)
    session.send(assignment=assignment())
    await session.take_report(Phase.SUCCEEDED)
    beat = await session.take("heartbeat")
    while beat.held:
        beat = await session.take("heartbeat")
    assert beat.free_assignments == 2


async def test_a_message_of_a_kind_that_is_not_known_is_counted_and_ignored(
    bench: Bench, broker: ScriptedBroker
) -> None:
    session, _ = await opened(broker)
    session.welcome()
    session.send()
    session.send(assignment=assignment())
    await session.take("report")
    assert bench.agent.counters.unknown_messages == 1


async def test_a_cancel_of_what_is_not_here_is_ignored(bench: Bench, broker: ScriptedBroker) -> None:
    session, _ = await opened(broker)
    session.welcome()
    session.send(cancel=agents.Cancel(ref=agents.AssignmentRef(task_id="nobody", attempt=1)))
    session.send(assignment=assignment())
    await session.take("report")


async def test_a_cancel_before_the_acknowledgement_of_accepted_means_no_start(
    bench: Bench, broker: ScriptedBroker
) -> None:
    bench.maker.ready.set()
    session, _ = await opened(broker)
    session.welcome()
    session.send(assignment=assignment())
    await session.take_report(Phase.ACCEPTED)
    session.send(cancel=agents.Cancel(ref=assignment().ref, reason=agents.CANCEL_REASON_PREEMPTED))
    report = await session.take_report(Phase.CANCELLED)
    assert "more important work" in report.reason.message


async def test_disconnect_says_when_and_where_to_come_back(bench: Bench, broker: ScriptedBroker) -> None:
    elsewhere = ScriptedBroker()
    await elsewhere.start()
    session, _ = await opened(broker)
    session.welcome()
    gone = agents.Disconnect(endpoint=elsewhere.address)
    gone.reconnect_after.FromMilliseconds(300)
    begun = CLOCK.monotonic()
    session.send(disconnect=gone)
    _session, hello = await opened(elsewhere)
    assert CLOCK.monotonic() - begun >= 0.3
    assert hello.resume_session_id == "session"
    await elsewhere.stop()


async def test_resync_is_answered_by_hello(bench: Bench, broker: ScriptedBroker) -> None:
    session, _ = await opened(broker)
    session.welcome()
    session.send(assignment=assignment())
    await session.take("report")
    session.send(resync=agents.Resync())
    hello = await session.take("hello")
    assert [each.ref.task_id for each in hello.held] == ["task"]


async def test_telemetry_keeps_coming_and_only_the_newest(bench: Bench, broker: ScriptedBroker) -> None:
    session, _ = await opened(broker)
    session.welcome(period=0.03)
    times = [(await session.take("telemetry")).sample.time_unix_millis for _ in range(3)]
    assert times == sorted(set(times))


async def test_a_broker_that_is_away_is_tried_again_with_growing_pauses(bench: Bench, broker: ScriptedBroker) -> None:
    session, _ = await opened(broker)
    session.welcome()
    port = int(broker.address.rsplit(":", 1)[1])
    await broker.stop()
    await until(lambda: any("trying again" in said for said in bench.printer.said))
    again = ScriptedBroker()
    await again.start(port)
    _session, hello = await opened(again)
    assert hello.resume_session_id == "session"
    await again.stop()


@pytest.mark.parametrize("error", [AgentNameTaken("another machine has it"), QueueNotFound("no such queue")])
async def test_a_refusal_that_waiting_does_not_mend_ends_the_agent(
    bench: Bench, broker: ScriptedBroker, error: Any
) -> None:
    session, _ = await opened(broker)
    session.end(error)
    assert await asyncio.wait_for(asyncio.shield(bench.running), 20) == 1
    assert bench.printer.said == [str(error)]


async def test_a_stopped_agent_says_goodbye_and_keeps_its_leases(bench: Bench, broker: ScriptedBroker) -> None:
    session, _ = await opened(broker)
    session.welcome()
    session.send(assignment=assignment())
    await session.take("report")
    bench.agent.stop()
    assert (await session.take("goodbye")).keep_leases
    session.end()
    assert await asyncio.wait_for(asyncio.shield(bench.running), 20) == 0


async def test_after_a_restart_nothing_starts_before_the_broker_expects_it_again(
    tmp_path: Path, broker: ScriptedBroker
) -> None:
    first = Bench(tmp_path, broker, slots=2)
    session, _ = await opened(broker)
    session.welcome()
    session.send(assignment=assignment())
    report = await session.take_report(Phase.ACCEPTED)
    session.acknowledge(report.report_number)
    await until(lambda: first.journal.reports() == [])
    session.end()
    first.agent.stop()
    await first.close()
    second = Bench(tmp_path, broker, slots=2)
    second.maker.ready.set()
    mark = tmp_path / "started"
    second.maker.code = f"open({str(mark)!r}, 'w').close()"
    again, hello = await opened(broker)
    assert [each.ref.task_id for each in hello.held] == ["task"]
    await asyncio.sleep(0.3)
    assert not mark.exists()
    again.auto = True
    again.welcome(expected=[assignment()])
    await again.take_report(Phase.SUCCEEDED)
    assert mark.exists()
    await second.close()
    end_everything_below(tmp_path)


async def test_nothing_starts_on_a_lease_that_ran_out_while_it_was_prepared(
    bench: Bench, broker: ScriptedBroker, tmp_path: Path
) -> None:
    mark = tmp_path / "started"
    bench.maker.code = f"open({str(mark)!r}, 'w').close()"
    session, _ = await opened(broker)
    session.welcome(period=0.1)
    terms = agents.LeaseTerms(kill_when_lost=True)
    terms.lost_after.FromMilliseconds(6_400)  # 0.3 s after what is kept back for the kill
    terms.kill_grace.FromMilliseconds(1_000)
    session.send(assignment=assignment(lease=terms))
    report = await session.take_report(Phase.ACCEPTED)
    session.acknowledge(report.report_number)
    await asyncio.sleep(0.6)
    bench.maker.ready.set()
    await asyncio.sleep(0.3)
    assert not mark.exists()
    session.auto = True  # heartbeats are acknowledged again: the lease lives
    await session.take_report(Phase.SUCCEEDED)


async def test_a_lease_is_renewed_from_the_sending_of_the_acknowledged_heartbeat(
    bench: Bench, broker: ScriptedBroker, tmp_path: Path
) -> None:
    bench.maker.ready.set()
    bench.maker.code = "import time\ntime.sleep(1000)"
    session = await broker.welcomed(period=0.1)
    terms = agents.LeaseTerms(kill_when_lost=True)
    terms.lost_after.FromSeconds(1800)
    terms.kill_grace.FromSeconds(30)
    session.send(assignment=assignment(lease=terms))
    await session.take_report(Phase.RUNNING)
    file = tmp_path / "state" / "attempts" / "task.1" / "lease.json"
    await until(file.exists)
    stop_at = json.loads(file.read_text())["stop_at"]
    left = stop_at - CLOCK.boottime()
    assert 1800 * 0.99 - 30 - 5 - 5 < left <= 1800 * 0.99 - 30 - 5
    await until(lambda: json.loads(file.read_text())["stop_at"] > stop_at)
    session.send(cancel=agents.Cancel(ref=assignment().ref))
    await session.take_report(Phase.CANCELLED)


def terms(lost_after: float, kill_grace: float) -> agents.LeaseTerms:
    made = agents.LeaseTerms(kill_when_lost=True)
    made.lost_after.FromMilliseconds(int(lost_after * 1000))
    made.kill_grace.FromMilliseconds(int(kill_grace * 1000))
    return made


def word(report: agents.AssignmentReport) -> str:
    info = error_details_pb2.ErrorInfo()
    assert report.reason.details[0].Unpack(info)
    return info.reason


async def test_a_lease_that_two_heartbeats_do_not_fit_into_is_refused_and_says_what_to_change(
    bench: Bench, broker: ScriptedBroker
) -> None:
    session, _ = await opened(broker)
    session.welcome(period=5.0)
    session.send(assignment=assignment("short", lease=terms(20.0, 10.0)))
    report = await session.take("report")
    assert (report.phase, word(report)) == (Phase.REJECTED, "LEASE_TOO_SHORT")
    assert "raise lost_after, or lower kill_grace" in report.reason.message
    session.send(assignment=assignment("fast", lease=terms(60.0, 10.0)))
    assert (await session.take("report")).phase == Phase.ACCEPTED


async def test_an_agent_that_is_not_well_says_why_and_takes_nothing_until_it_is(
    bench: Bench, broker: ScriptedBroker
) -> None:
    session, _ = await opened(broker)
    session.welcome(period=3.0)
    await session.take("heartbeat")
    bench.health.set(gpu_name("GPU-1"), "GPU 0 (GPU-1) does not answer any more")
    beat = await session.take("heartbeat")
    assert (beat.free_assignments, beat.unhealthy_reason) == (0, "GPU 0 (GPU-1) does not answer any more")
    session.send(assignment=assignment("a"))
    report = await session.take("report")
    assert (report.phase, word(report)) == (Phase.REJECTED, "AGENT_UNHEALTHY")
    bench.health.set(gpu_name("GPU-1"), "")
    beat = await session.take("heartbeat")
    assert (beat.free_assignments, beat.unhealthy_reason) == (2, "")


@pytest.mark.parametrize(
    ("code", "phase", "reason"),
    [("raise SystemExit(1)", Phase.FAILED, "GPU_UNHEALTHY"), ("pass", Phase.SUCCEEDED, "")],
)
async def test_a_run_that_fails_by_itself_while_its_gpu_is_ill_is_not_to_blame(
    bench: Bench, broker: ScriptedBroker, code: str, phase: Phase, reason: str
) -> None:
    bench.maker.code = code
    session = await broker.welcomed()
    session.send(assignment=assignment(gpu_uuids=["GPU-1"]))
    await session.take_report(Phase.ACCEPTED)
    bench.health.set(gpu_name("GPU-1"), "GPU 0 (GPU-1) does not answer any more")
    bench.maker.ready.set()
    report = await session.take_report(phase)
    assert (word(report) if report.reason.details else "") == reason


async def test_the_trouble_of_another_gpu_is_no_excuse(bench: Bench, broker: ScriptedBroker) -> None:
    bench.maker.code = "raise SystemExit(1)"
    session = await broker.welcomed()
    session.send(assignment=assignment(gpu_uuids=["GPU-1"]))
    await session.take_report(Phase.ACCEPTED)
    bench.health.set(gpu_name("GPU-2"), "GPU 1 (GPU-2) does not answer any more")
    bench.maker.ready.set()
    assert word(await session.take_report(Phase.FAILED)) == "EXIT_CODE"


async def test_a_second_welcome_gives_up_what_it_does_not_expect(bench: Bench, broker: ScriptedBroker) -> None:
    session, _ = await opened(broker)
    session.welcome()
    session.send(assignment=assignment("a"))
    session.send(assignment=assignment("b"))
    reports = [await session.take("report") for _ in range(2)]
    session.send(resync=agents.Resync())
    assert len((await session.take("hello")).held) == 2
    session.welcome(expected=[assignment("b")], report_number=reports[1].report_number)
    await until(lambda: [each.ref.task_id for each in bench.journal.held()] == ["b"])


class Deaf:
    """The far end of a stream: it greets, then says `chatter` once a second, reads as long as `reads` and acknowledges
    nothing."""

    def __init__(self, clock: FakeClock, *, reads: bool, chatter: agents.SessionResponse | None = None) -> None:
        welcome = agents.Welcome(session_id="s")
        welcome.heartbeat_period.FromSeconds(5 if reads else 15)
        self._answers = [agents.SessionResponse(welcome=welcome)]
        self._clock = clock
        self._reads = reads
        self._chatter = chatter
        self._writes = 0

    async def write(self, message: agents.SessionRequest) -> None:
        self._writes += 1
        if not self._reads and self._writes > 1:  # the greeting went through
            await asyncio.Event().wait()

    async def read(self) -> agents.SessionResponse:
        if self._answers:
            return self._answers.pop()
        if self._chatter is None:
            await asyncio.Event().wait()
        await self._clock.sleep(1.0)
        assert self._chatter is not None
        return self._chatter

    def cancel(self) -> None:
        return


@pytest.mark.parametrize(
    ("reads", "chatter", "words"),
    [
        (False, None, "has read nothing"),
        (True, None, "has answered no heartbeat"),
        (True, agents.SessionResponse(undrain=agents.Undrain()), "has answered no heartbeat"),
    ],
    ids=["reads nothing", "says nothing", "only the way down works"],
)
async def test_a_session_of_which_one_direction_is_dead_ends_within_thirty_seconds(
    bench: Bench, reads: bool, chatter: agents.SessionResponse | None, words: str
) -> None:
    clock = FakeClock()
    stub: Any = SimpleNamespace(Session=lambda: Deaf(clock, reads=reads, chatter=chatter))
    session = Session(stub, agents.Hello, bench.assignments, bench.journal, bench.sampler, clock, bench.agent.counters)
    running = asyncio.ensure_future(session.run("", lambda _welcome: None))
    while not running.done() and clock.monotonic() < 100:
        await clock.run_for(0.5)
    assert words in str((await running).error)
    assert clock.monotonic() <= 30
