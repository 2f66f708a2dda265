"""Waiting for a task to get somewhere, told by the server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from batuta import _runtime
from batuta._task import status_word

if TYPE_CHECKING:
    from batuta._server import Server
    from batuta_proto.tasks import v1 as tasks


def wait_for_status(
    server: Server, task_id: str, wanted: Sequence[str], refused: Sequence[str], longest_silence: float
) -> tasks.Task:
    """Wait until the task's state is one of `wanted`. Raises RuntimeError when it is one of `refused`."""
    for task in changes(server, task_id, longest_silence):
        word = status_word(task.status.state)
        if word in refused:
            why = task.status.message or task.status.reason
            raise RuntimeError(f"task {task_id} is {word}" + (f": {why}" if why else ""))
        if word in wanted:
            return task
    raise AssertionError("changes() ends only by an exception")


def changes(server: Server, task_id: str, longest_silence: float) -> Iterator[tasks.Task]:
    """A task as it is and at every change, over servers that come and go. Raises what does not pass."""
    from batuta_courier.troubles import passes
    from batuta_rpc.backoff import Backoff
    from batuta_rpc.errors import RpcError

    process = _runtime.process
    backoff = Backoff(process.ids, cap=max(0.1, min(8.0, longest_silence)))
    while True:
        call: Any = None
        try:
            call = server.watch(task_id)
            for response in call:
                backoff.reset()
                yield response.task
        except RpcError as error:
            if not passes(error):
                raise
            process.warn_once(f"waiting for the server: {error}")
        finally:
            if call is not None:
                call.cancel()
        process.clock.sleep_blocking(backoff.next())
