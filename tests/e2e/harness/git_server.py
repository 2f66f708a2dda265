"""A git repository with a remote that is served over loopback http, as a team's host would serve it."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import threading
from pathlib import Path
from typing import Any


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class says so
        """Say nothing."""


class Repository:
    """A working copy whose `origin` is `http://127.0.0.1:<port>/repo.git`."""

    def __init__(self, folder: Path) -> None:
        self._bare = folder / "served" / "repo.git"
        self.work = folder / "work"
        self._bare.mkdir(parents=True)
        self.work.mkdir(parents=True)
        handler = functools.partial(_Quiet, directory=str(self._bare.parent))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/repo.git"
        self.git("init", "-q", "--bare", "-b", "main", str(self._bare))
        self.git("init", "-q", "-b", "main", ".")
        self.git("remote", "add", "origin", self.url)

    def git(self, *words: str) -> str:
        """Run git in the working copy."""
        env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        who = ["-c", "user.name=ann", "-c", "user.email=ann@example.com"]
        done = subprocess.run(["git", *who, *words], cwd=self.work, env=env, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def push(self) -> str:
        """Commit everything and bring it to the server; the commit's hash. Plain http takes no pushes, a path does."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "work")
        self.git("push", "-q", str(self._bare), "main")
        self.git("--git-dir", str(self._bare), "update-server-info")
        self.git("fetch", "-q", "origin")
        return self.git("rev-parse", "HEAD")

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
