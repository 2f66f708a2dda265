"""Tables."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batuta._cli import tables

ROWS = [("1", "short", 5), ("22", "a much longer name than fits", 50)]


def test_columns_are_aligned_and_lines_have_no_trailing_space() -> None:
    lines = tables.render(("ID", "NAME", "N"), ROWS, right=("N",)).splitlines()
    assert lines[0] == "ID  NAME                           N"
    assert lines[1] == "1   short                          5"
    assert lines[2] == "22  a much longer name than fits  50"


def test_a_narrow_terminal_cuts_the_widest_column_and_never_the_id() -> None:
    lines = tables.render(("ID", "NAME", "N"), [("x" * 32, "n" * 40, 1)], width=60).splitlines()
    assert all(tables.columns(line) <= 60 for line in lines)
    assert "x" * 32 in lines[1]
    assert "…" in lines[1]


def test_an_empty_cell_is_a_dash_and_an_empty_list_is_its_heading() -> None:
    assert tables.render(("ID", "NAME"), [("1", "")]).splitlines()[1] == "1   -"
    assert tables.render(("ID", "NAME"), []) == "ID  NAME"


def test_wide_letters_take_two_columns() -> None:
    lines = tables.render(("NAME", "N"), [("猫猫猫", 1), ("abcdef", 2)]).splitlines()
    assert lines[1] == "猫猫猫  1"
    assert lines[2] == "abcdef  2"


def test_what_could_move_the_cursor_is_escaped() -> None:
    assert tables.clean("a\x1b[2Jb\n\u202ec") == "a\\x1b[2Jb\\n\\u202ec"


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5), st.integers(min_value=1, max_value=80))
def test_any_text_gives_one_line_a_row(rows: list[tuple[str, str]], width: int) -> None:
    assert len(tables.render(("ID", "NAME"), rows, width=width).split("\n")) == len(rows) + 1


def test_facts_leave_out_what_is_empty() -> None:
    assert tables.facts([("name", "x"), ("queue", ""), ("n", 0)]) == "name  x\nn     0"
