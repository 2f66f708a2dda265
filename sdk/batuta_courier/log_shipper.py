"""Brings the logs of a spool to the server: one open stream per log that has something to say."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
from pathlib import Path

from batuta_courier import layout, tails, troubles
from batuta_courier.ledger import Ledger
from batuta_courier.log_stream import LogStream
from batuta_courier.retrying import Retry
from batuta_proto.logs import v1 as logs
from batuta_rpc.clock import Clock
from batuta_rpc.errors import LogQuota, RpcError, TooLarge
from batuta_rpc.ids import Ids

CHUNK_BYTES = 256 * 1024
WINDOW_BYTES = 2 * 1024 * 1024
"""What may be under way in one stream, unacknowledged."""
IDLE_SECONDS = 15.0
"""A stream with nothing to say for so long is closed; the next line opens it again."""
_SOON, _LATER = 0.01, 0.1


class _Log:
    """One log file and its stream, if open."""

    def __init__(self, path: Path, retry: Retry) -> None:
        self.path = path
        self.retry = retry
        self.stream: LogStream | None = None
        self.send_at = 0.0
        self.used_at = 0.0
        self.fd = -1
        self.settled = False
        """The server takes no more of it, for good."""

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


class LogShipper:
    """Runs in a thread of its own until `stop`. `error` is set when it had to give up."""

    def __init__(
        self, spool_dir: Path, run: layout.RunInfo, stub: logs.LogServiceStub, ledger: Ledger, clock: Clock, ids: Ids
    ) -> None:
        self.error: RpcError | None = None
        self._spool_dir = spool_dir
        self._run = run
        self._stub = stub
        self._ledger = ledger
        self._clock = clock
        self._ids = ids
        self._logs: dict[str, _Log] = {}
        self._stopped = False
        self._hurried = False
        self._inner, self._outer = socket.socketpair()  # closed with the last one who may poke
        self._inner.setblocking(False)
        self._outer.setblocking(False)
        self._fifo = _open_fifo(spool_dir / "wake")
        self._wakes = selectors.DefaultSelector()  # not select(): it knows no descriptor above 1023
        self._wakes.register(self._inner, selectors.EVENT_READ)
        if self._fifo >= 0:
            self._wakes.register(self._fifo, selectors.EVENT_READ)

    def run(self) -> None:
        """Ship until `stop` or an error that does not pass."""
        try:
            while not self._stopped and self.error is None:
                try:
                    busy = self._step()
                except OSError:  # this machine's trouble (too many open files, a disk that is away) passes
                    busy = False
                self._ledger.flush()
                self._wait(_SOON if busy else _LATER)
        finally:
            for log in self._logs.values():
                if log.stream is not None:
                    log.stream.cancel()
                log.close()
            self._wakes.close()
            if self._fifo >= 0:
                os.close(self._fifo)
            self._fifo = -1

    def stop(self) -> None:
        """Make `run` return soon. From any thread."""
        self._stopped = True
        self._poke()

    def hurry(self) -> None:
        """Try what waits for its next try as soon as the server wanted it: it is back. From any thread."""
        self._hurried = True
        self._poke()

    def _poke(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._outer.send(b"w")

    def _wait(self, seconds: float) -> None:
        for key, _ in self._wakes.select(seconds):
            with contextlib.suppress(BlockingIOError):
                os.read(key.fd, 65536)

    def _step(self) -> bool:
        """Look at every log once. True when something was sent or is waiting to be."""
        busy = False
        if self._hurried:
            self._hurried = False
            for waiting in self._logs.values():
                waiting.retry.hurry()
        for producer, path in layout.logs(self._spool_dir):
            log = self._logs.get(producer)
            if log is None:
                log = self._logs[producer] = _Log(path, Retry(self._clock, self._ids))
                log.settled = self._ledger.dropped(producer)
            busy = self._attend(producer, log) or busy
        return busy

    def _attend(self, producer: str, log: _Log) -> bool:
        now = self._clock.monotonic()
        size = log.path.stat().st_size
        if log.stream is not None:
            self._hear(producer, log, log.stream, now)
        if log.settled:
            # The server stores nothing after what it has, and the log says so: all of it counts as stored.
            self._ledger.put(producer, tails.LOG, size)
            return False
        if log.stream is None:
            if self._ledger.log(producer) >= size or log.retry.seconds() > 0 or self.error is not None:
                return False
            log.used_at = now
            log.stream = LogStream(
                self._stub, self._run.task_id, self._run.attempt, producer, self._clock.unix_millis, self._poke
            )
            return True
        return self._feed(log, log.stream, size, now)

    def _hear(self, producer: str, log: _Log, stream: LogStream, now: float) -> None:
        """Take what the server has said since."""
        if stream.committed is not None:
            if self._ledger.put(producer, tails.LOG, stream.committed):
                log.retry.succeeded()  # only now: a stream may open again and again, and never store anything
            if not stream.ended:
                self._ledger.answered()
        if not stream.ended:
            return
        log.stream = None
        log.close()
        if isinstance(stream.error, LogQuota):
            log.settled = True
        elif isinstance(stream.error, TooLarge):
            log.settled = True
            self._ledger.drop(producer, f"the log of {producer} ends here: {stream.error}")
        elif stream.error is not None and not troubles.passes(stream.error):
            self.error = stream.error
        elif stream.error is not None or stream.committed is None or stream.committed < stream.sent:
            log.retry.failed(stream.error)
            self._ledger.failed(stream.error)

    def _feed(self, log: _Log, stream: LogStream, size: int, now: float) -> bool:
        """Send what fits into the window. True while there is more, or more may follow at once."""
        if stream.committed is None:
            return False  # the answer to the first message pokes us
        if stream.sent >= size:
            if stream.committed >= size and now - log.used_at > IDLE_SECONDS:
                stream.close()
                log.used_at = now
            return False
        if now < log.send_at and size - stream.sent < CHUNK_BYTES:
            return True
        if log.fd < 0:
            log.fd = os.open(log.path, os.O_RDONLY)
        while stream.sent < size and stream.sent - stream.committed < WINDOW_BYTES:
            data = os.pread(log.fd, min(CHUNK_BYTES, size - stream.sent), stream.sent)
            if not data:
                break
            stream.send(data)
        log.used_at = now
        log.send_at = now + stream.flush_interval
        return True


def _open_fifo(path: Path) -> int:
    """The reading end of the wake FIFO; -1 where there is none. Opened for both, so that it never reports an end."""
    try:
        return os.open(path, os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return -1
