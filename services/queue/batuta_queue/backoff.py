"""How long an entry waits before it is tried again."""

from __future__ import annotations

_FIRST_MILLIS = 1_000
_LAST_MILLIS = 10_000


def retry_delay_millis(ends: int, chance: float) -> int:
    """How long an entry waits after its `ends`-th bad end: 1 s doubling to 10 s, of which half is left to chance."""
    full = min(_LAST_MILLIS, _FIRST_MILLIS << min(max(0, ends - 1), 10))
    return int(full * (0.5 + 0.5 * chance))
