"""Walking through the pages of a List call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

PAGE = 200


def gather(fetch: Callable[[int, str], tuple[Sequence[T], str]], limit: int | None = None) -> list[T]:
    """All results, or the first `limit`.

    `fetch(page_size, page_token)` gives a page and the next token, empty on the last page.
    """
    found: list[T] = []
    token = ""
    while True:
        wanted = PAGE if limit is None else min(PAGE, limit - len(found))
        page, token = fetch(wanted, token)
        found.extend(page)
        if not token or (limit is not None and len(found) >= limit):
            return found if limit is None else found[:limit]
