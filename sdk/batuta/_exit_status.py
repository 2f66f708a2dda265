"""The exit code of this very process, for somebody who is not its parent.

Python does not tell its exit handlers with which code the process ends (`raise SystemExit(3)` leaves no trace). The C
library does: glibc's `on_exit(function, argument)` calls `function(status, argument)`, and its own `fputc(int, FILE *)`
has just that shape. So exit() itself writes one byte, the code, into the file; a process that is killed writes none.
Elsewhere `sys.exit` is watched instead, which sees most ways to end but not `raise SystemExit`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any


class ExitStatus:
    """Writes the exit code of this process into a file when it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._installed = False

    def install(self) -> None:
        """From now on. Never raises."""
        with contextlib.suppress(Exception):
            self._installed = self._by_on_exit()
        if not self._installed:
            _watch_sys_exit(self._path)

    def disown(self) -> None:
        """In a forked child: its end is not the run's end."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._fd)
                os.close(null)

    def _by_on_exit(self) -> bool:
        if not sys.platform.startswith("linux"):
            return False
        import ctypes

        libc: Any = ctypes.CDLL(None)
        if not hasattr(libc, "on_exit"):  # not glibc
            return False
        libc.fdopen.restype = ctypes.c_void_p
        libc.on_exit.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        libc.setvbuf.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        file = libc.fdopen(self._fd, b"a")
        unbuffered = 2
        libc.setvbuf(file, None, unbuffered, 0)
        return bool(libc.on_exit(ctypes.cast(libc.fputc, ctypes.c_void_p), file) == 0)


def _watch_sys_exit(path: Path) -> None:
    before = sys.exit
    owner = os.getpid()

    def watched(status: Any = None, /) -> Any:
        if os.getpid() == owner:
            code = status if isinstance(status, int) else int(status is not None)
            with contextlib.suppress(OSError):
                path.write_bytes(bytes([code & 0xFF]))
        before(status)

    sys.exit = watched
