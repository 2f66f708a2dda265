"""The run that this process works on: its spool, its parameters, its end."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from batuta import _runtime
from batuta._console import Console
from batuta._courier_keeper import CourierKeeper
from batuta._exit_status import ExitStatus
from batuta._exits import Ending, ExitWatch
from batuta._logger import Logger
from batuta._parameters import Key, Parameters
from batuta._values import Parameter
from batuta_courier import layout
from batuta_courier.producer import ProducerSpool
from batuta_courier.scalars import RECORDS
from batuta_courier.tails import Tail, tails

if TYPE_CHECKING:
    from batuta._server import Server

CLOSE_SECONDS = 30.0
"""How long `close` and `execute_remotely` wait for the server to have everything."""
_AT_EXIT_SECONDS = 1.0
_CHILD_RECORDS = 4_096
"""Records of a segment in a child: there may be thousands of them, and a segment takes its place on disk at once."""


class Run:
    """One attempt of one task, as this process sees it.

    `mode` is one of `layout.LOCAL` (this process owns the run), `AGENT` (an agent does) and `OFFLINE` (nobody but the
    disk). `child`: the run belongs to the process that this one was forked or started from.
    """

    def __init__(
        self, task_id: str, attempt: int, mode: str, spool_dir: Path, server: Server | None, *, child: bool = False
    ) -> None:
        self.task_id = task_id
        self.attempt = attempt
        self.mode = mode
        self.spool_dir = spool_dir
        self.server = server
        self.child = child
        self.problem = ""
        """Why no agent could run this script; empty when one can."""
        self.offset = 0
        self.parameters = Parameters(self._push_parameters, self._complain, _runtime.process.clock)
        self.producer = self._new_producer()
        self.console: Console | None = None
        self.keeper: CourierKeeper | None = None
        self.logger = Logger(self)
        self._exits: ExitWatch | None = None
        self._exit_status: ExitStatus | None = None
        self._timeout: float | None = None

    @property
    def owns(self) -> bool:
        """Whether this process says how the run ends."""
        return self.mode != layout.AGENT and not self.child

    def set_offset(self, offset: int) -> None:
        """Let iterations go on after those of earlier attempts."""
        self.offset = offset
        self.producer.scalars.offset = offset

    def watch_console(self) -> None:
        """Copy stdout and stderr into the spool from now on."""
        self.console = Console(lambda data: self.producer.console.write(data))
        self.console.install()

    def watch_exit(self) -> None:
        """See to it that the run ends when this process does."""
        self._exits = ExitWatch(self._at_exit)
        self._exits.install()
        if self.owns:
            self._exit_status = ExitStatus(self.spool_dir / "exit_status")
            self._exit_status.install()

    def start_courier(self) -> None:
        """Start the courier. Raises OSError."""
        self.keeper = CourierKeeper(self.spool_dir, _runtime.process.clock, _runtime.process.warn_once)
        self.keeper.start()

    def become_child(self) -> None:
        """After a fork, in the child: a producer of its own, and no say over the run's end."""
        self.child = True
        self.parameters.become_child()
        if self._exit_status is not None:
            self._exit_status.disown()
        if self.console is not None:
            self.console.become_child()
        self.producer = self._new_producer()
        self.set_offset(self.offset)
        self.logger.rebind()

    def drain(self, seconds: float = CLOSE_SECONDS) -> list[Tail]:
        """Wait, bounded, until the server has what was reported so far. Returns how far that is."""
        self.producer.close()
        ends = tails(self.spool_dir)
        if self.keeper is not None:
            self.keeper.reached(ends, seconds)
        return ends

    def leave(self) -> None:
        """Stop watching: somebody else decides how the task goes on. The courier brings the rest home and ends."""
        self._release()
        with contextlib.suppress(OSError):  # the task is queued already; a later courier finds what is left
            layout.write_close(self.spool_dir, layout.Close())
            if self.keeper is not None:
                self.keeper.ensure()

    def end(self, ending: Ending, *, exiting: bool) -> None:
        """End the run: what is left to do is the courier's."""
        if not self.owns:
            return
        self._timeout = _AT_EXIT_SECONDS if exiting else None
        self.parameters.push_calmly()
        self.parameters.stop()
        self._release()
        close = layout.Close(True, ending.state, ending.reason, ending.message, None, exiting)
        with contextlib.suppress(OSError):  # a full disk: the courier sees the process go
            layout.write_close(self.spool_dir, close)
        if self.keeper is not None:
            with contextlib.suppress(OSError):
                self.keeper.ensure()

    def _release(self) -> None:
        if self.console is not None:
            self.console.remove()
        if self._exits is not None:
            self._exits.remove()
        self.producer.close()

    def _at_exit(self, ending: Ending) -> None:
        self.end(ending, exiting=True)

    def _new_producer(self) -> ProducerSpool:
        process = _runtime.process
        nonce = process.ids.new_id()[-6:]
        records = _CHILD_RECORDS if self.child else RECORDS
        return ProducerSpool(self.spool_dir, process.clock, nonce, records=records, notify=_runtime.say)

    def _push_parameters(self, values: Mapping[Key, Parameter]) -> None:
        if self.server is not None:
            self.server.set_parameters(self.task_id, self.attempt, values, self._timeout)

    def _complain(self, error: Exception) -> None:
        _runtime.process.warn_once(f"the task's parameters could not be stored: {error}")
