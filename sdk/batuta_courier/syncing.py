"""What a machine still holds: spools that no living courier has, and shipping them by hand."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from batuta_courier import layout, process, tails
from batuta_courier.connect import NoWay, open_channel
from batuta_courier.courier import Courier, Stubs
from batuta_courier.finish import STOPPED
from batuta_courier.lock import Locked, hold
from batuta_courier.room import size_bytes
from batuta_proto.logs import v1 as logs
from batuta_proto.metrics import v1 as metrics
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids

BUSY, OFFLINE, REFUSED, WAITING, WHOLE = "busy", "offline", "refused", "waiting", "whole"


@dataclass(frozen=True)
class Held:
    """One spool. `log_bytes` and `points` are what the server has not acknowledged yet."""

    path: Path
    run: layout.RunInfo
    state: str
    """`busy`: its script or its courier lives. `offline`: made without a server. `refused`: the server will not have
    it. `whole`: nothing is left to send. `waiting`: all others."""
    why: str
    size_bytes: int
    log_bytes: int
    points: int


def held(root: Path) -> list[Held]:
    """The spools in a folder, by name. What is no spool is passed over."""
    found: list[Held] = []
    for folder in layout.producers(root):
        with contextlib.suppress(OSError, ValueError):
            found.append(_look(folder))
    return found


def agent_spools(data: Path) -> Iterator[Path]:
    """The folders to give to `held` for an agent's state folder: one for each attempt that it keeps."""
    attempts = data / "attempts"
    if attempts.is_dir():
        yield from sorted(each for each in attempts.iterdir() if each.is_dir())


def _look(folder: Path) -> Held:
    run = layout.read_run(folder)
    acks = layout.read_acks(folder)
    log_bytes = points = 0
    for tail in tails.tails(folder):
        if tail.kind == tails.LOG:
            log_bytes += max(0, tail.end - acks.log(tail.producer))
        else:
            points += max(0, tail.end - acks.scalars(tail.producer))
    state, why = _state(folder, run, acks, log_bytes + points)
    return Held(folder, run, state, why, size_bytes(folder), log_bytes, points)


def _state(folder: Path, run: layout.RunInfo, acks: layout.Acks, unsent: int) -> tuple[str, str]:
    if run.mode == layout.OFFLINE:
        return OFFLINE, "it cannot be sent: made without a server, no task belongs to it. Read it there or delete it"
    if run.mode == layout.LOCAL and process.alive(run.script_pid, run.script_start_time):
        return BUSY, "its script runs"
    try:
        with hold(folder / "courier.lock"):
            pass
    except Locked:
        return BUSY, "its courier is at work"
    if acks.error is not None:
        return REFUSED, acks.error
    if not unsent and (acks.done or run.mode == layout.AGENT):
        return WHOLE, "the server has all of it"
    return WAITING, "it has not been sent yet"


def ship(spool: Held, env: Mapping[str, str], clock: Clock, ids: Ids, seconds: float) -> str | None:
    """Send one spool, for so many seconds at most. Returns None when the server has all of it, else why not."""
    try:
        with hold(spool.path / "courier.lock"):
            channel = open_channel(spool.run, env, clock)
            try:
                stubs = Stubs(
                    tasks.TaskServiceStub(channel), metrics.MetricServiceStub(channel), logs.LogServiceStub(channel)
                )
                open_end = spool.run.mode == layout.AGENT and layout.read_close(spool.path) is None
                courier = Courier(spool.path, spool.run, stubs, clock, ids, open_end=open_end)
                return _run(courier, spool.run.api, seconds)
            finally:
                channel.close()
    except Locked:
        return "a courier has just taken it up"
    except (NoWay, OSError) as trouble:
        return str(trouble)


def _run(courier: Courier, api: str, seconds: float) -> str | None:
    timer = threading.Timer(seconds, courier.stop)
    timer.daemon = True
    timer.start()
    try:
        trouble = courier.run()
    finally:
        timer.cancel()
    if trouble != STOPPED:
        return trouble
    silence = courier.silence()
    if silence is None:
        return f"not all of it was sent within {seconds:g} s; go on with `batuta sync --timeout` and a longer time"
    why = f" ({silence})" if silence else ""
    return f"{api} does not answer{why}; nothing is lost: run `batuta sync` again when it does"


def delete(spool: Held) -> bool:
    """Remove a spool for good, if no courier has taken it up and the server still refuses it. Raises OSError."""
    try:
        with hold(spool.path / "courier.lock"):
            if layout.read_acks(spool.path).error is None:
                return False
            shutil.rmtree(spool.path)
            return True
    except Locked:
        return False
    except FileNotFoundError:
        return True


def home(env: Mapping[str, str]) -> Path:
    """Where this user's local runs keep their spools."""
    return layout.spool_root(Path(env["HOME"]) if env.get("HOME") else Path(os.path.expanduser("~")))
