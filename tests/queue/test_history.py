"""Points of histories are put together, thinned and told as people ask for them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta_proto.agents import v1 as agents
from batuta_queue.history import TIERS, UNKNOWN, Point, bucket, median, thinned, tier_of
from batuta_queue.model import QueueCounts
from batuta_queue.samples import agent_message, agent_point, queue_message, queue_point
from batuta_queue.waits import Waits

HOUR = 3_600_000


@given(st.lists(st.integers(0, 10**10), min_size=1))
def test_the_median_of_waits_is_right_to_a_tenth(waits: list[int]) -> None:
    tallied = Waits()
    for wait in waits:
        tallied.note("q", wait)
    exact = sorted(waits)[(len(waits) - 1) // 2]
    found = median(tallied.fetch()["q"].counts)
    assert found is not None
    assert abs(found - exact) <= max(1, 0.1 * exact)
    assert tallied.fetch() == {}


def test_classes_of_waits_are_few() -> None:
    assert bucket(30 * 24 * HOUR) < 260
    assert median({}) is None


def test_means_are_weighted_and_peaks_kept_and_what_is_unknown_does_not_count() -> None:
    one = Point(3, (1.0, UNKNOWN, UNKNOWN), (2.0, UNKNOWN, UNKNOWN), (), {1: 2})
    other = Point(1, (5.0, 7.0, UNKNOWN), (5.0, 7.0, UNKNOWN), (), {1: 1, 9: 4})
    both = one.joined(other)
    assert (both.samples, both.means[:2], both.peaks[:2], both.waits) == (4, (2.0, 7.0), (5.0, 7.0), {1: 3, 9: 4})
    assert math.isnan(both.means[2])
    assert math.isnan(both.peaks[2])


def test_where_nobody_counted_only_waits_are_added() -> None:
    waits = Waits()
    waits.note("q", 5_000)
    counted = queue_point(QueueCounts(4, 2, 1), None)
    for both in (
        counted.joined(queue_point(None, waits.fetch()["q"])),
        queue_point(None, None).joined(counted),
    ):
        assert (both.samples, both.means) == (1, (4.0, 2.0, 1.0))
    told = queue_message(7, counted)
    assert (told.time_unix_millis, told.waiting_mean, told.running_max, told.held_max) == (7, 4.0, 2, 1)
    assert (told.started_count, told.HasField("wait_p50_millis")) == (0, False)


def sample(cpu: float, *gpus: str, utilization: int = 50) -> agents.TelemetrySample:
    made = agents.TelemetrySample(host=agents.HostSample(cpu_percent=cpu, memory_used_bytes=2**30))
    for uuid in gpus:
        made.gpus.add(uuid=uuid, utilization_percent=utilization)
    return made


def test_a_sample_is_told_as_it_was_and_what_the_driver_does_not_give_is_absent() -> None:
    told = agent_message(7, agent_point(sample(12.5, "GPU-1")))
    assert (told.sample_count, told.mean.cpu_percent, told.max.memory_used_bytes) == (1, 12.5, 2**30)
    gpu = told.gpus[0].mean
    assert (gpu.uuid, gpu.utilization_percent, gpu.HasField("temperature_celsius")) == ("GPU-1", 50, False)
    bare = agent_message(7, agent_point(agents.TelemetrySample()))
    assert not bare.HasField("mean")


def test_of_gpus_that_change_only_the_later_ones_are_told() -> None:
    both = agent_point(sample(10.0, "GPU-1", "GPU-2")).joined(agent_point(sample(30.0, "GPU-2", utilization=90)))
    told = agent_message(0, both)
    assert (told.mean.cpu_percent, told.max.cpu_percent, told.sample_count) == (20.0, 30.0, 2)
    assert [(gpu.mean.uuid, gpu.mean.utilization_percent) for gpu in told.gpus] == [("GPU-2", 90)]


def test_numbers_of_another_release_give_way() -> None:
    old, new = Point(5, (1.0,) * 3, (1.0,) * 3), agent_point(sample(10.0))
    assert old.joined(new) == new


@pytest.mark.parametrize(("ago", "tier"), [(HOUR, 0), (HOUR + 1, 1), (24 * HOUR, 1), (48 * HOUR, 2), (9_999 * HOUR, 2)])
def test_the_finest_tier_that_goes_back_so_far_is_read(ago: int, tier: int) -> None:
    now = 10**13
    assert tier_of(now - ago, now) == tier


def test_neighbours_are_put_together_at_even_times() -> None:
    period = TIERS[0].period
    points = [(number * period, Point(1, (float(number),), (float(number),))) for number in (1, 2, 3, 7)]
    found = thinned(points, period, 3)
    assert [(millis // period, point.means, point.samples) for millis, point in found] == [
        (0, (1.5,), 2),
        (3, (3.0,), 1),
        (6, (7.0,), 1),
    ]
    assert thinned(points, period, 1) == points
