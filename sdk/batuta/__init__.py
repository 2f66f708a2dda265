"""Batuta: track, queue and run training scripts on your own machines.

    from batuta import Task

    task = Task.init(project_name="digits", task_name="first try")
    task.get_logger().report_scalar("loss", "train", value=0.3, iteration=1)
    task.execute_remotely(queue_name="default")

Importing this neither imports grpc nor talks to anybody; it begins to watch `argparse`.
"""

from __future__ import annotations

from batuta._argparse_hook import watch as _watch
from batuta._logger import Logger
from batuta._parameters import Parameters as _Parameters
from batuta._task import Task
from batuta._task_types import TaskTypes

__all__ = ["Logger", "Task", "TaskTypes"]


def _remote_parameters() -> _Parameters | None:
    import os

    if not os.environ.get("BATUTA_TASK_ID"):
        return None
    from batuta._begin import remote_parameters

    return remote_parameters()


_watch.remote = _remote_parameters
_watch.install()
