"""The ways in which a run begins: with a server, under an agent, offline, inside another process's run."""

from __future__ import annotations

import contextlib
import os
import platform
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NamedTuple, NoReturn, TypeVar

from batuta import _runtime
from batuta._parameters import Key, Parameters
from batuta._run import Run
from batuta._server import NAME, Server
from batuta._values import Parameter
from batuta_courier import layout
from batuta_courier.process import start_time
from batuta_rpc.version import VERSION

if TYPE_CHECKING:
    from batuta._capture.script import Code
    from batuta_courier.room import Limits
    from batuta_proto.tasks import v1 as tasks
    from batuta_rpc.config import Connection

T = TypeVar("T")
TASK, ATTEMPT, API, TOKEN, SPOOL = (
    "BATUTA_TASK_ID",
    "BATUTA_ATTEMPT",
    "BATUTA_API",
    "BATUTA_ATTEMPT_TOKEN",
    "BATUTA_SPOOL_DIR",
)
OFFSET = "BATUTA_ITERATION_OFFSET"
PARENT = "BATUTA_PARENT_SPOOL"
_REMOTE_PATIENCE = 300.0


class Wanted(NamedTuple):
    """What the script asked for; None where it left that to us."""

    project: str | None
    name: str | None
    task_type: str
    tags: tuple[str, ...]
    streams: bool


def server_from_environment() -> Server | None:
    """The server that is configured; None when none is. Raises `ConfigError` for half a configuration."""
    from batuta_rpc.auth import CredentialTokens, StaticToken
    from batuta_rpc.config import load_connection
    from batuta_rpc.trust import of_environment

    process = _runtime.process
    if is_remote():
        return Server(_required(API), StaticToken(_required(TOKEN)), process.ids, of_environment(os.environ))
    connection: Connection | None = load_connection(os.environ)
    if connection is None:
        return None
    keys, trust = (connection.access_key, connection.secret_key), connection.trust
    tokens = CredentialTokens(connection.api, *keys, process.clock, NAME, trust)
    return Server(connection.api, tokens, process.ids, trust)


def is_remote() -> bool:
    """Whether an agent runs this process."""
    return bool(os.environ.get(TASK))


def begin(wanted: Wanted) -> Run:
    """Begin the run of this process."""
    if is_remote():
        return remote_run()
    parent = attach_to_parent()
    if parent is not None:
        return parent
    if os.environ.get(_runtime.OFFLINE_VARIABLE, "0") not in ("", "0", "false", "False"):
        return _offline(wanted, "offline, as BATUTA_OFFLINE_MODE asks")
    server = server_from_environment()
    if server is None:
        return _offline(wanted, "no server is configured: run `batuta init` to use one, `batuta up` to start one")
    return _local(wanted, server)


def _local(wanted: Wanted, server: Server) -> Run:
    limits = _limits()
    capturing = _Later(_capture)  # git works while this thread imports grpc, which takes a tenth of a second
    try:
        server.prepare()
        code = capturing.get()
        task = server.create(
            wanted.project or code.project, wanted.name or code.name, wanted.task_type, wanted.tags, code, _python()
        )
        task = server.start(task.id, platform.node())
    except Exception as error:
        _explain(error, server.api)
    try:
        run = _spooled(task.id, task.status.attempt, server, limits)
    except OSError as error:
        server.fail(task.id, task.status.attempt, f"no spool: {error}")
        raise _no_spool(error) from None
    run.problem = code.problem
    if wanted.streams:
        run.watch_console()
    print(f"Batuta: task {task.id} runs on {server.api}; follow it with `batuta task logs -f {task.id}`", flush=True)
    for warning in (*code.warnings, *((code.problem,) if code.problem else ())):
        _runtime.process.warn_once(f"not for an agent as it is: {warning}")
    run.watch_exit()
    server.rest()
    return run


def _limits() -> Limits:
    """What this machine allows its spools, after making room for one more. Raises ConfigError."""
    from batuta_courier import leftovers, room

    found = room.limits(os.environ, room.Limits())
    root = layout.spool_root()
    held = 0
    with contextlib.suppress(OSError):  # making the spool will say what is the matter
        held = leftovers.make_room(root, found.all_bytes)
    if held >= room.for_logs(found.all_bytes):
        _runtime.say(
            f"{root} holds {held} of {found.all_bytes} bytes allowed, so output of this run will be missing: "
            f"`batuta sync` sends what can be sent, {room.ALL_VARIABLE} allows more"
        )
    return found


def _info(task_id: str, attempt: int, api: str, mode: str, limits: Limits) -> layout.RunInfo:
    pid = os.getpid()
    return layout.RunInfo(task_id, attempt, api, mode, pid, start_time(pid), limits.spool_bytes, limits.all_bytes)


def _spooled(task_id: str, attempt: int, server: Server, limits: Limits) -> Run:
    """A local run with its spool and its courier. Raises OSError."""
    spool_dir = layout.spool_root() / f"{task_id}.{attempt}"
    layout.create(spool_dir, _info(task_id, attempt, server.api, layout.LOCAL, limits))
    run = Run(task_id, attempt, layout.LOCAL, spool_dir, server)
    run.start_courier()
    os.environ[PARENT] = str(spool_dir)
    return run


def _no_spool(error: OSError) -> RuntimeError:
    """What a run without a place for its reports ends with; pathlib's own chain of errors says no more."""
    return RuntimeError(
        f"Batuta cannot write its spool under {layout.spool_root()} ({error.strerror or error}): give this user that "
        "folder, or set HOME to one that can be written"
    )


def _offline(wanted: Wanted, why: str) -> Run:
    limits = _limits()
    process = _runtime.process
    own_id = process.ids.new_id()
    spool_dir = layout.spool_root() / f"offline-{own_id}"
    try:
        layout.create(spool_dir, _info(f"offline-{own_id}", 1, "", layout.OFFLINE, limits))
    except OSError as error:
        raise _no_spool(error) from None
    code = _capture()
    layout.write_json(
        spool_dir / "task.json",
        {
            "project_name": wanted.project or code.project,
            "display_name": wanted.name or code.name,
            "type": wanted.task_type,
            "tags": list(wanted.tags),
            "python_version": _python(),
            "code": code._asdict(),
        },
    )
    run = Run(f"offline-{own_id}", 1, layout.OFFLINE, spool_dir, None)
    os.environ[PARENT] = str(spool_dir)
    _runtime.say(f"{why}; everything reported stays in {spool_dir}")
    if wanted.streams:
        run.watch_console()
    run.watch_exit()
    return run


def remote_run() -> Run:
    """The run that an agent started this process for. Once per process; its parameters are the server's."""
    process = _runtime.process
    with _runtime.lock:
        if process.run is not None:
            return process.run
        server = server_from_environment()
        if server is None:
            raise RuntimeError(f"{TASK} is set, but {API} is not: an agent sets both")
        task = _patiently(lambda: server.get(_required(TASK)))
        run = Run(task.id, int(_required(ATTEMPT)), layout.AGENT, Path(_required(SPOOL)), server)
        run.parameters.load(parameters_of(task))
        # Processes that this one starts must not take its own points for those of an earlier attempt.
        if OFFSET not in os.environ:
            earlier = task.status.HasField("last_iteration")
            os.environ[OFFSET] = str(task.status.last_iteration + 1 if earlier else 0)
        run.set_offset(int(os.environ[OFFSET]))
        process.run = run
        server.rest()
        return run


def remote_parameters() -> Parameters | None:
    """The task's parameters when an agent runs this process, for command lines that are parsed before Task.init."""
    return remote_run().parameters if is_remote() else None


def attach_to_parent() -> Run | None:
    """The run of the process that started this one (spawned workers of a data loader), while that one lives."""
    given = os.environ.get(PARENT)
    if not given:
        return None
    spool_dir = Path(given)
    try:
        info = layout.read_run(spool_dir)
    except (OSError, ValueError):
        return None
    from batuta_courier.process import alive

    if info.script_pid == os.getpid() or not alive(info.script_pid, info.script_start_time):
        return None
    server = None if info.mode == layout.OFFLINE else server_from_environment()
    return Run(info.task_id, info.attempt, info.mode, spool_dir, server, child=True)


def parameters_of(task: tasks.Task) -> Mapping[Key, Parameter]:
    """A task's parameters as this package keeps them."""
    return {
        (each.section, each.name): Parameter(each.value, each.type, each.description) for each in task.spec.parameters
    }


def _capture() -> Code:
    from batuta._capture.script import capture

    return capture(VERSION)


def _python() -> str:
    from batuta._capture.script import python_version

    return python_version()


class _Later(Generic[T]):
    """A value that is computed in a thread meanwhile."""

    def __init__(self, compute: Callable[[], T]) -> None:
        self._compute = compute
        self._found: list[T] = []
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def get(self) -> T:
        """The value. Raises what computing it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found[0]

    def _run(self) -> None:
        try:
            self._found.append(self._compute())
        except Exception as error:
            self._error = error


def _patiently(call: Callable[[], T]) -> T:
    """Make a call until it succeeds: an agent's run outlives a server that is away. Raises what does not pass."""
    from batuta_courier.troubles import passes
    from batuta_rpc.backoff import Backoff
    from batuta_rpc.errors import RpcError

    process = _runtime.process
    backoff = Backoff(process.ids)
    until = process.clock.monotonic() + _REMOTE_PATIENCE
    while True:
        try:
            return call()
        except RpcError as error:
            if not passes(error) or process.clock.monotonic() >= until:
                raise
            process.warn_once(f"waiting for the server: {error}")
            wait = backoff.next(error.retry_delay)
        process.clock.sleep_blocking(wait)


def _explain(error: Exception, api: str) -> NoReturn:
    """Raise the same error, saying what to do about it."""
    from batuta_rpc.errors import CredentialInvalid, Unauthenticated, Unavailable

    if isinstance(error, (CredentialInvalid, Unauthenticated)):
        raise type(error)(f"{api} refused the credential ({error}): get a new one and run `batuta init`") from None
    if isinstance(error, Unavailable):
        raise type(error)(f"{error} To run without a server set {_runtime.OFFLINE_VARIABLE}=1.") from None
    raise error


def _required(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise RuntimeError(f"{TASK} is set, but {variable} is not: an agent sets both")
    return value
