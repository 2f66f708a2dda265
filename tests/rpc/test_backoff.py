"""Waits grow, spread, and stay within their windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta_rpc.backoff import LONGEST_ASKED, Backoff, BackoffExhausted
from batuta_rpc.testing import SeededIds


@given(seed=st.integers(0, 10_000))
def test_try_number_n_falls_into_window_number_n(seed: int) -> None:
    backoff = Backoff(SeededIds(seed), first=0.1, cap=8.0)
    at, begin, window = 0.0, 0.0, 0.1
    for _ in range(12):
        at += backoff.next()
        assert begin - 1e-9 <= at <= begin + window + 1e-9
        begin, window = begin + window, min(8.0, window * 2)


def test_two_clients_that_fail_together_do_not_come_back_together() -> None:
    waits = {round(Backoff(SeededIds(seed)).next(), 6) for seed in range(50)}
    assert len(waits) > 45


def test_a_server_that_names_a_time_is_not_asked_before_it_and_not_by_all_at_once() -> None:
    waits = {round(Backoff(SeededIds(seed)).next(asked=5.0), 6) for seed in range(50)}
    assert all(5.0 <= wait <= 5.1 for wait in waits)
    assert len(waits) > 45


def test_a_server_that_asks_for_a_year_is_asked_again_in_minutes() -> None:
    assert Backoff(SeededIds()).next(asked=365 * 86_400.0) <= LONGEST_ASKED + 0.1


def test_a_success_puts_the_windows_back_to_the_first() -> None:
    backoff = Backoff(SeededIds())
    for _ in range(10):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 0.1


def test_after_the_limit_it_gives_up() -> None:
    backoff = Backoff(SeededIds(), limit=2)
    backoff.next()
    backoff.next()
    with pytest.raises(BackoffExhausted, match="2 tries"):
        backoff.next()


def test_a_thousand_failures_do_not_overflow() -> None:
    backoff = Backoff(SeededIds())
    assert all(backoff.next() <= 16.0 for _ in range(2_000))


def test_windows_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="first"):
        Backoff(SeededIds(), first=2, cap=1)
