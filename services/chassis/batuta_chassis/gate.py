"""Who is no longer let in although their token has not ended: revoked credentials, users that were disabled or changed.

A service fills its gate from what it knows, within a minute of the change; looking into it costs two look-ups a call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from batuta_chassis.caller import Caller
from batuta_rpc.errors import TokenInvalid


@dataclass(eq=False)
class _Open:
    """A stream that is being served."""

    caller: Caller
    task: asyncio.Task[object] | None
    cut: bool = False


class Gate:
    """Refuses callers, and ends their open streams. An empty one lets everybody through."""

    def __init__(self) -> None:
        self._keys: frozenset[str] = frozenset()
        self._epochs: Mapping[str, int] = {}
        self._open: set[_Open] = set()

    def replace(self, keys: Collection[str], epochs: Mapping[str, int]) -> None:
        """Refuse from now on tokens of these access keys, and tokens of these subjects from before their epoch."""
        self._keys = frozenset(keys)
        self._epochs = dict(epochs)
        for each in list(self._open):
            if self._refuses(each.caller) and not each.cut and each.task is not None:
                each.cut = True
                each.task.cancel()

    def check(self, caller: Caller) -> None:
        """Raise `TokenInvalid` for one who is refused."""
        if self._refuses(caller):
            raise _refused()

    @contextmanager
    def watching(self, caller: Caller) -> Generator[None]:
        """Serve a stream in the running task; it ends with `TokenInvalid` as soon as its caller is refused."""
        held = _Open(caller, asyncio.current_task())
        self._open.add(held)
        try:
            yield
        except asyncio.CancelledError:
            if held.cut and held.task is not None and held.task.uncancel() == 0:
                raise _refused() from None
            raise  # the caller has left, or the process ends
        finally:
            self._open.discard(held)

    def _refuses(self, caller: Caller) -> bool:
        return caller.access_key in self._keys or caller.epoch < self._epochs.get(caller.subject, 0)


def _refused() -> TokenInvalid:
    return TokenInvalid("the token was taken back: its credential is revoked, or its user was changed; log in again")
