"""The repository a script lives in: what an agent must clone, and what it must apply on top.

The base is the newest commit that a remote has, so that an agent can fetch it whatever was not pushed yet; the diff
against it holds unpushed commits, staged and unstaged changes, and those untracked files that the script imports.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

DIFF_BYTES = 8 * 1024 * 1024
"""The largest diff that a task may carry."""
_SECONDS = 20.0
_REFS = 200
_SCP_LIKE = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^\s:][^\s]*")
_DIFF = (
    "diff",
    "--binary",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--submodule=short",
)


class Repository(NamedTuple):
    """A repository as a task stores it. `problem` says why an agent could not rebuild it; empty when it can."""

    root: Path
    url: str
    branch: str
    commit: str
    diff: str
    problem: str = ""


class _GitFailed(Exception):
    pass


def find_root(folder: Path) -> Path | None:
    """The root of the working tree that `folder` is in; None without one, or without git."""
    try:
        return Path(_git(folder, "rev-parse", "--show-toplevel").strip())
    except _GitFailed:
        return None


def capture(root: Path, needed: Iterable[Path]) -> Repository | None:
    """The repository at `root`, if some agent could clone it; None if it has no remote that can be reached.

    `needed` are the files that the script is made of.
    """
    try:
        branch = _git(root, "rev-parse", "--abbrev-ref", "HEAD").strip()
        remote = _remote(root, branch)
        if remote is None:
            return None
        name, url = remote
        commit = _base(root, name)
        if not commit:
            return None
        diff = _diff(root, commit, needed)
    except _GitFailed:
        return None
    branch = "" if branch == "HEAD" else branch
    if len(diff.encode()) > DIFF_BYTES:
        size = len(diff.encode()) / 2**20
        problem = f"the changes since commit {commit[:12]} are {size:.1f} MiB, more than 8: push some of them first"
        return Repository(root, url, branch, commit, "", problem)
    return Repository(root, url, branch, commit, diff)


def clean_url(url: str) -> str:
    """A URL without credentials; empty for what an agent elsewhere could not clone (paths, file://)."""
    if "://" not in url:
        return url if _SCP_LIKE.fullmatch(url) else ""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http", "ssh") or not parts.hostname:
        return ""
    if parts.scheme == "ssh":  # the user is part of the address, a password never
        user = parts.username or ""
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, f"{user}@{host}" if user else host, parts.path, "", ""))
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _remote(root: Path, branch: str) -> tuple[str, str] | None:
    """(name, clean URL) of the branch's remote, else of origin, else of any."""
    names = _git(root, "remote").split()
    try:
        upstream = _git(root, "config", "--get", f"branch.{branch}.remote").strip()
    except _GitFailed:
        upstream = ""
    order = [name for name in (upstream, "origin", *names) if name in names]
    for name in order:
        url = clean_url(_git(root, "ls-remote", "--get-url", name).strip())
        if url:
            return name, url
    return None


def _base(root: Path, remote: str) -> str:
    """The newest commit under HEAD that the remote has, as far as was last fetched or pushed."""
    listed = _git(root, "for-each-ref", f"--count={_REFS}", "--sort=-committerdate", "--format=%(objectname)",
                  f"refs/remotes/{remote}").split()  # fmt: skip
    if not listed:
        return ""
    try:
        return _git(root, "merge-base", "HEAD", *dict.fromkeys(listed)).split()[0]
    except (_GitFailed, IndexError):
        return ""


def _diff(root: Path, commit: str, needed: Iterable[Path]) -> str:
    new = _untracked(root, needed)
    try:
        return _diff_with(root, commit, new, ())
    except UnicodeDecodeError:  # text in some other encoding: then everything goes as binary
        with tempfile.TemporaryDirectory() as folder:
            attributes = Path(folder) / "attributes"
            attributes.write_text("* binary\n")
            return _diff_with(root, commit, new, ("-c", f"core.attributesFile={attributes}"))


def _diff_with(root: Path, commit: str, new: list[str], config: tuple[str, ...]) -> str:
    parts = [_git(root, *config, *_DIFF, commit, "--")]
    # `git diff --no-index` ends with 1 when there is a difference, which is what is expected here.
    parts += [_git(root, *config, *_DIFF, "--no-index", "--", os.devnull, path, good=(0, 1)) for path in new]
    return "".join(parts)


def _untracked(root: Path, needed: Iterable[Path]) -> list[str]:
    top = root.resolve()
    resolved = [path.resolve() for path in needed]
    inside = [path.relative_to(top).as_posix() for path in resolved if top in path.parents]
    if not inside:
        return []
    return [path for path in _git(root, "ls-files", "-z", "--others", "--", *inside).split("\0") if path]


def _git(folder: Path, *arguments: str, good: tuple[int, ...] = (0,)) -> str:
    """What git prints. Raises _GitFailed, and UnicodeDecodeError for what is not UTF-8."""
    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _GitFailed(str(error)) from error
    if done.returncode not in good:
        raise _GitFailed(f"git {arguments[0]} ended with {done.returncode}")
    return done.stdout.decode("utf-8")
