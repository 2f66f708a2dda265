"""The spool: a folder on local disk that holds everything one run has reported, until the server has it.

One folder (mode 0700) per (task, attempt):

    run.json        written first, atomically: whose run this is (`RunInfo`; no secrets)
    console.log     raw bytes of stdout and stderr; the log of producer `console`
    <producer>/     one folder per process of the run, named `<pid>-<random>`:
        series          append-only, one JSON array `[number, metric, variant]` per line
        scalars.<n>     segments of fixed-size records (module `scalars`), n = 0, 1, …
        text.log        report_text; the log of producer `<producer>.text`
    wake            FIFO: whoever wrote something may drop one byte (never blocking) to wake the courier
    close.json      written last, atomically, by the run's owner: no more data comes (`Close`)
    exit_status     a local run's exit code as its C library saw it: the last byte; empty or absent when not known
    ack.json        the courier's: how far the server has stored each producer (`Acks`)
    courier.lock    locked (flock) by the living courier; another one ends at once
    courier.log     what the courier has to say about itself

Every writer of a run appends only; only the courier deletes. A file named `*.new` is an unfinished atomic write.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, cast

from batuta_courier.room import Limits

T = TypeVar("T")

CONSOLE = "console"
"""Producer of the run's stdout and stderr."""
TEXT_SUFFIX = ".text"
"""Added to a process's producer name: the log of its report_text."""
LOCAL, AGENT, OFFLINE = "local", "agent", "offline"


@dataclass(frozen=True)
class RunInfo:
    """Whose run a spool is.

    `api` is the server's address. `mode` is `local`, `agent` or `offline`. `script_pid` and `script_start_time` (clock
    ticks since boot, from /proc; 0 where not known) name the process of a local run. `spool_bytes` and `all_bytes` are
    the run's `room.Limits`.
    """

    task_id: str
    attempt: int
    api: str
    mode: str
    script_pid: int = 0
    script_start_time: int = 0
    spool_bytes: int = Limits().spool_bytes
    all_bytes: int = Limits().all_bytes


@dataclass(frozen=True)
class Close:
    """The end of a run's data.

    With `finish` the courier ends the task itself: `state` is COMPLETED, FAILED or ABORTED, `reason` one word,
    `message` a sentence. Without it somebody else says how the run ended. `exiting`: the script's process is about to
    end, and its exit code, read from exit_status, has the last word.
    """

    finish: bool = False
    state: str = ""
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    exiting: bool = False


@dataclass
class Acks:
    """How far the server has stored each producer, and whether the courier has finished.

    `producers` maps a name to `{"log": end offset}` or `{"scalars": last sequence}`. `done`: everything that was there
    when the run closed is stored. `error`: the courier gave up, and why; `refused_millis`: when it first did (Unix
    time), however often it is tried again. `dropped` maps producers whose rest the server never takes to the reason;
    that rest counts as stored.
    """

    producers: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    done: bool = False
    error: str | None = None
    refused_millis: int = 0
    dropped: dict[str, str] = field(default_factory=dict[str, str])

    def log(self, producer: str) -> int:
        """Bytes of this log that the server has stored."""
        return self.producers.get(producer, {}).get("log", 0)

    def scalars(self, producer: str) -> int:
        """Last sequence of this producer's scalars that the server has stored."""
        return self.producers.get(producer, {}).get("scalars", 0)


def spool_root(home: Path | None = None) -> Path:
    """Where local runs keep their spools: `~/.batuta/spool`."""
    return (Path.home() if home is None else home) / ".batuta" / "spool"


def create(spool_dir: Path, run: RunInfo) -> None:
    """Make the folder with its wake FIFO and run.json. An existing one is taken over. Raises OSError."""
    spool_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError, AttributeError):  # no mkfifo on Windows: the courier polls
        os.mkfifo(spool_dir / "wake", 0o600)
    write_json(spool_dir / "run.json", asdict(run))


def read_run(spool_dir: Path) -> RunInfo:
    """Read run.json. Raises FileNotFoundError, or ValueError when it is not one of ours."""
    return _build(RunInfo, spool_dir / "run.json")


def write_close(spool_dir: Path, close: Close) -> None:
    """Declare the end of the run's data, and wake the courier."""
    write_json(spool_dir / "close.json", asdict(close))
    wake(spool_dir)


def read_close(spool_dir: Path) -> Close | None:
    """Read close.json; None before there is one, and for one that a power cut has damaged: the process says more."""
    try:
        return _build(Close, spool_dir / "close.json")
    except (FileNotFoundError, ValueError):
        return None


def write_acks(spool_dir: Path, acks: Acks) -> None:
    """Replace ack.json."""
    write_json(spool_dir / "ack.json", asdict(acks))


def read_acks(spool_dir: Path) -> Acks:
    """Read ack.json; empty acks when there is none, or when it is damaged (the server then says where it stands)."""
    try:
        return _build(Acks, spool_dir / "ack.json")
    except (FileNotFoundError, ValueError):
        return Acks()


def wake(spool_dir: Path) -> None:
    """Wake the courier, if there is one. Never blocks, never fails."""
    with contextlib.suppress(OSError):
        fd = os.open(spool_dir / "wake", os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            os.write(fd, b"w")
        finally:
            os.close(fd)


def producers(spool_dir: Path) -> Iterator[Path]:
    """The folders of the run's processes."""
    try:
        entries = sorted(os.scandir(spool_dir), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)


def logs(spool_dir: Path) -> Iterator[tuple[str, Path]]:
    """The logs of the run that exist: (producer, file)."""
    console = spool_dir / "console.log"
    if console.exists():
        yield CONSOLE, console
    for folder in producers(spool_dir):
        text = folder / "text.log"
        if text.exists():
            yield folder.name + TEXT_SUFFIX, text


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Replace a file as a whole: readers see the old or the new one. Readable by its owner only."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.new")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        data = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)
    os.replace(partial, path)


def _build(kind: type[T], path: Path) -> T:
    document: object = json.loads(path.read_bytes())
    if not isinstance(document, dict):
        raise ValueError(f"{path} is not a JSON object")
    given = cast("dict[str, Any]", document)
    known = {each.name for each in fields(cast("Any", kind))}
    try:
        return kind(**{key: value for key, value in given.items() if key in known})
    except TypeError as error:
        raise ValueError(f"{path} is not one of ours: {error}") from None
