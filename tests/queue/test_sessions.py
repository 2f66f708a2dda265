"""How much work a session may be given."""

from __future__ import annotations

from batuta_queue.book import LeaseBook
from batuta_queue.model import Ref
from batuta_queue.outgoing import Outgoing
from batuta_queue.sessions import Session
from batuta_queue.testing import make_agent


def _session() -> Session:
    return Session("s1", make_agent(max_assignments=2), LeaseBook(), Outgoing(256, 1 << 20), 5.0, 0.0)


def _beats_until_credit(session: Session) -> int:
    beats = 0
    while not session.credit:
        session.beat({}, 2, False, float(beats))
        beats += 1
        assert beats < 1_000
    return beats


def test_each_refusal_in_a_row_doubles_the_heartbeats_without_an_offer() -> None:
    session = _session()
    waits: list[int] = []
    for _ in range(9):
        session.refused()
        waits.append(_beats_until_credit(session))
    assert waits == [1, 2, 4, 8, 16, 32, 64, 64, 64]


def test_several_offers_refused_at_once_count_as_one_refusal() -> None:
    session = _session()
    for _ in range(8):
        session.refused()
    assert _beats_until_credit(session) == 1


def test_an_accepted_offer_makes_up_for_earlier_refusals() -> None:
    session = _session()
    for _ in range(5):
        session.refused()
        _beats_until_credit(session)
    session.opened(Ref("t1", 1))
    session.accepted(Ref("t1", 1))
    session.refused()
    assert _beats_until_credit(session) == 1
