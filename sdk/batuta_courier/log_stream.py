"""One log on its way: an AppendLog call, with what is sent and not yet acknowledged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

from batuta_proto.logs import v1 as logs
from batuta_rpc.errors import RpcError


class LogStream:
    """An open call for one producer's log.

    `committed` is what the server has stored: None until it has said so for the first time, which it does because the
    first message is empty. `error` is how the call ended, once it has. `changed` is called, from the reading thread,
    after either.
    """

    def __init__(
        self,
        stub: logs.LogServiceStub,
        task_id: str,
        attempt: int,
        producer: str,
        unix_millis: Callable[[], int],
        changed: Callable[[], None],
    ) -> None:
        self.committed: int | None = None
        self.sent = 0
        self.flush_interval = 0.0
        self.error: RpcError | None = None
        self.ended = False
        self._unix_millis = unix_millis
        self._changed = changed
        self._outbox: SimpleQueue[logs.AppendLogRequest | None] = SimpleQueue()
        self._outbox.put(logs.AppendLogRequest(task_id=task_id, attempt=attempt, producer=producer))
        self._stub = stub
        self._call: Any = None
        self._cancelled = False
        self._reader = threading.Thread(target=self._read, name=f"log {producer}", daemon=True)
        self._reader.start()

    def send(self, data: bytes) -> None:
        """Send the bytes that follow the last ones."""
        self._outbox.put(logs.AppendLogRequest(offset=self.sent, data=data, time_unix_millis=self._unix_millis()))
        self.sent += len(data)

    def close(self) -> None:
        """Say that nothing follows, and forget the call."""
        self._outbox.put(None)

    def cancel(self) -> None:
        """End the call at once."""
        self._cancelled = True
        self._outbox.put(None)
        if self._call is not None:
            self._call.cancel()
        self._reader.join(1.0)

    def _read(self) -> None:
        try:
            # Opened in this thread: it may have to fetch a token first.
            self._call = self._stub.AppendLog(iter(self._outbox.get, None))
            if self._cancelled:
                self._call.cancel()
            responses: Iterator[logs.AppendLogResponse] = self._call
            for response in responses:
                if self.committed is None:
                    self.sent = response.committed_offset
                self.committed = response.committed_offset
                interval = response.flush_interval
                self.flush_interval = interval.seconds + interval.nanos / 1e9
                self._changed()
        except RpcError as error:
            self.error = error
        finally:
            self.ended = True
            self._outbox.put(None)
            self._changed()
