"""The parameters of this process's task: one set, pushed to the server when it changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from batuta._values import CastError, Parameter, cast, decode, encode

if TYPE_CHECKING:
    from batuta_rpc.clock import Clock

DEFAULT_SECTION = "General"
ARGUMENTS = "Args"
Key = tuple[str, str]
"""(section, name)"""
_GAP = 1.0
"""Seconds between two pushes while a script writes again and again; the last write is never left out."""
_GAP_AFTER_FAILURE = 60.0
"""The same while the server does not take them: each try may hold the script for a second or two."""


def split(full_name: str) -> Key:
    """`Section/name` as a key; a bare name stands in General."""
    section, slash, name = full_name.partition("/")
    return (section, name) if slash and section and name else (DEFAULT_SECTION, full_name)


class Parameters:
    """Values by (section, name), in the order in which they came. Thread-safe."""

    def __init__(
        self, push: Callable[[Mapping[Key, Parameter]], None], complain: Callable[[Exception], None], clock: Clock
    ) -> None:
        """`push` stores all of them on the server; it may raise, and is then called again later.

        `complain` is told of failures where a training script must not be disturbed.
        """
        self._push = push
        self._complain = complain
        self._clock = clock
        self._lock = threading.RLock()
        self._values: dict[Key, Parameter] = {}
        self._dirty = False
        self._push_at = 0.0
        self._stopped = False

    def load(self, values: Mapping[Key, Parameter]) -> None:
        """Take what the server has as the truth."""
        with self._lock:
            self._values = dict(values)

    def snapshot(self) -> dict[Key, Parameter]:
        """All of them."""
        with self._lock:
            return dict(self._values)

    def get(self, key: Key) -> Parameter | None:
        """One of them, or None."""
        with self._lock:
            return self._values.get(key)

    def set(self, values: Mapping[Key, Parameter], *, replace_section: str | None = None) -> None:
        """Add or change some. `replace_section` first empties that section."""
        with self._lock:
            before = dict(self._values)
            if replace_section is not None:
                self._values = {key: value for key, value in self._values.items() if key[0] != replace_section}
            self._values.update(values)
            self._dirty = self._dirty or self._values != before

    def replace_all(self, values: Mapping[Key, Parameter]) -> None:
        """Exactly these from now on."""
        with self._lock:
            self._dirty = self._dirty or self._values != dict(values)
            self._values = dict(values)

    def push_soon(self) -> None:
        """Push, unless that was done a moment ago: then the next call, or the end of the run, does it. Never raises."""
        if self._clock.monotonic() >= self._push_at:
            self.push_calmly()

    def push_calmly(self) -> None:
        """Push; a failure is only complained of."""
        try:
            self.push()
        except Exception as error:
            self._complain(error)

    def push(self) -> None:
        """Push what has changed. Raises what the server answers; the change is then still to be pushed."""
        with self._lock:
            if not self._dirty or self._stopped:
                return
            self._push_at = self._clock.monotonic() + _GAP_AFTER_FAILURE
            self._push(dict(self._values))
            self._push_at = self._clock.monotonic() + _GAP
            self._dirty = False

    def stop(self) -> None:
        """The run is over: nothing is pushed any more."""
        self._stopped = True

    def become_child(self) -> None:
        """After a fork, in the child: another thread of the parent may have held the lock for ever."""
        self._lock = threading.RLock()

    def override(self, section: str, name: str, own: Any) -> Any:
        """The server's value in the type of the script's own; the own one where the server has none.

        Raises ValueError, which names the parameter.
        """
        stored = self.get((section, name))
        if stored is None:
            return own
        try:
            return decode(stored) if own is None else cast(stored.text, own)
        except CastError as error:
            raise ValueError(f"parameter {section}/{name} of the task: {error}") from None


def flatten(values: Mapping[Any, Any], section: str) -> dict[Key, Parameter]:
    """A nested dictionary as parameters, names joined by "/"."""
    found: dict[Key, Parameter] = {}
    _flatten(values, "", found, section)
    return found


def _flatten(values: Mapping[Any, Any], prefix: str, found: dict[Key, Parameter], section: str) -> None:
    for key, value in values.items():
        name = f"{prefix}{key}" or " "
        if isinstance(value, Mapping) and value:
            _flatten(value, f"{name}/", found, section)  # pyright: ignore[reportUnknownArgumentType]
        else:
            found[section, name] = encode(value)
