"""How soon an agent connects again, over five minutes of trouble."""

from __future__ import annotations

import pytest

from batuta_agent.reconnecting import Reconnecting
from batuta_agent.session import Outcome, SessionBroken
from batuta_rpc.errors import RateLimited
from batuta_rpc.testing import SeededIds


def test_a_session_that_lived_is_followed_at_once() -> None:
    waits = Reconnecting(SeededIds(1))
    for _ in range(8):
        waits.pause(Outcome(error=SessionBroken("away")))
    assert waits.pause(Outcome(session_id="s", seconds=60.0)) == 0.0


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("lives", [0.0, 1.0, 9.0])
def test_a_link_or_broker_that_drops_every_session_meets_fewer_than_one_registration_in_2_7_seconds(
    seed: int, lives: float
) -> None:
    waits, now, registrations = Reconnecting(SeededIds(seed)), 0.0, 0
    while now < 300.0:
        registrations += 1
        now += lives + waits.pause(Outcome(session_id="s", seconds=lives))
    assert registrations <= 300 / 2.7


@pytest.mark.parametrize("seed", range(20))
def test_a_disconnect_that_says_at_once_is_no_hot_loop(seed: int) -> None:
    waits, now, registrations = Reconnecting(SeededIds(seed)), 0.0, 0
    while now < 300.0:
        registrations += 1
        now += waits.pause(Outcome(session_id="s", reconnect_after=0.0))
    assert registrations <= 300 / 2.7


def test_what_the_broker_asks_for_is_the_least() -> None:
    waits = Reconnecting(SeededIds(1))
    assert waits.pause(Outcome(seconds=60.0, reconnect_after=5.0)) == 5.0
    assert waits.pause(Outcome(error=RateLimited("too many registrations", retry_delay=6.0))) >= 6.0
