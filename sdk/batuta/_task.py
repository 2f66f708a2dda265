"""The task: what scripts hold in their hands."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from batuta import _runtime
from batuta._logger import Logger
from batuta._task_types import TaskTypes as Kind

if TYPE_CHECKING:
    from batuta._artifacts.handle import Artifact
    from batuta._artifacts.remote import ArtifactCalls
    from batuta._run import Run
    from batuta._server import Server
    from batuta_proto.tasks import v1 as tasks

C = TypeVar("C", dict[Any, Any], ArgumentParser, Namespace)
_STATUS = {
    10: "created",
    20: "queued",
    30: "in_progress",
    40: "in_progress",
    50: "completed",
    60: "failed",
    70: "stopped",
    80: "published",
}


class Task:
    """One run of somebody's code. Made by `Task.init`, `Task.get_task` and `Task.clone`, never directly.

    Calls that reach the server raise `batuta_rpc.errors.RpcError`; its message says what to do.
    """

    TaskTypes = Kind

    def __init__(self, task_id: str, *, run: Run | None = None, known: tasks.Task | None = None) -> None:
        """Made by the SDK; not by scripts."""
        self._id = task_id
        self._run = run
        self._known = known
        self._closed = False

    # Beginning, finding, copying

    @classmethod
    def init(
        cls,
        project_name: str | None = None,
        task_name: str | None = None,
        task_type: Kind | str = Kind.training,
        tags: Sequence[str] | None = None,
        reuse_last_task_id: bool | str = True,
        continue_last_task: bool | str | int = False,
        output_uri: str | bool | None = None,
        auto_connect_arg_parser: bool | Mapping[str, bool] = True,
        auto_connect_frameworks: bool | Mapping[str, Any] = True,
        auto_resource_monitoring: bool | Mapping[str, Any] = True,
        auto_connect_streams: bool | Mapping[str, bool] = True,
        deferred_init: bool = False,
    ) -> Task:
        """The task of this process. Locally a new one; under an agent the one that the agent runs, names ignored.

        What the script is (repository, changes, packages, Python, command line) is stored with it, its console copied.
        A second call in one process returns the same task. Without a configured server everything goes to disk.

        Raises `RpcError` when the server refuses or does not answer, `ConfigError` for half a configuration.
        """
        from batuta import _init

        _init.warn_of_unused(
            reuse_last_task_id=isinstance(reuse_last_task_id, str),
            continue_last_task=continue_last_task is not False,
            output_uri=output_uri is not None,
            auto_connect_frameworks=auto_connect_frameworks is not True,
            auto_resource_monitoring=auto_resource_monitoring is not True,
            deferred_init=deferred_init,
        )
        run = _init.init(project_name, task_name, str(task_type), tags, auto_connect_arg_parser, auto_connect_streams)
        return _of_run(run)

    @classmethod
    def current_task(cls) -> Task | None:
        """The task of this process; in a process started by the script, the script's. None before `Task.init`."""
        if _runtime.process.run is None:
            from batuta import _init

            _init.attach()
        return None if _runtime.process.run is None else _of_run(_runtime.process.run)

    @classmethod
    def get_task(
        cls,
        task_id: str | None = None,
        project_name: str | None = None,
        task_name: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> Task | None:
        """The task of that id, or the newest that matches; None when none does. Raises `TaskNotFound` for an id."""
        server = _server()
        if task_id is not None:
            return Task(task_id, known=server.get(task_id))
        found = server.newest(project_name, task_name, tags or ())
        return None if found is None else Task(found.id, known=found)

    @classmethod
    def clone(
        cls,
        source_task: Task | str | None = None,
        name: str | None = None,
        comment: str | None = None,
        parent: Task | str | None = None,
        project: str | None = None,
    ) -> Task:
        """A draft with the same code and parameters. `source_task` None: this process's own; `project` is a name."""
        source = source_task if source_task is not None else cls.current_task()
        if source is None:
            raise ValueError("Task.clone(source_task=…): which task? There is none in this process")
        made = _server().clone(
            _id_of(source), name or "", comment or "", _id_of(parent) if parent else "", project or ""
        )
        return Task(made.id, known=made)

    @classmethod
    def enqueue(cls, task: Task | str, queue_name: str | None = None, queue_id: str | None = None) -> Task:
        """Put a task into a queue. Raises `QueueNotFound`, which lists the queues, and `IllegalTransition`."""
        if bool(queue_name) == bool(queue_id):
            raise ValueError("Task.enqueue: give queue_name or queue_id, one of the two")
        queued = _server().enqueue(_id_of(task), queue_name or "", queue_id or "")
        if isinstance(task, Task):
            task._known = queued
        return Task(queued.id, known=queued)

    @staticmethod
    def running_locally() -> bool:
        """False when an agent runs this process."""
        from batuta import _init

        return not _init.is_remote()

    # What it is

    @property
    def id(self) -> str:
        """The task's id."""
        return self._id

    @property
    def name(self) -> str:
        """The name its user gave."""
        return self._task().display_name

    @property
    def status(self) -> str:
        """The state now, in ClearML's words: created, queued, in_progress, stopped, completed, failed, published."""
        return self.get_status()

    def get_status(self) -> str:
        """The state now, asked anew."""
        self.reload()
        return status_word(self._task().status.state)

    def reload(self) -> None:
        """Read the task from the server again."""
        self._known = self._server().get(self._id)

    def get_project_name(self) -> str:
        """Full name of its project."""
        return self._task().spec.project_name

    def get_status_message(self) -> str:
        """Why it is in its state, in a sentence; empty when there is nothing to say."""
        return self._task().status.message

    def get_tags(self) -> list[str]:
        """Its labels."""
        return list(self._task().tags)

    # Parameters

    def connect(self, mutable: C, name: str | None = None) -> C:
        """Tie a dict, an argument parser or its result to the task's parameters. Use what is returned.

        Locally its values are stored with the task, and a dict's later writes too. Under an agent the task's values
        replace them, cast to the type each has here. `name` is the section; General for a dict, Args for the others.

        Raises TypeError for other things, ValueError for a stored value that does not fit its type.
        """
        from batuta import _init

        return cast("C", _init.connect(self._own_run("connect"), mutable, name))

    def get_parameters(self, cast: bool = False) -> dict[str, Any]:
        """All parameters, `Section/name` to text; with `cast`, to the type they had."""
        from batuta._values import decode

        found = self._parameters()
        return {f"{key[0]}/{key[1]}": decode(each) if cast else each.text for key, each in found.items()}

    def get_parameter(self, name: str, default: Any = None, cast: bool = False) -> Any:
        """One parameter by `Section/name` (a bare name stands in General)."""
        from batuta._parameters import split
        from batuta._values import decode

        found = self._parameters().get(split(name))
        return default if found is None else decode(found) if cast else found.text

    def set_parameters(self, *args: Mapping[str, Any], **kwargs: Any) -> None:
        """Exactly these parameters from now on; keys are `Section/name`. Of a draft, or of this process's own task."""
        from batuta._parameters import split
        from batuta._values import encode

        given: dict[str, Any] = {}
        for each in (*args, kwargs):
            given.update(each)
        self._store({split(name): encode(value) for name, value in given.items()})

    def set_parameter(self, name: str, value: Any, description: str | None = None) -> None:
        """Set one parameter and leave the others."""
        from batuta._parameters import split
        from batuta._values import encode

        self._store({**self._parameters(), split(name): encode(value, description or "")})

    # Reporting

    def get_logger(self) -> Logger:
        """Where to report. Only of this process's own task: raises RuntimeError for another."""
        return self._own_run("get_logger").logger

    @property
    def logger(self) -> Logger:
        """The same as `get_logger()`."""
        return self.get_logger()

    def flush(self, wait_for_uploads: bool = False) -> bool:
        """Hurry what was reported on its way; with `wait_for_uploads` wait for it, at most 30 seconds."""
        run = self._own_run("flush")
        run.parameters.push_calmly()
        return run.logger.flush(wait_for_uploads)

    def get_initial_iteration(self) -> int:
        """What is added to every iteration reported: where an earlier attempt of the task had ended."""
        return self._own_run("get_initial_iteration").offset

    def set_initial_iteration(self, offset: int = 0) -> int:
        """Set it. Returns it."""
        self._own_run("set_initial_iteration").set_offset(int(offset))
        return int(offset)

    def get_last_iteration(self) -> int:
        """The greatest iteration reported so far; 0 before the first."""
        if self._run is not None:
            own = self._run.producer.scalars.greatest_iteration()
            if own is not None or self._run.server is None:
                return own or 0
        self.reload()
        return self._task().status.last_iteration

    def get_reported_scalars(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Every point the server has: `{title: {series: {"name", "x": iterations, "y": values}}}`."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for column in self._server().scalars(self._id):
            series = found.setdefault(column.metric, {})
            line = series.setdefault(column.variant, {"name": column.variant, "x": [], "y": []})
            line["x"] += column.iterations
            line["y"] += column.values
        return found

    # Artifacts

    def upload_artifact(
        self,
        name: str,
        artifact_object: Any,
        metadata: Mapping[str, Any] | None = None,
        delete_after_upload: bool = False,
        auto_pickle: bool | None = None,
        preview: str | None = None,
        wait_on_upload: bool = True,
        serialization_function: Callable[[Any], bytes] | None = None,
        sort_keys: bool = True,
        ttl: timedelta | None = None,
    ) -> bool:
        """Keep a file, folder, text, bytes, dict, list, number, numpy array, DataFrame or image with the task.

        It is there once this returns, whatever `wait_on_upload` says; one of the same name in this attempt is
        replaced. `metadata` is kept as texts. Anything else is pickled with `auto_pickle`. False: this run is offline.
        Raises `RpcError` when the server refuses or stays away, `TypeError` and `ValueError` for what has no form.
        """
        from batuta import _runtime
        from batuta._artifacts.giving import Given, give

        if self._run is not None and self._run.server is None:
            _runtime.process.warn_once("this run is offline, and offline runs keep no artifacts")
            return False
        given = Given(
            name, artifact_object, metadata or {}, preview, bool(auto_pickle), serialization_function, sort_keys, ttl,
            delete_after_upload,
        )  # fmt: skip
        give(self._artifact_calls(), self._id, 0 if self._run is None else self._run.attempt, given)
        return True

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """The task's artifacts by name, asked anew; of several attempts' that of the newest."""
        from batuta._artifacts.handle import Artifact

        calls = self._artifact_calls()
        return {each.name: Artifact(calls, each) for each in calls.all(self._id)}

    def delete_artifacts(self, artifact_names: Sequence[str]) -> bool:
        """Delete artifacts by name, in all attempts, for good. False: some were not there."""
        calls, wanted = self._artifact_calls(), set(artifact_names)
        found = [each for each in calls.all(self._id) if each.name in wanted]
        for each in found:
            calls.delete(each.id)
        return wanted == {each.name for each in found}

    def _artifact_calls(self) -> ArtifactCalls:
        from batuta._artifacts.remote import ArtifactCalls

        return ArtifactCalls(self._server())

    # Going elsewhere, waiting, ending

    def execute_remotely(
        self, queue_name: str | None = None, clone: bool = False, exit_process: bool = True
    ) -> Task | None:
        """Send this task to a queue and end this process; the agent runs the script from its beginning.

        Under an agent it does nothing, so it can stand anywhere in a script. What was reported stays, and the agent's
        iterations go on after it. Without `queue_name` the task is left as a draft. `clone` sends a copy instead, and
        with `exit_process=False` returns it while this run goes on. Of another process's task: only queues it.

        Raises `QueueNotFound`, which lists the queues, and RuntimeError when no agent could run the script; the
        script then goes on where it is.
        """
        from batuta import _init

        return _init.execute_remotely(self, self._run, queue_name, clone=clone, exit_process=exit_process)

    def wait_for_status(
        self,
        status: Sequence[str] = ("completed", "stopped", "closed"),
        raise_on_status: Sequence[str] | None = ("failed",),
        check_interval_sec: float = 60.0,
    ) -> None:
        """Wait until the task has one of these states. Raises RuntimeError when it gets one of `raise_on_status`.

        The server tells; nothing is polled, and `check_interval_sec` only bounds how long a lost server goes unnoticed.
        """
        from batuta._waiting import wait_for_status

        self._known = wait_for_status(self._server(), self._id, status, raise_on_status or (), check_interval_sec)

    def close(self) -> None:
        """End this process's task as completed, and wait (at most 30 seconds) until the server has everything.

        A second time it does nothing.
        """
        from batuta import _init

        if self._closed:
            return
        _init.close(self._own_run("close"))
        self._run, self._closed = None, True

    def __repr__(self) -> str:
        """For people."""
        return f"<Task {self._id}>"

    def _task(self) -> tasks.Task:
        if self._known is None:
            self.reload()
        assert self._known is not None
        return self._known

    def _server(self) -> Server:
        if self._run is None:
            return _server()
        if self._run.server is None:
            raise RuntimeError("this run is offline: it has no server to ask")
        return self._run.server

    def _own_run(self, method: str) -> Run:
        if self._run is None:
            raise RuntimeError(f"task.{method}() is only for the task that this process runs: use Task.init()")
        return self._run

    def _parameters(self) -> dict[Any, Any]:
        if self._run is not None:
            return self._run.parameters.snapshot()
        from batuta._begin import parameters_of

        self.reload()
        return dict(parameters_of(self._task()))

    def _store(self, values: dict[Any, Any]) -> None:
        if self._run is not None:
            self._run.parameters.replace_all(values)
            self._run.parameters.push()
        else:
            self._known = self._server().set_parameters(self._id, 0, values)


def status_word(state: int) -> str:
    """A TaskState in ClearML's words."""
    return _STATUS.get(state, "unknown")


def _of_run(run: Run) -> Task:
    return Task(run.task_id, run=run)


def _id_of(task: Task | str) -> str:
    return task.id if isinstance(task, Task) else task


def _server() -> Server:
    from batuta import _init

    return _init.server()
