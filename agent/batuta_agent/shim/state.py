"""What agent and shim tell each other: the order (over a socket) and the records (files, replaced atomically)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from batuta_courier.room import AGENT_LIMITS

STATE = "state.json"
CANCEL = "cancel.json"
LEASE = "lease.json"

CLAIMED = "claimed"
RUNNING = "running"
ENDED = "ended"

CANCELLED = "cancelled"
TIME_LIMIT = "time_limit"
LEASE_LOST = "lease_lost"
TERMINATED = "terminated"


class Order(NamedTuple):
    """What a shim is to run."""

    directory: str
    """The attempt's folder: state, cancel and lease files."""
    spool: str
    """Folder with `console.log` and the FIFO `wake`."""
    argv: Sequence[str]
    """The program, by absolute path, and its arguments."""
    cwd: str
    env: Mapping[str, str]
    """The whole environment."""
    hold: Sequence[str] = ()
    """Files on which a shared lock is held as long as the shim lives: caches that must not be cleaned meanwhile."""
    time_limit: float = 0.0
    """Seconds after which the process is cancelled; 0 is no limit."""
    stop_at: float = 0.0
    """Second of CLOCK_BOOTTIME at which the lease is over, unless `lease.json` says later; 0 is never."""
    kill_grace: float = 30.0
    """Seconds from SIGINT to SIGKILL when a time limit or a lease ends the process."""
    spool_bytes: int = AGENT_LIMITS.spool_bytes
    all_bytes: int = AGENT_LIMITS.all_bytes
    """Limits of this spool and of all attempts' spools, in bytes: what is printed beyond is counted and dropped."""


class State(NamedTuple):
    """How far a shim is. `start` numbers are clock ticks since boot: with the pid they name one process for ever."""

    shim_pid: int
    shim_start: int
    boot_id: str
    phase: str = CLAIMED
    child_pid: int = 0
    child_start: int = 0
    start_unix_millis: int = 0
    end_unix_millis: int = 0
    exit_code: int | None = None
    signal: int | None = None
    cause: str = ""
    """Why the process was stopped, if it was: one of the words above."""
    message: str = ""
    """What went wrong around the process: it could not be started, or something of it would not die."""
    oom: str = ""
    """Where the kernel killed for want of memory while it ran: `group`, `machine`, or nowhere."""
    memory_limit: int = 0
    memory_peak: int = 0
    """Bytes; 0 is not known."""
    group: str = ""
    """Folder of the control group that everything of it is in; empty: there is none."""
    unkillable: Sequence[Sequence[int]] = ()
    """Processes that SIGKILL did not end: pid and start."""
    dropped_bytes: int = 0
    """Output that found no place."""


def encode(value: Order | State) -> bytes:
    """One line of JSON."""
    return json.dumps(value._asdict()).encode() + b"\n"


def decode_order(line: bytes) -> Order:
    """The order in one line of JSON. Raises `ValueError` when it is not one."""
    try:
        return Order(**json.loads(line))
    except TypeError as error:
        raise ValueError(f"not an order: {error}") from error


def read_state(directory: str) -> State | None:
    """The record in an attempt's folder; None when no shim has claimed it."""
    found = read_record(os.path.join(directory, STATE))
    if found is None:
        return None
    return State(**{name: found[name] for name in State._fields if name in found})


def claim(directory: str, state: State) -> bool:
    """Make the record; False when there is one already."""
    temporary = _write(os.path.join(directory, STATE), encode(state), sync=False)
    try:
        os.link(temporary, os.path.join(directory, STATE))
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)
    return True


def replace(path: str, data: bytes, *, sync: bool) -> None:
    """Put `data` at `path`, all of it or nothing. With `sync` it is there after a power cut too.

    A process that is killed loses nothing either way. Only an end needs `sync`: after a power cut the boot id is
    another one, and then everything that had not ended counts as lost, whether or not claim, order or start can be
    read: nothing of it runs any more, and the broker ends the attempt by the new boot id alone (docs/adr/0021).
    """
    temporary = _write(path, data, sync=sync)
    os.replace(temporary, path)
    if sync:
        sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Make the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_record(path: str) -> dict[str, Any] | None:
    """The JSON object at `path`; None when there is none."""
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read())
    except (FileNotFoundError, ValueError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def _write(path: str, data: bytes, *, sync: bool) -> str:
    temporary = f"{path}.{os.getpid()}"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, data)
        if sync:
            os.fsync(handle)
    finally:
        os.close(handle)
    return temporary
