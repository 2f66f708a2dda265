from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batuta import _argparse_hook
from batuta._parameters import ARGUMENTS, Parameters
from batuta._values import encode
from batuta_rpc.clock import SystemClock


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> Iterator[Parameters]:
    """The parameters of a task under an agent, as the parser will find them."""
    parameters = Parameters(lambda values: None, lambda error: None, SystemClock())
    monkeypatch.setattr(_argparse_hook.watch, "remote", lambda: parameters)
    monkeypatch.setattr("sys.argv", ["train.py"])
    yield parameters
    _argparse_hook.watch.last = None


def take(parameters: Parameters, **values: Any) -> None:
    parameters.load({(ARGUMENTS, name): encode(value) for name, value in values.items()})


@pytest.mark.parametrize(
    ("options", "value", "expected"),
    [
        ({"type": int}, 7, 7),
        ({"type": float, "default": 1}, "2.5", 2.5),
        ({}, "text", "text"),
        ({"default": "own"}, None, None),
        ({"action": "store_true"}, True, True),
        ({"action": "store_false"}, "yes", True),
        ({"action": "store_const", "const": 5}, 5, 5),
        ({"action": "count"}, 3, 3),
        ({"action": argparse.BooleanOptionalAction}, False, False),
        ({"nargs": "+", "type": int}, [1, 2], [1, 2]),
        ({"nargs": 2, "type": float}, "[1, 2]", [1.0, 2.0]),
        ({"action": "append", "type": int}, [4], [4]),
        ({"nargs": "*"}, ["a", "b"], ["a", "b"]),
        ({"choices": ["a", "b"]}, "b", "b"),
        ({"type": Path}, "/x/y", Path("/x/y")),
        ({"type": int, "required": True}, 1, 1),
    ],
)
def test_an_option_takes_the_tasks_value_in_its_own_type(
    stored: Parameters, options: dict[str, Any], value: Any, expected: Any
) -> None:
    take(stored, x=value)
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", **options)
    assert parser.parse_args().x == expected


@pytest.mark.parametrize(
    ("options", "value", "expected"),
    [({}, "a", "a"), ({"type": int}, 3, 3), ({"nargs": "+"}, ["a", "b"], ["a", "b"]), ({"nargs": "*"}, [], [])],
)
def test_a_positional_argument_takes_the_tasks_value(
    stored: Parameters, options: dict[str, Any], value: Any, expected: Any
) -> None:
    take(stored, x=value)
    parser = argparse.ArgumentParser()
    parser.add_argument("x", **options)
    assert parser.parse_args().x == expected


def test_a_group_of_which_one_is_required_is_satisfied(stored: Parameters) -> None:
    take(stored, a=None, b="two")
    parser = argparse.ArgumentParser()
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--a")
    group.add_argument("--b")
    assert vars(parser.parse_args()) == {"a": None, "b": "two"}


def test_what_the_task_does_not_have_keeps_the_scripts_default(stored: Parameters) -> None:
    take(stored, other=1)
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", default=5)
    assert parser.parse_args().x == 5


def test_what_stands_on_the_command_line_wins(stored: Parameters) -> None:
    take(stored, x=1)
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=int)
    assert parser.parse_args(["--x", "9"]).x == 9


def test_a_value_of_the_wrong_type_names_the_parameter(stored: Parameters) -> None:
    take(stored, x="many")
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=int)
    with pytest.raises(ValueError, match="parameter Args/x of the task"):
        parser.parse_args()


def test_a_parser_with_a_namespace_of_its_own_making_is_left_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd:
        __slots__ = ("x",)
        x: str | None

    monkeypatch.setattr(_argparse_hook.watch, "remote", None)
    parser = argparse.ArgumentParser()
    parser.add_argument("--x")
    assert parser.parse_args(["--x", "1"], namespace=Odd()).x == "1"
