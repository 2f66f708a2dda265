"""A network that the test breaks: a TCP proxy with a switch for each direction."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any

_CHUNK = 1 << 16


class Proxy:
    """Passes connections on to a port of this machine. Runs in a thread of its own; `close` it."""

    def __init__(self, target: int) -> None:
        """`target` is the port behind it; its own port is `port`."""
        self._target = target
        self._up = self._down = True
        self._refuse = False
        self._break: tuple[bytes, bool] | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server: asyncio.Server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        self._refuse = True
        self._do(self._drop())

    def silence(self, *, up: bool = False, down: bool = False) -> None:
        """Swallow what goes up (to the server) or down; connections stay open, as behind a bad router."""
        self._up, self._down = not up, not down

    def break_at(self, word: bytes, *, arrives: bool) -> None:
        """End the next connection that sends `word` up; whether or not the word `arrives`, no answer comes back."""
        self._break = word, arrives

    @property
    def broke(self) -> bool:
        """Whether what `break_at` asked for has come."""
        return self._break is None

    def heal(self) -> None:
        """Let everything pass. What was swallowed is gone, so connections that missed something are ended."""
        broken = not (self._up and self._down)
        self._up = self._down = True
        self._refuse = False
        if broken:
            self._do(self._drop())

    def close(self) -> None:
        """End everything."""
        self._refuse = True
        self._do(self._drop())
        self._server.close()
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuse:
            writer.close()
            return
        try:
            behind, ahead = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, ahead}
        mute = asyncio.Event()
        ways = [self._pass(reader, ahead, mute, up=True), self._pass(behind, writer, mute, up=False)]
        tasks = [asyncio.ensure_future(way) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for each in (writer, ahead):
            self._writers.discard(each)
            each.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mute: asyncio.Event, *, up: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if mute.is_set():
                    return  # the answer to the word: it has done what it does
                if up and self._break is not None and self._break[0] in data:
                    arrives, self._break = self._break[1], None
                    if not arrives:
                        return
                    mute.set()
                if self._up if up else self._down:
                    writer.write(data)
                    await writer.drain()

    async def _drop(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _end(self) -> None:
        mine = asyncio.all_tasks() - {asyncio.current_task()}
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)
