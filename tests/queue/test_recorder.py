"""What happens in queues and on agents is recorded, survives restarts, and costs few commits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from batuta_proto.agents import v1 as agents
from batuta_proto.queues import v1 as queues
from batuta_queue.book import LeaseBook
from batuta_queue.history import TIERS
from batuta_queue.history_store import of_agent, of_queue
from batuta_queue.model import NO_PAYLOAD, EntryState
from batuta_queue.numbers import Numbers
from batuta_queue.outgoing import Outgoing
from batuta_queue.recorder import Recorder
from batuta_queue.sessions import Session, SessionRegistry
from batuta_queue.store import QueueStore
from batuta_queue.telemetry import Telemetry
from batuta_queue.testing import MemoryTransactor, make_agent, make_entry, make_queue
from batuta_queue.waits import Waits
from batuta_rpc.clock import SystemClock, within
from batuta_rpc.errors import AgentNotFound, FieldViolation, QueueNotFound, StorageFailed
from batuta_rpc.testing import FakeClock

T = TypeVar("T")


class Bulk(MemoryTransactor):
    """Counts commits, and refuses bulk data where a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0
        self.full = False

    async def write(self, fn: Callable[[QueueStore], T], *, bulk: int = 0, late: bool = False) -> T:
        assert bulk
        assert late
        if self.full:
            raise StorageFailed("the disk is full")
        self.commits += 1
        return await super().write(fn)


class Bench:
    """A recorder over a store in memory, with agents that send what they are told."""

    def __init__(self, transactor: Bulk, clock: FakeClock, leads: bool = True) -> None:
        self.transactor = transactor
        self.clock = clock
        self.registry = SessionRegistry(Numbers())
        self.telemetry = Telemetry()
        self.waits = Waits()
        self.recorder = Recorder(transactor, self.registry, self.telemetry, self.waits, lambda: leads, clock)

    def connect(self, name: str) -> None:
        agent = make_agent(name, journal_id=f"journal-{name}")
        self.registry.replace(Session(name, agent, LeaseBook(), Outgoing(9, 9_999), 5.0, 0.0, share=1.0))

    def send(self, name: str, cpu: float) -> None:
        self.telemetry.keep(name, agents.TelemetrySample(host=agents.HostSample(cpu_percent=cpu)))

    async def tick(self, seconds: float = 10) -> None:
        self.clock.advance(seconds)
        await self.recorder.tick()

    async def told(self, subject: str, tier: int = 0) -> list[tuple[float, ...]]:
        found = await self.transactor.read(lambda store: store.history(subject, tier, 0, 10**15))
        return [(point.samples, point.means[0], point.peaks[0]) for _, point in found]


@pytest.fixture
def bench() -> Bench:
    return Bench(Bulk(), FakeClock())


async def test_all_agents_of_a_tick_go_into_few_commits(bench: Bench) -> None:
    for number in range(150):
        bench.connect(f"a{number}")
        bench.send(f"a{number}", number)
    await bench.tick()
    assert bench.transactor.commits == 1
    assert await bench.told(of_agent("a149")) == [(1, 149.0, 149.0)]


async def test_a_sample_counts_once_and_an_agent_that_left_not_at_all(bench: Bench) -> None:
    bench.connect("a")
    bench.send("a", 10)
    bench.send("left", 99)
    await bench.tick()
    await bench.tick()
    bench.send("a", 30)
    await bench.tick()
    assert [mean for _, mean, _ in await bench.told(of_agent("a"))] == [10.0, 30.0]
    assert await bench.told(of_agent("left")) == []


async def test_coarser_tiers_get_a_minute_at_a_time_and_the_last_one_at_the_end(bench: Bench) -> None:
    bench.connect("a")
    bench.clock.advance(60 - bench.clock.unix_millis() % 60_000 / 1000)
    for number in range(7):
        bench.send("a", number * 10)
        await bench.tick()
    assert await bench.told(of_agent("a"), 1) == [(6, 25.0, 50.0)]
    await bench.recorder.stop()
    assert await bench.told(of_agent("a"), 1) == [(6, 25.0, 50.0), (1, 60.0, 60.0)]
    assert sum(samples for samples, _, _ in await bench.told(of_agent("a"), 2)) == 7


async def test_a_process_that_starts_again_within_a_minute_adds_to_what_there_is(bench: Bench) -> None:
    bench.clock.advance(60 - bench.clock.unix_millis() % 60_000 / 1000)
    for process in (bench, Bench(bench.transactor, bench.clock)):
        process.connect("a")
        process.send("a", 10 if process is bench else 30)
        await process.tick()
        await process.recorder.stop()
    assert await bench.told(of_agent("a"), 1) == [(2, 20.0, 30.0)]


async def test_a_full_disk_costs_samples_and_nothing_else(bench: Bench) -> None:
    bench.connect("a")
    bench.send("a", 10)
    bench.transactor.full = True
    with pytest.raises(StorageFailed):
        await bench.tick()
    await bench.recorder.stop()
    bench.transactor.full = False
    bench.send("a", 30)
    await bench.tick()
    assert await bench.told(of_agent("a")) == [(1, 30.0, 30.0)]


async def submitted(bench: Bench) -> None:
    """A queue in which one entry waits."""

    def fill(store: QueueStore) -> None:
        store.add_queue(make_queue("default"))
        store.add_entry(make_entry("e"), NO_PAYLOAD)

    await MemoryTransactor.write(bench.transactor, fill)


async def test_nothing_is_told_of_a_queue_once_it_is_deleted(bench: Bench) -> None:
    await submitted(bench)
    await bench.tick()

    def delete(store: QueueStore) -> None:
        store.drop_queue("default")
        store.drop_history(of_queue("default"))

    await MemoryTransactor.write(bench.transactor, delete)
    await bench.tick()
    await bench.recorder.stop()
    assert [await bench.told(of_queue("default"), tier) for tier in range(len(TIERS))] == [[], [], []]


async def test_of_several_brokers_one_counts_and_each_tells_of_what_it_gave_out(bench: Bench) -> None:
    await submitted(bench)
    other = Bench(bench.transactor, bench.clock, leads=False)
    bench.waits.note("default", 1_000)
    other.waits.note("default", 3_000)
    await bench.tick()
    await other.recorder.tick()
    found = await bench.transactor.read(lambda store: store.history(of_queue("default"), 0, 0, 10**15))
    assert [(point.samples, point.means, point.peaks[3]) for _, point in found] == [(1, (1.0, 0.0, 0.0), 3_000.0)]
    assert sum(found[0][1].waits.values()) == 2


async def test_a_queue_that_ran_empty_says_so_once(bench: Bench) -> None:
    await submitted(bench)
    await bench.tick()
    gone = make_entry("e", state=EntryState.DONE, end_millis=1)
    await MemoryTransactor.write(bench.transactor, lambda store: store.save_entries([gone]))
    for _ in range(3):
        await bench.tick()
    assert [mean for _, mean, _ in await bench.told(of_queue("default"))] == [1.0, 0.0]


async def queue_history(house: Any, **fields: Any) -> queues.GetQueueHistoryResponse:
    request = queues.GetQueueHistoryRequest(queue_id=house.queue_id, **fields)
    answer: queues.GetQueueHistoryResponse = await house.stub.GetQueueHistory(request)
    return answer


async def agent_history(house: Any, **fields: Any) -> agents.GetAgentHistoryResponse:
    request = agents.GetAgentHistoryRequest(agent_id="agent-1", **fields)
    answer: agents.GetAgentHistoryResponse = await house.agents_stub.GetAgentHistory(request)
    return answer


async def shown(ask: Callable[[], Any], enough: Callable[[Any], bool]) -> Any:
    """The answer, once what is on its way into the store has come there."""

    async def look() -> Any:
        while not enough(answer := await ask()):
            pass
        return answer

    return await within(SystemClock(), 20.0, look())


async def test_lengths_and_waits_and_machines_are_recorded_and_survive_a_restart(open_house: Any) -> None:
    async with open_house() as house:
        agent = house.agent(max_assignments=1)
        await agent.connect()
        for name in ("a", "b", "c"):
            await house.submit(name)
        assignment = await agent.next("assignment")
        house.clock.advance(4)
        await agent.accept(assignment)
        host = agents.HostSample(cpu_percent=25, disk_free_bytes=7, network_sent_bytes_per_second=9)
        sample = agents.TelemetrySample(host=host, gpus=[agents.GpuSample(uuid="GPU-1", temperature_celsius=60)])
        await agent.send(agents.SessionRequest(telemetry=agents.Telemetry(sample=sample)))
        await agent.beat()
        await house.clock.run_for(10)
        answer = await shown(lambda: queue_history(house), lambda seen: len(seen.points) > 0)
        assert answer.resolution.seconds == 10
        point = answer.points[-1]
        assert (point.waiting_max, point.running_max, point.started_count) == (2, 1, 1)
        assert point.wait_max_millis == 4_000
        assert 3_600 < point.wait_p50_millis <= 4_000
        machine = (await shown(lambda: agent_history(house), lambda seen: len(seen.points) > 0)).points[-1]
        assert machine.mean == host
        assert machine.gpus[0].mean.temperature_celsius == 60
    async with open_house() as house:
        again = await queue_history(house)
        assert again.points == answer.points
        house.clock.advance(3_700)
        minutes = await queue_history(house, start_time=_ago(house, 2 * 3_600))
        assert (minutes.resolution.seconds, minutes.points[0].started_count) == (60, 1)
        few = await agent_history(house, start_time=_ago(house, 20 * 3_600), max_points=10)
        assert (few.resolution.seconds % 60, few.points[0].mean.cpu_percent) == (0, 25)
        assert 7_200 <= few.resolution.seconds < 9_000
        month = await queue_history(house, start_time=_ago(house, 10 * 86_400))
        assert month.resolution.seconds in (1_800, 2_400)


def _ago(house: Any, seconds: float) -> Any:
    from batuta_queue.convert import timestamp

    return timestamp(house.clock.unix_millis() - round(seconds * 1000))


async def test_a_stretch_without_an_end_before_its_start_is_refused_and_so_are_strangers(house: Any) -> None:
    with pytest.raises(FieldViolation) as caught:
        await queue_history(house, start_time=_ago(house, -5))
    assert caught.value.field_violations[0][0] == "start_time"
    with pytest.raises(AgentNotFound):
        await agent_history(house)
    with pytest.raises(QueueNotFound):
        await house.stub.GetQueueHistory(queues.GetQueueHistoryRequest(queue_id="none"))


async def test_no_answer_has_more_points_than_asked(house: Any) -> None:
    for seconds in (11, 600, 3_599, 3_601, 86_400, 86_401, 30 * 86_400, 90 * 86_400):
        for most in (1, 7, 500):
            answer = await queue_history(house, start_time=_ago(house, seconds), max_points=most)
            stretch = min(seconds, TIERS[-1].span / 1000)
            assert stretch <= most * answer.resolution.ToSeconds() + answer.resolution.ToSeconds(), (seconds, most)
