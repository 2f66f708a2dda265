"""`execute_remotely`: this run ends here and its task goes on elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from batuta import _runtime

if TYPE_CHECKING:
    from batuta._run import Run
    from batuta._server import Server
    from batuta_proto.tasks import v1 as tasks


def send(run: Run, server: Server, queue_name: str | None) -> tasks.Task:
    """End this process's run and queue its task, in one step on the server; a draft without a queue.

    Raises what the server answers (`QueueNotFound` lists the queues); this run then simply goes on.
    """
    _check(run)
    run.parameters.push()
    _flush()
    if run.console is not None:
        run.console.remove()  # what is printed from here on is not the task's
    try:
        ends = run.drain()
        if queue_name is None:
            task = server.make_draft(run.task_id, run.attempt, ends)
        else:
            task = server.enqueue(run.task_id, queue_name, attempt=run.attempt, tails=ends)
    except BaseException:
        if run.console is not None:
            run.console.install()
        raise
    run.leave()
    return task


def send_clone(run: Run, server: Server, queue_name: str | None) -> tasks.Task:
    """Clone this process's task and queue the clone; this run goes on."""
    _check(run)
    run.parameters.push()
    clone = server.clone(run.task_id, "", "", "", "")
    return clone if queue_name is None else server.enqueue(clone.id, queue_name)


def leave(task_id: str, queue_name: str | None) -> NoReturn:
    """Say so and end this process, as if it had never gone further: no `finally`, no exit handler runs."""
    try:
        if queue_name is not None:
            _runtime.say(f"Switching to remote execution, follow it with `batuta task logs -f {task_id}`")
        else:
            _runtime.say(
                f"Task {task_id} is left as a draft; send it with `batuta task enqueue {task_id} --queue QUEUE`"
            )
        _runtime.say("Terminating local execution process - continuing execution remotely")
        _flush()
    finally:  # nobody may listen any more, and the task must not run in two places
        os._exit(0)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):  # nobody reads it, or it is closed
                stream.flush()


def _check(run: Run) -> None:
    if run.problem:
        raise RuntimeError(f"an agent could not run this: {run.problem}")
