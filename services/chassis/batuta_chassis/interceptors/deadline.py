"""Every unary call says how long its caller will wait."""

from __future__ import annotations

from batuta_rpc.errors import DeadlineMissing

_ENDLESS = 366 * 24 * 3600.0


def require_deadline(method: str, remaining: float | None) -> None:
    """Refuse a unary call without a deadline. `remaining` is what its context says, in seconds."""
    if remaining is None or remaining > _ENDLESS:
        raise DeadlineMissing(f"{method} was called without a deadline; set a timeout, such as 20 s", method=method)
