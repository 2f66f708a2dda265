from __future__ import annotations

import copy
import enum
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta._connected import connect_dict
from batuta._parameters import Key, Parameters, flatten, split
from batuta._values import CastError, Parameter, cast, decode, encode
from batuta_rpc.testing import FakeClock


class Mode(enum.Enum):
    fast = 1
    slow = 2


SIMPLE = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(SIMPLE | st.lists(SIMPLE) | st.dictionaries(st.text(), SIMPLE))
def test_what_is_written_down_reads_back_as_it_was(value: Any) -> None:
    assert decode(encode(value)) == value


@given(st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(min_size=1) | st.lists(st.integers()))
def test_a_value_casts_to_its_own_type(value: Any) -> None:
    found = cast(encode(value).text, value)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "like", "expected"),
    [
        ("3.0", 1, 3),
        ("1e3", 1, 1000),
        ("1e-3", 0.5, 0.001),
        ("nan", 0.5, math.nan),
        ("Yes", False, True),
        ("0", True, False),
        ("(1, 2)", [0], [1, 2]),
        ("[1, 2]", (0,), (1, 2)),
        ("{'a': 1}", {}, {"a": 1}),
        ("slow", Mode.fast, Mode.slow),
        ("/a/b", Path("x"), Path("/a/b")),
        ("", 5, None),
        ("", "own", ""),
    ],
)
def test_texts_that_people_write_are_read_as_the_type_of_the_script(text: str, like: Any, expected: Any) -> None:
    assert repr(cast(text, like)) == repr(expected)


@pytest.mark.parametrize(
    ("text", "like"),
    [("x", 1), ("x", 0.5), ("perhaps", True), ("{", {}), ("[1]", {}), ("{}", []), ("medium", Mode.fast), ("inf", 1)],
)
def test_a_text_that_does_not_fit_is_refused(text: str, like: Any) -> None:
    with pytest.raises(CastError):
        cast(text, like)


def test_bare_names_stand_in_general() -> None:
    assert split("lr") == ("General", "lr")
    assert split("Args/lr") == ("Args", "lr")
    assert split("Args/deep/lr") == ("Args", "deep/lr")
    assert split("/odd") == ("General", "/odd")


class Pushes:
    def __init__(self) -> None:
        self.pushed: list[dict[Key, Parameter]] = []
        self.complaints: list[Exception] = []
        self.broken = False
        self.clock = FakeClock()
        self.parameters = Parameters(self._push, self.complaints.append, self.clock)

    def _push(self, values: Any) -> None:
        if self.broken:
            raise RuntimeError("no server")
        self.pushed.append({key: each.text for key, each in values.items()})


def test_writes_to_a_connected_dict_are_pushed_at_most_once_a_second_and_the_last_is_not_lost() -> None:
    pushes = Pushes()
    tied = connect_dict({"lr": 0.1, "deep": {"a": 1}}, "General", pushes.parameters, remote=False)
    pushes.parameters.push()
    pushes.clock.advance(1.0)
    tied["lr"] = 0.2
    tied["deep"]["a"] = 2
    tied["deep"].update(b=3)
    assert len(pushes.pushed) == 2
    pushes.clock.advance(1.0)
    tied["new"] = {"c": 4}
    tied["new"]["c"] = 5
    del tied["lr"]
    pushes.parameters.push()
    assert pushes.pushed[-1] == {
        ("General", "deep/a"): "2",
        ("General", "deep/b"): "3",
        ("General", "new/c"): "5",
    }


def test_a_push_that_fails_does_not_disturb_the_script_and_is_made_up_for() -> None:
    pushes = Pushes()
    tied = connect_dict({"lr": 0.1}, "General", pushes.parameters, remote=False)
    pushes.broken = True
    tied["lr"] = 0.2
    assert [str(each) for each in pushes.complaints] == ["no server"]
    pushes.broken = False
    pushes.parameters.push()
    assert pushes.pushed == [{("General", "lr"): "0.2"}]
    pushes.parameters.push()
    assert len(pushes.pushed) == 1


def test_a_server_that_is_away_does_not_hold_the_script_at_every_write() -> None:
    pushes = Pushes()
    tied = connect_dict({"lr": 0.1}, "General", pushes.parameters, remote=False)
    pushes.broken = True
    for step in range(50):
        tied["lr"] = step
        pushes.clock.advance(1.0)
    assert len(pushes.complaints) == 1
    pushes.broken = False
    pushes.clock.advance(10.0)
    tied["lr"] = 50
    assert pushes.pushed == [{("General", "lr"): "50"}]


def test_a_run_that_is_over_pushes_nothing() -> None:
    pushes = Pushes()
    tied = connect_dict({"lr": 0.1}, "General", pushes.parameters, remote=False)
    pushes.parameters.stop()
    tied["lr"] = 0.2
    assert not pushes.pushed


@pytest.mark.parametrize("value", [[{(1, 2): 3}], {"a": {(1, 2): 3}}])
def test_what_json_cannot_hold_is_written_as_python_would(value: Any) -> None:
    assert encode(value).text == str(value)


def test_half_a_number_is_no_count() -> None:
    assert [cast(text, 10) for text in ("3", "3.0", "1e3")] == [3, 3, 1000]
    with pytest.raises(CastError, match=r"'0\.5' is not a whole number"):
        cast("0.5", 10)


def test_a_connected_dict_is_a_dict_and_its_copies_are_plain() -> None:
    tied = connect_dict({"a": {"b": [1]}}, "General", Pushes().parameters, remote=False)
    assert isinstance(tied, dict)
    assert tied == {"a": {"b": [1]}}
    for made in (copy.deepcopy(tied), pickle.loads(pickle.dumps(tied)), tied.copy()):
        assert type(made) is dict
        assert made == tied
    assert type(copy.deepcopy(tied)["a"]) is dict
    tied |= {"c": 1}
    assert tied.pop("c") == 1
    assert tied.setdefault("d", 2) == 2
    assert {**tied} == {"a": {"b": [1]}, "d": 2}


def test_flattening_joins_names_and_keeps_empty_dicts() -> None:
    assert {key[1]: each.text for key, each in flatten({"a": {"b": {"c": 1}}, 2: "x", "e": {}}, "S").items()} == {
        "a/b/c": "1",
        "2": "x",
        "e": "{}",
    }
