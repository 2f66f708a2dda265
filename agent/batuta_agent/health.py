"""Why this agent takes no more work though nobody drains it: what its parts have found, and what people are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from batuta_agent.shim import processes

_LONGEST = 1000


class Health:
    """Troubles by name. Whoever finds one sets it, and takes it back when it is over."""

    def __init__(self) -> None:
        """Nothing is wrong yet."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when there is another trouble, or one less."""
        self.look: Callable[[], Awaitable[object]] = _nothing
        """Looks anew at what may have become ill since the last time."""
        self._troubles: dict[str, str] = {}
        self._stuck: dict[str, list[tuple[int, int]]] = {}

    @property
    def reason(self) -> str:
        """All troubles in one line; empty when there is none."""
        for name, living in list(self._stuck.items()):
            if not any(processes.is_alive(*each) for each in living):
                del self._stuck[name]
                self._troubles.pop(name, None)
        return "; ".join(self._troubles.values())[:_LONGEST]

    def set(self, name: str, text: str) -> None:
        """`name` is wrong, `text` says how; empty: it is well again."""
        before = self._troubles.get(name, "")
        if text == before:
            return
        if text:
            self._troubles[name] = text
        else:
            del self._troubles[name]
        self.on_change()

    def stuck(self, name: str, living: Sequence[tuple[int, int]]) -> None:
        """These processes of `name`, by pid and start, survive SIGKILL: that is a trouble for as long as one of them is
        there."""
        if living:
            self._stuck[name] = list(living)
            pids = ", ".join(str(pid) for pid, _start in living)
            self.set(name, f"processes of {name} hang in the kernel and cannot be killed (pid {pids})")

    def gpu_trouble(self, uuids: Sequence[str]) -> str:
        """What is wrong with these GPUs, or with any of the machine's when none is named; empty when nothing is."""
        names = [gpu_name(uuid) for uuid in uuids] or [name for name in self._troubles if name.startswith(_GPU)]
        return "; ".join(self._troubles[name] for name in [*names, DRIVER] if name in self._troubles)


async def _nothing() -> None:
    return


_GPU = "gpu "
DRIVER = "driver"
"""The name of a trouble that all GPUs have."""


def gpu_name(uuid: str) -> str:
    """The name of one GPU's troubles."""
    return f"{_GPU}{uuid}"
