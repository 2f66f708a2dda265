"""Starting the user's process from the shim.

The fork is made before there is an order and waits: what is left to do when the order comes is one exec. The fork
never returns into the shim's program; it becomes the user's program or ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from typing import NamedTuple, NoReturn

from batuta_agent.shim import processes
from batuta_agent.shim.state import decode_order

_PIPE_BYTES = 1 << 20
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", 1031)
# An exec sets handled signals back to their default by itself; ignored ones stay ignored. Python ignores the last two,
# a shell may have ignored the first ones for the agent.
_RESET = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ)


class StartFailed(Exception):
    """The program could not be started; the text says why."""


class Launched(NamedTuple):
    """A process and the end of the pipe on which it prints."""

    pid: int
    output: int


class Launcher:
    """A fork that waits for its program, in a process group of its own; both its outputs go into one pipe."""

    def __init__(self, agent: int) -> None:
        """Make the fork. `agent` is the handle of the shim's socket, which the fork has no business with."""
        output, printing = os.pipe()
        ordered, self._ordering = os.pipe()
        self._said, saying = os.pipe()
        with contextlib.suppress(OSError):  # a smaller pipe is slower, no more
            fcntl.fcntl(output, _SET_PIPE_SIZE, _PIPE_BYTES)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            # The fork must see the end of the order's pipe when the shim ends.
            for handle in (self._ordering, self._said, output, agent):
                os.close(handle)
            _become(ordered, printing, saying, parent)
        for handle in (ordered, printing, saying):
            os.close(handle)
        self._launched = Launched(pid, output)

    @property
    def pid(self) -> int:
        """The fork's, which becomes the program's."""
        return self._launched.pid

    def launch(self, line: bytes) -> Launched:
        """Have the fork become the order's program, and return once it has. Raises `StartFailed` when it could not."""
        with contextlib.suppress(BrokenPipeError), os.fdopen(self._ordering, "wb") as file:
            file.write(line)
        with os.fdopen(self._said, "rb") as file:
            trouble = file.read().decode(errors="replace")
        if trouble:
            os.waitpid(self._launched.pid, 0)
            os.close(self._launched.output)
            raise StartFailed(trouble)
        os.set_blocking(self._launched.output, False)
        return self._launched

    def close(self) -> None:
        """There is no order: let the fork end."""
        for handle in (self._ordering, self._said, self._launched.output):
            os.close(handle)
        os.waitpid(self._launched.pid, 0)


def _become(ordered: int, printing: int, saying: int, parent: int) -> NoReturn:
    """In the fork: wait, then turn into the program. Nothing here may return or raise."""
    program = "nothing"
    try:
        os.setpgid(0, 0)
        processes.die_with_parent()
        if os.getppid() != parent:  # it died before the line above
            os._exit(127)
        for number in _RESET:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.dup2(printing, 1)
        os.dup2(printing, 2)
        with os.fdopen(ordered, "rb") as file:
            line = file.read()
        if not line:
            os._exit(0)
        order = decode_order(line)
        program = order.argv[0]
        os.chdir(order.cwd)
        os.execve(program, list(order.argv), dict(order.env))
    except BaseException as error:
        os.write(saying, f"cannot start {program}: {error}".encode())
    finally:
        os._exit(127)
