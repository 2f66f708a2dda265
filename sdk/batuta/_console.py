"""The console of a local run: what goes to stdout and stderr also goes into the spool."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, TextIO

Sink = Callable[[bytes], None]
_HALF_LINE = 4_096


class Tee:
    """A text stream that hands a copy of all that is written to a sink; everything else is the stream's own.

    The sink gets whole lines: `print` writes each of its words by itself. Half a line waits for `flush` at the latest.
    """

    def __init__(self, stream: TextIO, sink: Sink) -> None:
        self._stream = stream
        self._sink = sink
        self._buffer: Any = None
        self._half = ""
        self._lock = threading.RLock()  # a signal handler may print, too

    def write(self, text: str) -> int:
        """Write to both."""
        written = self._stream.write(text)
        with self._lock:
            self._half += text
            if "\n" in text or "\r" in text or len(self._half) >= _HALF_LINE:
                self.hand_over()
        return written

    def flush(self) -> None:
        """Flush the stream, and hand over what there is of a line."""
        self._stream.flush()
        self.hand_over()

    def hand_over(self) -> None:
        """Give the sink what it has not got yet."""
        with self._lock:
            line, self._half = self._half, ""
            if line:
                self._sink(line.encode("utf-8", "replace"))

    def forget(self) -> None:
        """Drop half a line: in a forked child it is the parent's. So is a lock that another thread held."""
        self._half = ""
        self._lock = threading.RLock()

    def writelines(self, lines: Iterable[str]) -> None:
        """Write to both."""
        for line in lines:
            self.write(line)

    @property
    def buffer(self) -> Any:
        """The binary stream below, watched too."""
        if self._buffer is None:
            self._buffer = _BinaryTee(self._stream.buffer, self._sink)
        self.hand_over()
        return self._buffer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Any:
        return iter(self._stream)

    def __enter__(self) -> Tee:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.flush()


class _BinaryTee:
    def __init__(self, stream: Any, sink: Sink) -> None:
        self._stream = stream
        self._sink = sink

    def write(self, data: Any) -> int:
        written: int = self._stream.write(data)
        self._sink(bytes(data))
        return written

    def writelines(self, lines: Iterable[Any]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Console:
    """Watches stdout and stderr, and the log handlers that hold on to them, from `install` to `remove`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._installed: list[tuple[str, TextIO, Tee]] = []

    def install(self) -> None:
        """Begin. A stream that is not there (pythonw) is left alone."""
        for name in ("stdout", "stderr"):
            stream: Any = getattr(sys, name)
            if stream is None or isinstance(stream, Tee):
                continue
            tee = Tee(stream, self._sink)
            setattr(sys, name, tee)
            self._installed.append((name, stream, tee))
            _move_handlers(stream, tee)

    def remove(self) -> None:
        """End. A stream that somebody else has replaced since is left alone."""
        installed, self._installed = self._installed, []
        for name, stream, tee in installed:
            tee.hand_over()
            _move_handlers(tee, stream)
            if getattr(sys, name) is tee:
                setattr(sys, name, stream)

    def become_child(self) -> None:
        """After a fork, in the child."""
        for _, _, tee in self._installed:
            tee.forget()


def _move_handlers(old: Any, new: Any) -> None:
    """Log handlers made before keep the stream that they were given: give them the other one."""
    logging = sys.modules.get("logging")
    if logging is None:
        return
    loggers = [logging.root, *list(logging.root.manager.loggerDict.values())]
    for logger in loggers:
        for handler in getattr(logger, "handlers", ()):
            if getattr(handler, "stream", None) is old:
                handler.stream = new
