"""Starting the user's process from the shim.

The fork is made before there is an order and waits: what is left to do when the order comes is one exec. Or it is a
warm interpreter already (`warm_importlib_bootstrap`), which is left to run the script. The fork never returns into the
shim's program; it becomes the user's program or ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from batuta_agent.shim import processes
from batuta_agent.shim.state import Order, decode_order

_PIPE_BYTES = 1 << 20
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", 1031)
# An exec sets handled signals back to their default by itself; ignored ones stay ignored. Python ignores the last two,
# a shell may have ignored the first ones for the agent.
_RESET = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ)
_WARM_PROGRAM = str(Path(__file__).with_name("warm_importlib_bootstrap.py"))
_WARM_MARK = "BATUTA_WARM"
_LATE = ("BATUTA_", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
"""How variables begin that neither Python nor the loader look at when they start: the only ones that may differ
between a warm interpreter and its order."""


class StartFailed(Exception):
    """The program could not be started; the text says why."""


class Launched(NamedTuple):
    """A process and the end of the pipe on which it prints."""

    pid: int
    output: int


class Launcher:
    """A fork that waits for its program, in a process group of its own; both its outputs go into one pipe."""

    def __init__(self, agent: int, python: str = "") -> None:
        """Make the fork. `agent` is the handle of the shim's socket, which the fork has no business with. With `python`
        it becomes a warm one of that interpreter, in our own environment."""
        output, printing = os.pipe()
        ordered, self._ordering = os.pipe()
        self.said, saying = os.pipe()
        """A warm interpreter says here that it is ready; in any case it closes when the fork ends."""
        with contextlib.suppress(OSError):  # a smaller pipe is slower, no more
            fcntl.fcntl(output, _SET_PIPE_SIZE, _PIPE_BYTES)
        parent = os.getpid()
        self._python = python
        name, _equals, whose = warm_mark(parent, processes.start_of(parent)).partition("=")
        self._env = {**os.environ, name: whose}
        pid = os.fork()
        if pid == 0:
            # The fork must see the end of the order's pipe when the shim ends.
            for handle in (self._ordering, self.said, output, agent):
                os.close(handle)
            _settle(printing, parent)
            if python:
                _warm_up(python, self._env, ordered, saying)
            _become(ordered, saying)
        for handle in (ordered, printing, saying):
            os.close(handle)
        self._launched = Launched(pid, output)

    @property
    def pid(self) -> int:
        """The fork's, which becomes the program's."""
        return self._launched.pid

    def launch(self, line: bytes) -> Launched:
        """Have the fork become the order's program, and return once it has. Raises `StartFailed` when it could not."""
        message = _message(decode_order(line), self._python, self._env) if self._python else line
        with contextlib.suppress(BrokenPipeError), os.fdopen(self._ordering, "wb") as file:
            file.write(message)
        with os.fdopen(self.said, "rb") as file:
            trouble = file.read().decode(errors="replace")
        if trouble:
            os.waitpid(self._launched.pid, 0)
            os.close(self._launched.output)
            raise StartFailed(trouble)
        os.set_blocking(self._launched.output, False)
        return self._launched

    def close(self) -> None:
        """There is no order: end the fork."""
        for handle in (self._ordering, self.said, self._launched.output):
            os.close(handle)
        processes.send([self.pid], signal.SIGKILL)  # an interpreter may hang in its start, on a network's disk
        os.waitpid(self.pid, 0)


def warm_mark(shim_pid: int, shim_start: int) -> str:
    """What stands in the first environment of a warm interpreter, and so in that of whatever it forks: whose it is."""
    return f"{_WARM_MARK}={shim_pid}.{shim_start}"


def _settle(printing: int, parent: int) -> None:
    """In the fork: what a user's process begins with."""
    os.setpgid(0, 0)
    processes.die_with_parent()
    if os.getppid() != parent:  # it died before the line above
        os._exit(127)
    for number in _RESET:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.dup2(printing, 1)
    os.dup2(printing, 2)


def _become(ordered: int, saying: int) -> NoReturn:
    """In the fork: wait, then turn into the program. Nothing here may return or raise."""
    program = "nothing"
    try:
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


def _warm_up(python: str, env: Mapping[str, str], ordered: int, saying: int) -> NoReturn:
    """In the fork: turn into an interpreter that waits. Nothing here may return or raise."""
    try:
        for handle in (ordered, saying):
            os.set_inheritable(handle, True)
        os.execve(python, [python, _WARM_PROGRAM, str(ordered), str(saying)], dict(env))
    except BaseException as error:
        os.write(saying, f"cannot start {python}: {error}\n".encode())
    finally:
        os._exit(127)


def _message(order: Order, python: str, env: Mapping[str, str]) -> bytes:
    """The order as the warm interpreter reads it: what differs from its environment, or all of it for an exec."""
    changed = {name: value for name, value in order.env.items() if env.get(name) != value}
    gone = [name for name in env if name not in order.env]
    late = all(name.startswith(_LATE) for name in (*changed, *gone))
    warm = late and order.argv[0] == python and _by_itself(order.argv[1:])
    lines = [f"{name}={value}" for name, value in (changed if warm else order.env).items()] + (gone if warm else [])
    fields = ["warm" if warm else "cold", order.cwd, str(len(order.argv)), *order.argv, *lines]
    return b"\0".join(os.fsencode(each) for each in fields)


def _by_itself(arguments: Sequence[str]) -> bool:
    """Whether it is a module, or a script by its whole path, without options of the interpreter's own."""
    if arguments[:1] == ["-m"]:
        return len(arguments) > 1
    return bool(arguments) and arguments[0].startswith("/") and arguments[0].endswith(".py")
