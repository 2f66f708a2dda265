"""Child processes: started with a pipe as stdin, so that they end when the bench does, and stopped by their pid."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from bench import measure

ROOT = Path(__file__).resolve().parent.parent


class ChildFailed(RuntimeError):
    """A child ended or fell silent; the message holds the end of what it said."""


class Child:
    """One `python -m module …` process whose stdout is read line by line; stderr goes to a file."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        program: Sequence[str] = (sys.executable, "-m"),
        cwd: Path = ROOT,
    ) -> None:
        """`program` is what runs `module`, when that is not this interpreter."""
        self.module = module
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [*program, module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                bufsize=0,
            )
        self._buffer = b""

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def cpu_seconds(self) -> float:
        """CPU seconds it has used so far."""
        return measure.cpu_seconds(self.pid)

    def send(self, line: str) -> None:
        """Write one line to its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def line(self, timeout: float = 30.0) -> str:
        """Its next line. Raises ChildFailed when none comes within `timeout` seconds or the process has ended."""
        assert self._process.stdout is not None
        deadline = measure.now_ns() + int(timeout * 1e9)
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                left = (deadline - measure.now_ns()) / 1e9
                if left <= 0 or not selector.select(left):
                    raise ChildFailed(f"{self.module} said nothing for {timeout:g} s\n{self.said()}")
                piece = os.read(self._process.stdout.fileno(), 65536)
                if not piece:
                    raise ChildFailed(f"{self.module} ended with {self._process.wait(5)}\n{self.said()}")
                self._buffer += piece
        head, _, self._buffer = self._buffer.partition(b"\n")
        return head.decode()

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def said(self) -> str:
        """The end of its stderr."""
        return self._log.read_text(errors="replace")[-4000:]

    def stop(self, patience: float = 10.0) -> None:
        """Close its stdin, ask it to end, and kill it when it has not after `patience` seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        if self.alive():
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
