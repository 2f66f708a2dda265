"""Any broker of several is killed or frozen, Redis goes away: no task is lost, run twice or stuck."""

from __future__ import annotations

import asyncio
import signal
from functools import partial

import pytest

from tools.redis_server import RedisServer

from .deployment import BACK_WITHIN, CLOCK, Deployment, wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


async def test_brokers_killed_in_turn_lose_and_double_nothing_and_their_agents_are_back(deployment: Deployment) -> None:
    for _ in range(3):
        await deployment.start_broker()
    await deployment.start_workers(6)
    queue_id = await deployment.queue_id()
    for turn in range(3):
        submitting = asyncio.create_task(deployment.submit(60, deployment.all, queue_id))
        await wait_for(lambda: len(deployment.submitted) % 60 > 20, 30)
        victim = deployment.brokers[turn]
        victim.kill(signal.SIGKILL)
        killed = CLOCK.monotonic()
        await victim.process.wait()
        left = BACK_WITHIN - (CLOCK.monotonic() - killed)
        await wait_for(partial(deployment.all_connected, but=victim.address), left)
        await submitting
        await deployment.all_done()
        await deployment.start_broker(int(victim.address.rsplit(":", 1)[1]))
        deployment.brokers[turn] = deployment.brokers.pop()
    # An offer whose answer met the end of its broker is made again; what had begun is never taken away.
    assert not [ref for worker in deployment.workers for ref in worker.told_lost if worker.ran[ref]]


@pytest.mark.nightly
async def test_a_broker_that_was_frozen_until_it_counted_as_dead_is_fenced(deployment: Deployment) -> None:
    one, two = await deployment.start_broker(), await deployment.start_broker()
    await deployment.start_workers(4)
    queue_id = await deployment.queue_id()
    two.kill(signal.SIGSTOP)
    await deployment.submit(20, deployment.stub(one), queue_id)
    await deployment.all_done()
    # Longer than the ten looks after which its row is taken out.
    await CLOCK.sleep(14)
    two.kill(signal.SIGCONT)
    await deployment.submit(20, deployment.stub(two), queue_id)
    await deployment.submit(20, deployment.stub(one), queue_id)
    await deployment.all_done()
    assert two.process.returncode is None


async def test_without_redis_work_goes_on_a_little_later(deployment: Deployment, redis: RedisServer) -> None:
    one, two = await deployment.start_broker(), await deployment.start_broker()
    await deployment.start_workers(4)
    queue_id = await deployment.queue_id()
    await deployment.submit(20, deployment.stub(one), queue_id)
    redis.flush()
    await deployment.submit(20, deployment.stub(two), queue_id)
    await deployment.all_done(20)
    redis.stop()
    await deployment.submit(20, deployment.stub(one), queue_id)
    await deployment.submit(20, deployment.stub(two), queue_id)
    await deployment.all_done(20)
    redis.start()
    await deployment.submit(20, deployment.stub(one), queue_id)
    await deployment.all_done(20)
    assert [len(worker.welcomes) for worker in deployment.workers] == [1] * 4


SUBMITTERS = 8
WAITING = 100
WINDOW = 8.0


async def _throughput(deployment: Deployment, queue_id: str) -> float:
    """Tasks a second that are submitted to any broker, run and reported, while there are always some that wait."""
    end, ran = CLOCK.monotonic() + WINDOW, deployment.ran.total()

    async def submit(number: int) -> None:
        stub = deployment.stub(deployment.brokers[number % len(deployment.brokers)])
        while CLOCK.monotonic() < end:
            if len(deployment.submitted) - deployment.ran.total() < WAITING:
                await deployment.submit(1, stub, queue_id)
            else:
                await CLOCK.sleep(0.02)

    await asyncio.gather(*(submit(number) for number in range(SUBMITTERS)))
    rate = (deployment.ran.total() - ran) / WINDOW
    await deployment.all_done()
    return rate


@pytest.mark.nightly
async def test_f15_without_redis_about_as_much_is_done(deployment: Deployment, redis: RedisServer) -> None:
    for _ in range(2):
        await deployment.start_broker()
    await deployment.start_workers(4, slots=4)
    queue_id = await deployment.queue_id()
    await _throughput(deployment, queue_id)  # until everything is warm
    with_redis, without = list[float](), list[float]()
    for _ in range(2):
        with_redis.append(await _throughput(deployment, queue_id))
        redis.stop()
        without.append(await _throughput(deployment, queue_id))
        redis.start()
        await CLOCK.sleep(3)  # the brokers find it again
    ratio = sum(without) / sum(with_redis)
    print(f"\nwith Redis {with_redis}, without {without} tasks/s: {ratio:.0%}")
    assert ratio >= 0.5
