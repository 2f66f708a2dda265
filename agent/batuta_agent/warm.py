"""Interpreters that have started before there is a task: one for each environment that was used lately."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from batuta_agent import run_environment
from batuta_agent.environment.venv import Venv
from batuta_agent.printer import Printer
from batuta_agent.shims import READY, ShimFailed, ShimPool, Spare
from batuta_agent.waiting import process_end
from batuta_rpc.clock import Clock

IDLE = 600.0
"""Seconds after which one that nobody wanted ends."""
_DELAY = 0.1
"""Seconds after a start of a run in an environment until the next interpreter is started: the run goes first."""
_REMEMBERED = 64

Stamp = tuple[tuple[int, int], ...]
"""What an environment looked like; one that was changed since, or built anew, has another."""


class _Place:
    """One environment's interpreter, from before it is started until it is used or let go."""

    def __init__(self, stamp: Stamp) -> None:
        self.stamp = stamp
        self.spare: Spare | None = None
        """The shim that has it."""
        self.ready = False
        self.taken = False
        self.tending: asyncio.Task[None]

    def give(self, stamp: Stamp) -> Spare | None:
        """The shim for a task, if its interpreter is ready and started in what the environment is now."""
        if self.ready and self.stamp == stamp and self.spare is not None and not self.spare.process.ended:
            self.taken = True
            return self.spare
        return None


class WarmInterpreters:
    """At most so many, each for one task; the environment whose last task is longest ago loses its own first."""

    def __init__(
        self, most: int, shims: ShimPool, env: Mapping[str, str], printer: Printer, clock: Clock, idle: float = IDLE
    ) -> None:
        """`most`: how many there may be; 0 is none ever. `env`: the agent's environment. `idle`: in seconds."""
        self._most = most
        self._shims = shims
        self._env = env
        self._printer = printer
        self._clock = clock
        self._idle = idle
        self._places: dict[Path, _Place] = {}
        self._tending: set[asyncio.Task[None]] = set()
        self._unfit: dict[Path, Stamp] = {}

    def take(self, venv: Venv) -> Spare | None:
        """The shim whose interpreter waits in this environment; None when there is none. The next is started soon."""
        if self._most < 1:
            return None
        stamp = _stamp(venv)
        place = self._places.pop(venv.path, None)
        if place is not None and not place.ready and place.stamp == stamp:
            self._places[venv.path] = place  # it still starts: it is for the next task
            return None
        spare = None
        if place is not None:
            spare = place.give(stamp)
            place.tending.cancel()
        if stamp and self._unfit.get(venv.path) != stamp:
            self._keep(venv, stamp)
        return spare

    async def close(self) -> None:
        """End all that nobody has taken."""
        spares = [place.spare for place in self._places.values() if place.spare is not None]
        for task in self._tending:
            task.cancel()
        if self._tending:
            await asyncio.wait(self._tending)
        for spare in spares:
            await process_end(spare.process.pid, spare.process.start, self._clock)

    def _keep(self, venv: Venv, stamp: Stamp) -> None:
        place = self._places[venv.path] = _Place(stamp)
        place.tending = asyncio.ensure_future(self._tend(venv, place))
        self._tending.add(place.tending)
        place.tending.add_done_callback(self._tending.discard)
        while len(self._places) > self._most:
            self._places.pop(next(iter(self._places))).tending.cancel()

    async def _tend(self, venv: Venv, place: _Place) -> None:
        await self._clock.sleep(_DELAY)
        place.stamp = _stamp(venv)  # the run before may have added to it
        try:
            place.spare = self._shims.start(run_environment.interpreter(self._env, venv.path), venv.python)
            word = await place.spare.ready(self._clock)
            if word == READY:
                place.ready = True
                await self._clock.sleep(self._idle)
            else:
                self._refuse(venv, place.stamp, word)
        except ShimFailed as error:
            self._printer.event("warm", f"no warm interpreter for {venv.path}: {error}", "warn")
        finally:
            if place.spare is not None and not place.taken:
                place.spare.close()
            if self._places.get(venv.path) is place:
                del self._places[venv.path]

    def _refuse(self, venv: Venv, stamp: Stamp, why: str) -> None:
        """It will not change its mind before the environment changes."""
        self._unfit[venv.path] = stamp
        while len(self._unfit) > _REMEMBERED:
            del self._unfit[next(iter(self._unfit))]
        self._printer.event("warm", f"tasks in {venv.path} get new interpreters: {why}")


def _stamp(venv: Venv) -> Stamp:
    """Its configuration, its interpreter, and what is installed: these decide what an interpreter starts as. Empty when
    it is not there."""
    try:
        paths = [venv.path / "pyvenv.cfg", Path(venv.python), *sorted(venv.path.glob("lib/python*/site-packages"))]
        found = [path.stat() for path in paths]
    except OSError:
        return ()
    return tuple((each.st_ino, each.st_mtime_ns) for each in found)
