"""The brokers that take this agent's sessions: several equal ones, and the next is tried when one is gone."""

from __future__ import annotations

from batuta_rpc import several
from batuta_rpc.ids import Ids


class Brokers:
    """A round of addresses. Each agent begins somewhere else in it, so that agents spread."""

    def __init__(self, dispatch: str, ids: Ids) -> None:
        """`dispatch`: addresses, separated by commas."""
        self._addresses = several.split(dispatch) or [dispatch]
        self._at = int(ids.uniform(0, len(self._addresses))) % len(self._addresses)
        self._failed = 0

    @property
    def current(self) -> str:
        """The address to dial now."""
        return self._addresses[self._at]

    def served(self) -> None:
        """A session there lived, and has ended: the next one comes first now."""
        self._failed = 0
        self._next()

    def failed(self) -> bool:
        """No session came about there. Whether there is another to try at once: all of them failing is a reason to
        wait."""
        self._failed += 1
        self._next()
        return self._failed % len(self._addresses) != 0

    def _next(self) -> None:
        self._at = (self._at + 1) % len(self._addresses)
