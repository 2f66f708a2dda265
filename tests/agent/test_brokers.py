"""Several brokers: the next one is tried when one is gone, and only all of them failing is a reason to wait."""

from __future__ import annotations

from batuta_agent.brokers import Brokers
from batuta_rpc.testing import SeededIds


def test_one_broker_is_dialled_again_and_again_with_pauses() -> None:
    brokers = Brokers("a:1", SeededIds())
    assert [brokers.current, brokers.failed(), brokers.current, brokers.failed()] == ["a:1", False, "a:1", False]


def test_after_a_failure_the_others_are_tried_at_once_and_then_one_waits() -> None:
    brokers = Brokers("a:1, b:1,c:1", SeededIds())
    first = brokers.current
    tried = [(brokers.current, brokers.failed()) for _ in range(6)]
    assert [at_once for _, at_once in tried] == [True, True, False] * 2
    assert {address for address, _ in tried[:3]} == {"a:1", "b:1", "c:1"}
    assert brokers.current == first


def test_when_a_session_ends_another_broker_comes_first() -> None:
    brokers = Brokers("a:1,b:1", SeededIds())
    first = brokers.current
    brokers.served()
    assert brokers.current != first
