"""Where the agent keeps what: its state folder, one folder per attempt, and the caches shared by a user's agents."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from batuta_agent.model import Ref
from batuta_rpc.config import ConfigError


class StateInUse(Exception):
    """Another agent process has this state folder."""


def make_private(path: Path) -> Path:
    """The folder, with mode 0700, made if it is missing."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


@contextmanager
def usable(path: Path, option: str) -> Generator[None]:
    """Turns the `OSError` of a folder that cannot be made or written into a `ConfigError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"cannot use the folder {path} ({error.strerror}): choose another one with {option}"
        ) from error


class StateFolder:
    """One agent's own folder, locked as long as its process lives."""

    def __init__(self, path: Path) -> None:
        """Make and lock it. Raises `StateInUse`, which says who has it, and `ConfigError`."""
        with usable(path, "--data"):
            self.path = make_private(path)
            self._lock: IO[str] = open(path / "lock", "a+", encoding="utf-8")  # noqa: SIM115 - open as long as we live
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "another process"
            self._lock.close()
            raise StateInUse(
                f"{path} is in use by an agent with pid {holder}: stop it, or choose another --name"
            ) from error
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()

    @property
    def known(self) -> bool:
        """Whether an agent has joined a server from here before."""
        return self.journal.exists()

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.path / "journal.db"

    @property
    def credentials(self) -> Path:
        """The credential that a join token was spent for."""
        return self.path / "credentials"

    @property
    def authorities(self) -> Path:
        """Whom runs and couriers believe at the server's address; missing where everybody believes it."""
        return self.path / "ca.pem"

    def certificate(self, access_key: str) -> tuple[Path, Path]:
        """The certificate that goes with a credential, and its key."""
        return self.path / f"{folder_name(access_key)}.pem", self.path / f"{folder_name(access_key)}.key"

    def attempt(self, ref: Ref) -> AttemptFolder:
        """The folder of one attempt; not made yet."""
        return AttemptFolder(self.path / "attempts" / str(ref))

    def attempts(self) -> list[AttemptFolder]:
        """The folders of all attempts that are there."""
        root = self.path / "attempts"
        return [AttemptFolder(each) for each in sorted(root.iterdir())] if root.is_dir() else []

    def close(self) -> None:
        """Give the lock back."""
        self._lock.close()


class AttemptFolder:
    """One attempt's files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def spool(self) -> Path:
        """What the run reports; see `batuta_courier.layout`."""
        return self.path / "spool"

    @property
    def work(self) -> Path:
        """The code."""
        return self.path / "work"

    def make(self) -> None:
        """Make it, mode 0700."""
        make_private(self.path.parent)
        make_private(self.path)

    def remove(self) -> None:
        """Delete it and all that is in it. What cannot be deleted stays."""
        shutil.rmtree(self.path, ignore_errors=True)


class Caches:
    """What all agents of one user share: environments, repositories, wheels."""

    def __init__(self, root: Path) -> None:
        """Make them. Raises `ConfigError`."""
        with usable(root, "--cache"):
            self.environments = make_private(root / "venvs")
            self.repositories = make_private(root / "git")
            self.wheels = make_private(root / "wheels")


def free_slot(agents: Path, host: str) -> tuple[str, StateFolder]:
    """The first `<host>:<slot>` whose folder under `agents` no other agent has, locked."""
    for slot in range(10_000):
        name = f"{host}:{slot}"
        try:
            return name, StateFolder(agents / folder_name(name))
        except StateInUse:
            continue
    raise StateInUse(f"10000 agents run from {agents} already")


def folder_name(agent: str) -> str:
    """An agent's name as a folder's: everything but letters, digits, dots and dashes is written as its code."""
    safe = re.sub(r"[^A-Za-z0-9._-]", lambda match: f"%{ord(match[0]):x}", agent)
    return safe if safe.strip(".") else f"%2e{safe[1:]}"
