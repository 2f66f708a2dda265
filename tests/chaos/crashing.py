"""A service that dies at a chosen commit: `python -m tests.chaos.crashing queue|api …` with CHAOS_CRASH set.

`CHAOS_CRASH=USE_CASE:N:before|after` kills the process, with SIGKILL, before the N-th run of a use case touches the
database, or right after its commit: stored, and nobody told. Use cases go by what asks for them: `Reports.take`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from batuta_chassis.transactions import SqlTransactor
from batuta_chassis.unit import after_commit


def die() -> None:
    """End as a machine that loses power does."""
    os.kill(os.getpid(), signal.SIGKILL)


class Crash:
    """Counts the runs of one use case, and strikes."""

    def __init__(self, wish: str) -> None:
        self._name, number, self._when = wish.rsplit(":", 2)
        self._left = int(number)

    def around(self, use_case: Callable[[Any], Any], make: Callable[[Connection], Any]) -> Callable[[Connection], Any]:
        """The use case, on a connection, with the crash in it when its turn has come."""

        def run(connection: Connection) -> Any:
            if getattr(use_case, "__qualname__", "").startswith(f"{self._name}."):
                self._left -= 1
                if self._left == 0 and self._when == "before":
                    die()
                if self._left == 0:
                    after_commit(connection, die)  # the first hook: before anybody hears of it
            return use_case(make(connection))

        return run


def install(wish: str) -> None:
    """Put the crash between use cases and their database."""
    crash = Crash(wish)

    async def write(self: Any, fn: Callable[[Any], Any], *, bulk: int = 0, late: bool = False) -> Any:
        return await self._database.write(crash.around(fn, self._make_store), bulk=bulk, late=late)

    SqlTransactor.write = write  # type: ignore[method-assign]


def main() -> int:
    """Run the service."""
    service = sys.argv.pop(1)
    module = __import__(f"batuta_{service}.__main__", fromlist=["main"])
    if wish := os.environ.get("CHAOS_CRASH"):
        install(wish)
    return int(module.main())


if __name__ == "__main__":
    sys.exit(main())
