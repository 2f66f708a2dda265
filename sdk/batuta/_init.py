"""What stands behind `Task`: one run per process, begun, connected, sent away, closed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batuta import _remote_execution, _runtime
from batuta._argparse_hook import watch
from batuta._begin import Wanted, attach_to_parent, begin, is_remote, remote_run, server_from_environment
from batuta._connected import connect_dict, connect_namespace
from batuta._exits import Ending
from batuta._parameters import ARGUMENTS, DEFAULT_SECTION, Key
from batuta._run import CLOSE_SECONDS, Run
from batuta._values import Parameter
from batuta_courier import layout

if TYPE_CHECKING:
    from batuta._server import Server
    from batuta._task import Task

__all__ = ["attach", "close", "connect", "execute_remotely", "init", "is_remote", "server", "warn_of_unused"]
_servers: list[Server] = []


def warn_of_unused(**given: bool) -> None:
    """Say once which arguments of Task.init were given and do nothing yet."""
    names = ", ".join(name for name, was_given in given.items() if was_given)
    if names:
        _runtime.process.warn_once(f"Task.init takes but does not use yet: {names}")


def _is_text(given: object) -> bool:
    return isinstance(given, str)


def init(
    project: str | None,
    name: str | None,
    task_type: str,
    tags: Sequence[str] | None,
    arguments: bool | Mapping[str, bool],
    streams: bool | Mapping[str, bool],
) -> Run:
    """The run of this process, begun if there is none."""
    from batuta._task_types import TaskTypes

    if task_type not in TaskTypes.__members__:
        raise ValueError(f"Task.init(task_type={task_type!r}): it is one of {', '.join(TaskTypes.__members__)}")
    for argument, given in (("project_name", project), ("task_name", name)):
        if given is not None and not _is_text(given):
            raise TypeError(f"Task.init({argument}={given!r}): it is text")
    if isinstance(tags, str) or not all(_is_text(tag) for tag in tags or ()):
        raise TypeError(f"Task.init(tags={tags!r}): it is a list of texts")
    with _runtime.lock:
        run = _runtime.process.run
        begun = run is None
        if run is None:
            copied = any(streams.values()) if isinstance(streams, Mapping) else bool(streams)
            run = _runtime.process.run = begin(Wanted(project, name, task_type, tuple(tags or ()), copied))
        if begun or is_remote():
            _watch_arguments(run, arguments)
        return run


def attach() -> None:
    """Take up the run that this process belongs to without having called init, if there is one."""
    with _runtime.lock:
        if _runtime.process.run is None:
            _runtime.process.run = remote_run() if is_remote() else attach_to_parent()


def server() -> Server:
    """The server of this process. Raises RuntimeError when none is configured."""
    run = _runtime.process.run
    if run is not None and run.server is not None:
        return run.server
    if not _servers:
        found = server_from_environment()
        if found is None:
            raise RuntimeError("no server is configured: run `batuta init` first")
        _servers.append(found)
    return _servers[0]


def connect(run: Run, mutable: Any, name: str | None) -> Any:
    """See `Task.connect`."""
    remote = run.mode == layout.AGENT
    if isinstance(mutable, ArgumentParser):
        return mutable  # every parser is watched from the import on
    if isinstance(mutable, Namespace):
        connected: Any = connect_namespace(mutable, name or ARGUMENTS, run.parameters, remote=remote)
    elif isinstance(mutable, dict):
        connected = connect_dict(_any(mutable), name or DEFAULT_SECTION, run.parameters, remote=remote)
    else:
        kind = type(mutable).__name__
        raise TypeError(f"task.connect() takes a dict, an ArgumentParser or a Namespace, not {kind}")
    run.parameters.push_calmly()
    _rest(run)
    return connected


def execute_remotely(
    task: Task, run: Run | None, queue_name: str | None, *, clone: bool, exit_process: bool
) -> Task | None:
    """See `Task.execute_remotely`."""
    from batuta._task import Task

    if is_remote():
        return None
    if run is None:
        if queue_name is not None:
            Task.enqueue(task, queue_name=queue_name)
        return None
    if run.server is None:
        raise RuntimeError("this run is offline, so it cannot be sent anywhere: run `batuta init` first")
    if not clone and not exit_process:
        raise ValueError("execute_remotely(clone=False, exit_process=False): the same task cannot run in two places")
    if clone:
        sent = _remote_execution.send_clone(run, run.server, queue_name)
        if not exit_process:
            _rest(run)
            return Task(sent.id, known=sent)
        run.end(Ending("COMPLETED"), exiting=False)
    else:
        sent = _remote_execution.send(run, run.server, queue_name)
    return _remote_execution.leave(sent.id, queue_name)


def close(run: Run) -> None:
    """See `Task.close`."""
    import os

    from batuta._begin import PARENT

    with _runtime.lock:
        if run.owns and run is not _runtime.process.run:
            return  # closed by another of its Task objects
        run.end(Ending("COMPLETED"), exiting=False)
        if run.owns:
            os.environ.pop(PARENT, None)
            _runtime.process.run = None
            watch.on_parsed = None
        else:
            run.parameters.push_calmly()
            run.drain()
        if run.owns and run.keeper is not None:
            trouble = run.keeper.finished(CLOSE_SECONDS)
            if trouble is not None:
                _runtime.say(trouble)
        if run.server is not None:
            run.server.rest()


def _watch_arguments(run: Run, wanted: bool | Mapping[str, bool]) -> None:
    if wanted is False:
        return

    def store(found: dict[Key, Parameter]) -> None:
        kept = found if wanted is True else {key: each for key, each in found.items() if _is_wanted(key[1], wanted)}
        if run.mode == layout.AGENT:
            kept = {key: each for key, each in kept.items() if run.parameters.get(key) is None}
        run.parameters.set(kept)
        run.parameters.push_calmly()
        _rest(run)

    watch.on_parsed = store
    if watch.last is not None:
        store(watch.last)


def _is_wanted(name: str, wanted: bool | Mapping[str, bool]) -> bool:
    return wanted if isinstance(wanted, bool) else wanted.get(name, wanted.get("*", True))


def _rest(run: Run) -> None:
    """Close the channel again: none stays open while the script works."""
    if run.server is not None:
        run.server.rest()


def _any(value: Any) -> Any:
    return value
