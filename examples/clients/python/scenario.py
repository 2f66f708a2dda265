"""Creates a task, enqueues it, watches it to its end, and reads its metrics and its log, with nothing but the stubs.

BATUTA_ADDRESS (host:port), BATUTA_ACCESS_KEY, BATUTA_SECRET_KEY and BATUTA_SCRIPT (what the task runs) say where and
what. Ends with status 1 when anything is not as it should be.
"""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path

import grpc

from batuta_proto.logs import v1 as logs
from batuta_proto.metrics import v1 as metrics
from batuta_proto.tasks import v1 as tasks
from batuta_proto.users import v1 as users

ENDED = (tasks.TASK_STATE_COMPLETED, tasks.TASK_STATE_FAILED, tasks.TASK_STATE_ABORTED)


def check(right: bool, what: str) -> None:
    """End here when something is not as it should be."""
    if not right:
        raise SystemExit(f"python: {what}")


def main() -> None:
    """The scenario."""
    channel = grpc.insecure_channel(os.environ["BATUTA_ADDRESS"])
    asked = users.IssueTokenRequest(
        access_key=os.environ["BATUTA_ACCESS_KEY"], secret_key=os.environ["BATUTA_SECRET_KEY"]
    )
    token = users.UserServiceStub(channel).IssueToken(asked, timeout=20).token
    told = (("authorization", f"Bearer {token}"), ("batuta-client", "example-python/1"))
    task_stub = tasks.TaskServiceStub(channel)

    source = tasks.Source(script=Path(os.environ["BATUTA_SCRIPT"]).read_text(), entry_point="train.py")
    request = tasks.CreateTaskRequest(
        project_name="clients",
        display_name="from Python",
        spec=tasks.TaskSpec(source=source, environment=tasks.Environment(requirements=["batuta"])),
        request_id=str(uuid.uuid4()),
    )
    task_id = task_stub.CreateTask(request, timeout=20, metadata=told).task.id
    enqueue = tasks.EnqueueTaskRequest(task_id=task_id, queue_name="default", request_id=str(uuid.uuid4()))
    task_stub.EnqueueTask(enqueue, timeout=20, metadata=told)

    seen: list[int] = []
    for answer in task_stub.WatchTask(tasks.WatchTaskRequest(task_id=task_id), timeout=300, metadata=told):
        status = answer.task.status
        seen.append(status.state)
        if status.state in ENDED:
            check(status.state == tasks.TASK_STATE_COMPLETED, f"the task failed: {status.message}")
            break
    check(seen[-1:] == [tasks.TASK_STATE_COMPLETED], f"the stream ended early: {seen}")

    read = logs.ReadLogRequest(task_id=task_id, follow=True)
    text = b""
    for part in logs.LogServiceStub(channel).ReadLog(read, timeout=60, metadata=told):
        text += b"".join(chunk.data for chunk in part.chunks)
    check(b"epoch 0\nepoch 1\nepoch 2\nall done\n" in text, f"the log is {text!r}")

    listed = metrics.ListScalarsRequest(task_id=task_id)
    scalars = metrics.MetricServiceStub(channel).ListScalars(listed, timeout=20, metadata=told).scalars
    found = [(each.metric, each.variant, each.count, round(each.last_value, 3)) for each in scalars]
    check(("loss", "train", 3, 0.333) in found, f"the metrics are {found}")
    print(f"python: task {task_id} is COMPLETED, its log and metrics are there")


if __name__ == "__main__":
    sys.exit(main())
