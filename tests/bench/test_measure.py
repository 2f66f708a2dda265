"""Figures are taken as they say they are."""

from __future__ import annotations

import os

import pytest

from bench import measure
from bench.measure import Sample
from bench.report import Line, table


def sample(*times: int) -> Sample:
    return measure.sample(times, cpu_seconds=0.001)


def test_a_percentile_is_a_time_that_occurred_and_that_so_many_do_not_exceed() -> None:
    times = list(range(1, 101))
    assert [measure.percentile(times, each) for each in (50, 99, 99.99, 100)] == [50, 99, 100, 100]
    assert measure.percentile([7], 1) == 7


def test_nothing_measured_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        measure.spread([])


def test_every_second_round_goes_backwards() -> None:
    order: list[str] = []

    def side(name: str) -> Sample:
        order.append(name)
        return sample(1)

    sides = {name: (lambda name=name: side(name)) for name in "abc"}
    results = measure.take_turns(2, sides, lambda _: None)
    assert "".join(order) == "abccba"
    assert [len(each) for each in results.values()] == [2, 2, 2]


def test_a_ratio_is_the_median_of_the_ratios_within_each_round() -> None:
    ours = [sample(10), sample(40), sample(300)]
    beside = [sample(10), sample(20), sample(100)]
    assert measure.ratio(ours, beside, lambda spread: spread.p50) == 2


def test_pooling_takes_the_times_of_all_rounds() -> None:
    assert measure.pooled([sample(1, 2), sample(3, 9)]).largest == 9


def test_cpu_used_between_two_readings_is_what_the_system_says() -> None:
    # Readings are of living threads, so only their difference means something in a process that has ended threads.
    seen, own = measure.cpu_seconds(os.getpid()), measure.own_cpu_seconds()
    while measure.own_cpu_seconds() - own < 0.3:
        sum(range(10_000))
    used = measure.own_cpu_seconds() - own
    assert abs(measure.cpu_seconds(os.getpid()) - seen - used) < 0.1


def test_a_line_stands_up_to_its_goal_and_misses_beyond_it() -> None:
    verdicts = [Line(1, "a", value, "ms", 1.5).verdict for value in (1.5, 1.51)]
    assert verdicts == ["stands", "misses"]
    assert "misses" in table([Line(1, "a", 2.0, "ms", 1.5)])
