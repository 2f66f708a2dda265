"""Plain aligned tables: columns by two spaces, no lines, no colour, cut to the terminal and never inside a pipe."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

_GAP = "  "
_LEAST = 6
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def render(
    headers: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    width: int | None = None,
    whole: Collection[str] = ("ID",),
    right: Collection[str] = (),
) -> str:
    """The table as text without a final newline.

    `width` is the columns there are, None for no limit. Columns named in `whole` are never cut, those in `right` are
    aligned to the right. Empty cells show as `-`.
    """
    cells = [[clean(str(cell)) or "-" for cell in row] for row in rows]
    sizes = [max(columns(text) for text in column) for column in zip(headers, *cells)]
    if width is not None:
        _shrink(sizes, [name not in whole for name in headers], width)
    sides = [name in right for name in headers]
    return "\n".join(_line(row, sizes, sides) for row in [list(headers), *cells])


def facts(pairs: Sequence[tuple[str, object]]) -> str:
    """Names and values, one a line, values aligned; pairs with an empty value are left out."""
    shown = [(name, clean(str(value))) for name, value in pairs if str(value)]
    size = max((columns(name) for name, _ in shown), default=0)
    return "\n".join(f"{name}{' ' * (size - columns(name))}{_GAP}{value}" for name, value in shown)


def clean(text: str) -> str:
    """The text with everything escaped that could move the cursor or turn the line around."""
    return "".join(_escape(each) if _harmful(each) else each for each in text)


def columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return sum(0 if unicodedata.combining(each) else 2 if _wide(each) else 1 for each in text)


def _wide(each: str) -> bool:
    return unicodedata.east_asian_width(each) in ("W", "F")


def _harmful(each: str) -> bool:
    return each in _DIRECTIONS or unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp")


def _escape(each: str) -> str:
    return each.encode("unicode_escape").decode("ascii")


def _shrink(sizes: list[int], may: Sequence[bool], width: int) -> None:
    """Take columns from the widest that may lose some, until all fit or none can lose more."""
    over = sum(sizes) + len(_GAP) * (len(sizes) - 1) - width
    while over > 0:
        able = [place for place, size in enumerate(sizes) if may[place] and size > _LEAST]
        if not able:
            return
        sizes[max(able, key=sizes.__getitem__)] -= 1
        over -= 1


def _line(row: Sequence[str], sizes: Sequence[int], sides: Sequence[bool]) -> str:
    return _GAP.join(_fit(text, size, side) for text, size, side in zip(row, sizes, sides)).rstrip()


def _fit(text: str, size: int, to_the_right: bool) -> str:
    if columns(text) > size:
        while columns(text) > size - 1:
            text = text[:-1]
        text += "…"
    padding = " " * (size - columns(text))
    return padding + text if to_the_right else text + padding
