"""The data folder of `batuta up`: one owner at a time, and a note of where everything listens."""

from __future__ import annotations

import configparser
import fcntl
import json
import os
from pathlib import Path
from typing import Any, cast

from batuta_chassis.settings import SettingsError
from batuta_chassis.tokens import write_private
from batuta_rpc import trust

CREDENTIALS = "admin.credentials"
"""The name of the file with the first administrator's credential block."""


class DataFolder:
    """An open data folder, locked until `close`. The lock dies with its process, however that ends."""

    def __init__(self, path: Path) -> None:
        """Make the folder (mode 0700) if it is missing, and lock it. Raises `SettingsError` when it is in use
        or cannot be used."""
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
            self._lock = os.open(path / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise SettingsError(
                f"cannot use the folder {path} ({error.strerror}). Choose another one with --data"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(self._lock, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            raise SettingsError(
                f"{path} is in use by another `batuta up` (process {owner}). Stop that one, or choose another folder "
                "with --data"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    @property
    def endpoints_file(self) -> Path:
        """Where everything listens, for scripts: JSON."""
        return self.path / "endpoints.json"

    @property
    def admin_credentials(self) -> Path:
        """The first administrator's credential block."""
        return self.path / CREDENTIALS

    @property
    def agent_credentials(self) -> Path:
        """The credential block of the agent on this machine."""
        return self.path / "agent.credentials"

    def last_port(self, service: str) -> int:
        """The port that a service had in the last run, 0 if none is known: clients should find it again."""
        try:
            noted = cast("dict[str, Any]", json.loads(self.endpoints_file.read_text()))
            return int(str(noted[service]).rsplit(":", 1)[1])
        except (OSError, ValueError, KeyError, IndexError):
            return 0

    def note_endpoints(self, endpoints: dict[str, str]) -> None:
        """Write `endpoints.json`."""
        noted = {**endpoints, "credentials": str(self.admin_credentials), "pid": os.getpid()}
        write_private(self.endpoints_file, (json.dumps(noted, indent=2) + "\n").encode())

    def correct_credentials(self, api: str, authorities: bytes) -> None:
        """Put the API's address, and whom to believe there, into the credential blocks: they may be others than when
        they were written."""
        told = {"api": api, "ca": trust.fold(authorities)}
        for path in (self.admin_credentials, self.agent_credentials):
            block = configparser.ConfigParser(interpolation=None)
            if not block.read(path) or not block.has_section("batuta"):
                continue
            before = dict(block["batuta"])
            after = {key: value for key, value in {**before, **told}.items() if value or key != "ca"}
            if after != before:
                lines = [f"{key} = {value}\n" for key, value in after.items()]
                write_private(path, ("[batuta]\n" + "".join(lines)).encode())

    def close(self) -> None:
        """Give the folder up."""
        os.close(self._lock)
