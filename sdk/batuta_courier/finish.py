"""How a local run ended, and saying so to the server."""

from __future__ import annotations

import dataclasses
import platform
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from batuta_courier import layout, tails, troubles
from batuta_courier.abort_watch import AbortWatch
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_rpc.backoff import Backoff
from batuta_rpc.clock import Clock
from batuta_rpc.errors import RpcError
from batuta_rpc.ids import Ids

STOPPED = "told to stop"
"""How a courier that was stopped puts it."""
_TEARDOWN = 60.0
"""Seconds for which a script may take its interpreter down before its own word is taken as the end."""
_STATES = {
    "COMPLETED": tasks.TASK_STATE_COMPLETED,
    "FAILED": tasks.TASK_STATE_FAILED,
    "ABORTED": tasks.TASK_STATE_ABORTED,
}
_KINDS = {tails.LOG: types.TAIL_KIND_LOG, tails.SCALARS: types.TAIL_KIND_SCALARS}


class Unfinished(Exception):
    """The work is not done, and a later courier can go on with it."""


def wait_for_exit(alive: Callable[[], bool], watch: AbortWatch, clock: Clock, stop: threading.Event) -> None:
    """Wait, bounded, until the script's process is gone."""
    until = clock.monotonic() + _TEARDOWN
    while alive() and clock.monotonic() < until and not stop.is_set():
        if watch.aborted.is_set():
            watch.drive()
        stop.wait(0.005)


def how_it_ended(close: layout.Close, spool_dir: Path, *, aborted: bool) -> layout.Close:
    """What the script said of its end, corrected by its exit code and by an abort that came from outside."""
    code = _exit_status(spool_dir) if close.exiting else close.exit_code
    if aborted:
        return layout.Close(True, "ABORTED", "USER_ABORT", "aborted while it ran", code)
    if not close.state and code is None:
        message = f"the script's process on {platform.node()} is gone; its exit code is not known"
        return layout.Close(True, "FAILED", "KILLED", message)
    if code and close.state in ("", "COMPLETED"):
        return layout.Close(True, "FAILED", "EXIT_CODE", f"exit code {code}", code)
    known = close.exit_code if code is None else code
    return dataclasses.replace(close, state=close.state or "COMPLETED", exit_code=known)


def _exit_status(spool_dir: Path) -> int | None:
    try:
        data = (spool_dir / "exit_status").read_bytes()
    except OSError:
        return None
    return data[-1] if data else None


def finish_task(
    stub: tasks.TaskServiceStub,
    run: layout.RunInfo,
    close: layout.Close,
    ends: Sequence[tails.Tail],
    clock: Clock,
    ids: Ids,
    deadline: float | None,
    stop: threading.Event,
) -> None:
    """End the task, trying until `deadline` (monotonic). Raises what does not pass, or Unfinished."""
    request = tasks.FinishTaskRequest(
        task_id=run.task_id,
        attempt=run.attempt,
        state=_STATES.get(close.state, tasks.TASK_STATE_FAILED),
        reason=close.reason[:64],
        message=close.message[:16_000],
        tails=proto_tails(ends),
    )
    if close.exit_code is not None:
        request.exit_code = close.exit_code
    backoff = Backoff(ids)
    while True:
        error = _call(stub, request)
        if error is None:
            return
        if not troubles.passes(error):
            raise error
        if deadline is not None and clock.monotonic() >= deadline:
            raise Unfinished(str(error))
        if stop.wait(backoff.next(error.retry_delay)):
            raise Unfinished(STOPPED)


def _call(stub: tasks.TaskServiceStub, request: tasks.FinishTaskRequest) -> RpcError | None:
    try:
        stub.FinishTask(request)
    except RpcError as error:
        return error
    return None


def proto_tails(ends: Sequence[tails.Tail]) -> list[types.ProducerTail]:
    """Tails as the contract has them."""
    return [types.ProducerTail(producer=each.producer, kind=_KINDS[each.kind], end=each.end) for each in ends]
