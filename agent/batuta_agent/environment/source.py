"""A task's code: a commit of a git repository with a diff on top, or one stored script.

Repositories come from other people. git is run so that nothing in one is executed: no hooks, no submodules, no
helpers of transports, and nothing that is ours is ever taken for an option.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from batuta_agent.environment.failure import InfrastructureFailed, PreparationFailed
from batuta_agent.environment.locks import lock
from batuta_agent.environment.tool import ToolFailed, Tools, last_line
from batuta_proto.tasks import v1 as tasks

_FETCH_LIMIT = 1800.0
_LOCAL_LIMIT = 600.0
_SCP_LIKE = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^\s:][^\s]*")
_TRANSIENT = re.compile(
    r"could not resolve|unable to access|connection (refused|reset|closed|timed out)|timed? ?out|early eof"
    r"|hung up|rpc failed|network (is )?(down|unreachable)|error: 50[0234]|kex_exchange|broken pipe",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"returned error: 4(?!08|29)\d\d")
"""The server is there and does not give it to us: trying again changes nothing."""
_GIT_ENV: Mapping[str, str] = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "GIT_ALLOW_PROTOCOL": "https:http:ssh",
    "GIT_LFS_SKIP_SMUDGE": "0",
    "LC_ALL": "C",
}


class Checkout(NamedTuple):
    """Code that is ready to run."""

    root: Path
    """The repository's root, or the folder of the script."""
    cwd: Path
    """Where it starts."""
    arguments: tuple[str, ...]
    """For the interpreter: the script's path, or `-m` and a module."""


class Sources:
    """Gets code, through bare copies of repositories that are kept."""

    def __init__(self, mirrors: Path, *, allow_local: bool = False) -> None:
        """`allow_local`: paths and file:// are taken as repositories; only for one's own machine."""
        self._mirrors = mirrors
        self._allow_local = allow_local

    async def get(self, source: tasks.Source, work: Path, tools: Tools) -> Checkout:
        """Put the code of `source` into `work`, an empty or missing folder.

        Raises `PreparationFailed` (a commit that is not there, a diff that does not apply, a path that leaves the
        folder) or `InfrastructureFailed` (a repository that does not answer).
        """
        if not _made(work):  # an agent before this one had begun
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
            _made(work)
        if source.repository_url:
            await self._check_out(source, work, tools)
        elif source.script:
            _write_script(source, work)
        else:
            raise PreparationFailed("the task has no code: neither a repository nor a script")
        return _entry(source, work)

    async def _check_out(self, source: tasks.Source, work: Path, tools: Tools) -> None:
        url, commit = source.repository_url, source.commit
        self._check_url(url)
        if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit):
            raise PreparationFailed(f"the task's commit {commit!r} is not a full commit hash")
        mirror = self._mirrors / hashlib.sha256(url.encode()).hexdigest()[:24]
        held = await lock(mirror.with_suffix(".lock"), tools.clock, _FETCH_LIMIT)
        try:
            await self._fetch(mirror, url, commit, tools)
            await self._materialise(mirror, url, commit, work, tools)
        finally:
            held.release()
        if source.diff:
            await self._apply(source.diff, work, tools)

    def _check_url(self, url: str) -> None:
        parts = urlsplit(url)
        if url.startswith("-") or any(ord(each) < 33 for each in url):
            raise PreparationFailed(f"{url!r} is not the address of a repository")
        if parts.scheme in ("https", "http", "ssh") and parts.hostname and not parts.hostname.startswith("-"):
            return
        if "://" not in url and "::" not in url and _SCP_LIKE.fullmatch(url):
            return
        if self._allow_local and "::" not in url and parts.scheme in ("", "file"):
            return
        raise PreparationFailed(f"the repository {url!r} cannot be cloned by an agent: only https, http and ssh are")

    async def _fetch(self, mirror: Path, url: str, commit: str, tools: Tools) -> None:
        if not (mirror / "HEAD").exists():
            await asyncio.to_thread(shutil.rmtree, mirror, ignore_errors=True)
            await self._git(tools, ["init", "--quiet", "--bare", "--", str(mirror)], self._mirrors)
        if await self._has(mirror, commit, tools):
            return
        tools.say(f"fetching {_shown(url)}")
        everything = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
        try:
            await self._git(tools, ["fetch", "--quiet", "--no-auto-gc", "--", url, *everything], mirror, _FETCH_LIMIT)
        except ToolFailed as error:
            raise _unreachable(url, error.output) from error
        if await self._has(mirror, commit, tools):
            return
        try:  # it may be on no branch: a merge request, a branch rewritten since
            await self._git(tools, ["fetch", "--quiet", "--no-auto-gc", "--", url, commit], mirror, _FETCH_LIMIT)
        except ToolFailed as error:
            if _is_transient(url, error.output):
                raise _unreachable(url, error.output) from error
            raise PreparationFailed(
                f"commit {commit} is not in {_shown(url)}: push it, or enqueue the task again from one that is pushed"
            ) from error

    async def _has(self, mirror: Path, commit: str, tools: Tools) -> bool:
        try:
            await self._git(tools, ["cat-file", "-e", f"{commit}^{{commit}}"], mirror, quiet=True)
        except ToolFailed:
            return False
        return True

    async def _materialise(self, mirror: Path, url: str, commit: str, work: Path, tools: Tools) -> None:
        """A working tree that borrows the mirror's objects: quick, and git commands of user code work in it."""
        await self._git(tools, ["init", "--quiet", "--", str(work)], work)
        (work / ".git" / "objects" / "info" / "alternates").write_text(f"{mirror / 'objects'}\n")
        await self._git(tools, ["remote", "add", "--", "origin", url], work)
        try:
            await self._git(tools, ["checkout", "--quiet", "--detach", commit], work)
        except ToolFailed as error:
            raise InfrastructureFailed(f"cannot check out {commit}: {last_line(error.output)}") from error

    async def _apply(self, diff: str, work: Path, tools: Tools) -> None:
        try:
            argv = ["apply", "--binary", "--whitespace=nowarn", "-"]
            await self._git(tools, argv, work, stdin=diff.encode("utf-8", "surrogateescape"), quiet=True)
        except ToolFailed as error:
            raise PreparationFailed(
                f"the task's uncommitted changes do not apply to its commit: {error.output.strip()[:600]}"
            ) from error

    async def _git(
        self,
        tools: Tools,
        argv: Sequence[str],
        cwd: Path,
        limit: float = _LOCAL_LIMIT,
        *,
        stdin: bytes | None = None,
        quiet: bool = False,
    ) -> str:
        program = shutil.which("git", path=tools.env.get("PATH"))
        if program is None:
            raise InfrastructureFailed("git is missing on this agent")
        env = dict(_GIT_ENV)
        if self._allow_local:
            env["GIT_ALLOW_PROTOCOL"] += ":file"
        # A master connection that ssh leaves behind would hold git's output open, and us with it.
        ssh = "ssh -oBatchMode=yes -oControlMaster=no"
        env.setdefault("GIT_SSH_COMMAND", tools.env.get("GIT_SSH_COMMAND", ssh))
        safe = ["-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never", "-c", "core.fsmonitor=false"]
        safe += ["-c", "submodule.recurse=false", "-c", "gc.auto=0", "-c", "safe.directory=*"]
        return await tools.run([program, *safe, *argv], cwd=cwd, limit=limit, env=env, stdin=stdin, quiet=quiet)


def _made(folder: Path) -> bool:
    """Make the folder; False when there is one."""
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        return False
    return True


def _unreachable(url: str, output: str) -> PreparationFailed:
    text = f"the repository {_shown(url)} cannot be fetched: {last_line(output).replace(url, _shown(url))}"
    return InfrastructureFailed(text) if _is_transient(url, output) else PreparationFailed(text)


def _is_transient(url: str, output: str) -> bool:
    """Whether git speaks of a network or a server in trouble. The address itself may hold any word."""
    said = output.replace(url, "")
    return _TRANSIENT.search(said) is not None and _REFUSED.search(said) is None


def _shown(url: str) -> str:
    """An address as it may stand in a log: without a password or token before its host."""
    return re.sub(r"://[^/@]*@", "://", url)


def _write_script(source: tasks.Source, work: Path) -> None:
    path = _inside(work, source.entry_point or "script.py", "entry point")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(source.script.encode("utf-8", "surrogateescape"))


def _entry(source: tasks.Source, work: Path) -> Checkout:
    cwd = _inside(work, source.working_directory, "working directory") if source.repository_url else work
    if not cwd.is_dir():
        raise PreparationFailed(f"the working directory {source.working_directory!r} is not in the repository")
    entry = source.entry_point or "script.py"
    if entry.startswith("-m "):
        module = entry[3:].strip()
        if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", module):
            raise PreparationFailed(f"{module!r} is not the name of a module")
        return Checkout(work, cwd, ("-m", module))
    script = _inside(work, entry, "entry point")
    if not script.is_file():
        raise PreparationFailed(f"the script {entry!r} is not in the repository at that commit")
    return Checkout(work, cwd, (str(script),))


def _inside(root: Path, relative: str, what: str) -> Path:
    """A path below `root`, links followed. Raises `PreparationFailed` when it leaves it."""
    base = os.path.realpath(root)
    path = os.path.realpath(os.path.join(base, relative))
    if "\0" in relative or os.path.isabs(relative) or os.path.commonpath([base, path]) != base:
        raise PreparationFailed(f"the task's {what} {relative!r} leads out of its folder")
    return Path(path)
