"""What a command is handed: the streams, the environment, time and chance, and the way to a server."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from batuta._cli.failures import CliError
from batuta_rpc import config
from batuta_rpc.clock import Clock, SystemClock
from batuta_rpc.ids import Ids, SystemIds

if TYPE_CHECKING:
    from batuta._cli.client import Client

NO_SERVER = (
    "no server is configured. Run `batuta init` first, or set BATUTA_API, BATUTA_ACCESS_KEY and BATUTA_SECRET_KEY."
)


@dataclass(frozen=True)
class Context:
    """One run of the program. `width` is the terminal's in columns, None when the output is no terminal."""

    env: Mapping[str, str]
    stdin: TextIO
    stdout: BinaryIO
    stderr: TextIO
    clock: Clock
    ids: Ids
    width: int | None = None

    @classmethod
    def of_this_process(cls) -> Context:
        """The streams, environment and terminal of this process."""
        width = None
        with contextlib.suppress(OSError, ValueError):
            if sys.stdout.isatty():
                width = os.get_terminal_size(sys.stdout.fileno()).columns
        return cls(os.environ, sys.stdin, sys.stdout.buffer, sys.stderr, SystemClock(), SystemIds(), width)

    def print(self, text: str) -> None:
        """Write a line to stdout."""
        self.write(text.encode("utf-8", "backslashreplace") + b"\n")

    def write(self, data: bytes) -> None:
        """Write bytes to stdout as they are, at once."""
        self.stdout.write(data)
        self.stdout.flush()

    def note(self, text: str) -> None:
        """Write a line for the user to stderr, beside the answer."""
        self.stderr.write(f"batuta: {text}\n")
        self.stderr.flush()

    @property
    def config_path(self) -> Path:
        """Where the login is kept."""
        return config.default_path(self.env)

    @contextlib.contextmanager
    def connect(self) -> Generator[Client, None, None]:
        """The configured server. Raises `CliError` when none is configured; dials only when a call is made."""
        from batuta._cli.client import Client

        connection = config.load_connection(self.env, self.config_path)
        if connection is None:
            raise CliError(NO_SERVER)
        client = Client(connection, self.clock)
        try:
            yield client
        finally:
            client.close()
