"""S15: a name of an artifact is one word and never a way, whatever it is decoded or normalised to later."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta_api.artifacts.naming import spelled
from batuta_rpc.errors import FieldViolation

WAYS = [
    "../secret",
    "..",
    ".",
    "...",
    "a/../b",
    "/etc/passwd",
    "C:\\Windows",
    "..\\x",
    "a\\b",
    "..%2f",
    "..%2Fsecret",
    "%2e%2e%2f",
    "%252e%252e%252fx",
    "%25252525252e",
    "#../",
    "x%5cy",
    "x%00y",
    "x\x00y",
    "x\ny",
    "x\x7fy",
    "x\x1b[31m",
    "\u202egpj.exe",
    "a\u200bb",
    "\ufeffx",
    "\u2024\u2024\u2215x",
    "\uff0e\uff0e\uff0fx",
    "\u2025x",
    "\u2026",
    "a\u2044b",
    "a\u29f8b",
    "a\uff3cb",
    "%ef%bc%8f",
    ".hidden",
    "%2ehidden",
    " padded",
    "padded ",
    "\u3000wide",
    "",
]


@pytest.mark.parametrize("name", WAYS)
def test_s15_what_is_or_becomes_a_way_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must not"):
        spelled(name)


@pytest.mark.parametrize(
    "name", ["model.pt", "100%", "a b", "loss: best", "weights (2)", "ünit", "模型", "a#b", "v1..2", "%c0%af"]
)
def test_names_that_people_give_are_taken_as_they_are(name: str) -> None:
    assert spelled(name) == name


def test_one_name_has_one_spelling() -> None:
    assert spelled("u\u0308nit") == "ünit"


@given(st.text(max_size=40))
def test_what_is_allowed_stays_in_its_folder(name: str) -> None:
    try:
        allowed = spelled(name)
    except ValueError:
        return
    assert not {"/", "\\", "\0"} & set(allowed)
    assert allowed.strip()
    assert not allowed.startswith(".")
    assert spelled(allowed) == allowed


@pytest.mark.parametrize("name", ["../x", "..%2f", "%252e%252e%252f", "#../", "a\\b", "a\0b", "x" * 4096, "․․∕x", "/x"])
async def test_s15_the_server_refuses_such_a_name_and_keeps_nothing(member: Any, api: Any, name: str) -> None:
    task = await member.draft()
    with pytest.raises(FieldViolation, match="name"):
        await member.upload(b"x", task_id=task.id, name=name)
    assert [path for path in (api.data / "artifacts").rglob("*") if path.is_file()] == []
