"""Starting the user's process from the shim."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from typing import NamedTuple, NoReturn

from batuta_agent.shim import processes
from batuta_agent.shim.state import Order

_PIPE_BYTES = 1 << 20
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", 1031)


class StartFailed(Exception):
    """The program could not be started; the text says why."""


class Launched(NamedTuple):
    """A process and the end of the pipe on which it prints."""

    pid: int
    output: int


def launch(order: Order) -> Launched:
    """Start the program in a process group of its own; both its outputs go into one pipe.

    Returns once the program has replaced the fork. Raises `StartFailed` when it could not.
    """
    output, printing = os.pipe()
    said, saying = os.pipe()
    with contextlib.suppress(OSError):  # a smaller pipe is slower, no more
        fcntl.fcntl(output, _SET_PIPE_SIZE, _PIPE_BYTES)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(order, printing, saying, parent)
    os.close(printing)
    os.close(saying)
    with os.fdopen(said, "rb") as file:
        trouble = file.read().decode(errors="replace")
    if trouble:
        os.waitpid(pid, 0)
        os.close(output)
        raise StartFailed(trouble)
    os.set_blocking(output, False)
    return Launched(pid, output)


def _become(order: Order, printing: int, saying: int, parent: int) -> NoReturn:
    """In the child: turn into the program. Nothing here may return or raise."""
    try:
        os.setpgid(0, 0)
        processes.die_with_parent()
        if os.getppid() != parent:  # it died before the line above
            os._exit(127)
        signal.set_wakeup_fd(-1)
        for number in (
            signal.SIGINT,
            signal.SIGTERM,
            signal.SIGHUP,
            signal.SIGQUIT,
            signal.SIGCHLD,
            signal.SIGUSR1,
            signal.SIGPIPE,
            signal.SIGXFSZ,
        ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.dup2(printing, 1)
        os.dup2(printing, 2)
        os.chdir(order.cwd)
        os.execve(order.argv[0], list(order.argv), order.env)
    except BaseException as error:
        os.write(saying, f"cannot start {order.argv[0] if order.argv else 'nothing'}: {error}".encode())
    finally:
        os._exit(127)
