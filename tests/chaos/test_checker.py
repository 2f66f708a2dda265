"""A checker that cannot fail proves nothing: each invariant is broken by hand here, and it says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos.checker import breaks
from tests.chaos.history import Chunk, Entry, Event, History


def whole() -> History:
    """A task that was lost once, and then ran."""
    return History(
        events=[
            Event(1, "e1", "t1", 10, 0, 0, ""),
            Event(2, "e1", "t1", 20, 1, 10, "a"),
            Event(3, "e1", "t1", 40, 1, 20, "a"),
            Event(4, "e1", "t1", 10, 1, 64, "a"),
            Event(5, "e1", "t1", 20, 2, 10, "b"),
            Event(6, "e1", "t1", 40, 2, 40, "b"),
            Event(7, "e1", "t1", 50, 2, 60, "b"),
        ],
        entries=[Entry("e1", "t1", 50, 1, 3)],
        tasks={"t1": 50},
        chunks=[Chunk("t1", 2, "console", 0, 3), Chunk("t1", 2, "console", 3, 3)],
        committed={("t1", 2, "console"): 6},
        places={"a": 1, "b": 1},
        runs={"t1": ["11 1.0", "12 2.0"]},
    )


def test_a_history_that_keeps_its_promises_has_no_breaks() -> None:
    assert breaks(whole(), ["t1"]) == []


@pytest.mark.parametrize(
    ("invariant", "change"),
    [
        ("I1", {"tasks": {}}),
        ("I1", {"entries": []}),
        ("I2", {"runs": {"t1": ["11 1.0", "12 1.5 overlap"]}}),
        ("I3", {"entries": [Entry("e1", "t1", 40, 1, 3)]}),
        ("I3", {"tasks": {"t1": 30}}),
        ("I4", {"committed": {("t1", 2, "console"): 9}}),
        ("I4", {"chunks": [Chunk("t1", 2, "console", 0, 3), Chunk("t1", 2, "console", 2, 4)]}),
        ("I8", {"entries": [Entry("e1", "t1", 50, 5, 3)]}),
    ],
)
def test_a_broken_invariant_is_named(invariant: str, change: dict[str, object]) -> None:
    found = breaks(replace(whole(), **change), ["t1"])  # type: ignore[arg-type]  # fields of History
    assert [line.split()[0] for line in found] == [invariant], found


def test_an_entry_that_goes_on_after_its_end_breaks_i5() -> None:
    history = whole()
    history.events.append(Event(8, "e1", "t1", 20, 3, 10, "a"))
    found = breaks(history, ["t1"])
    assert any(line.startswith("I5") for line in found)
    assert any(line.startswith("I6") for line in found), "and its attempt holds a place"


def test_more_attempts_than_places_break_i6() -> None:
    history = whole()
    history.events[4] = replace(history.events[4], agent_id="a")
    history.events.insert(4, Event(5, "e2", "t2", 20, 1, 10, "a"))
    history.events[5:] = [replace(event, position=event.position + 1) for event in history.events[5:]]
    assert any(line.startswith("I6 agent a has 2") for line in breaks(history, ["t1"]))


@pytest.mark.parametrize(
    ("index", "change", "words"),
    [(3, {"position": 9}, "jumps"), (5, {"attempt": 1}, "after a later one"), (5, {"phase": 10}, "fell")],
)
def test_a_log_out_of_order_is_told(index: int, change: dict[str, int], words: str) -> None:
    history = whole()
    history.events[index] = replace(history.events[index], **change)
    assert any(words in line for line in breaks(history, ["t1"]))
