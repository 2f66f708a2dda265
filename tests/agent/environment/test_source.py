"""Code from real repositories over a real loopback HTTP server (git's plain-file protocol)."""

from __future__ import annotations

import http.server
import os
import subprocess
import threading
from collections.abc import Generator
from functools import partial
from pathlib import Path

import pytest

from batuta_agent.environment.failure import InfrastructureFailed, PreparationFailed
from batuta_agent.environment.source import Sources
from batuta_agent.environment.tool import Tools
from batuta_proto.tasks import v1 as tasks


def git(folder: Path, *arguments: str) -> str:
    env = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(folder)}
    who = (
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@t",
        "-c",
        "init.defaultBranch=main",
        "-c",
        "protocol.file.allow=always",
    )
    done = subprocess.run(["git", *who, *arguments], cwd=folder, env=env, check=True, capture_output=True, text=True)
    return done.stdout


class Repository:
    """A repository that is worked in, and its bare copy that is served."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "author"
        self.bare = folder / "served" / "repo.git"
        self.work.mkdir()
        self.bare.parent.mkdir()
        git(folder, "init", "-q", str(self.work))
        git(folder, "init", "-q", "--bare", str(self.bare))
        self.url = ""

    def commit(self, **files: str) -> str:
        for name, text in files.items():
            path = self.work / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "-m", "more")
        self.push("HEAD:main")
        return git(self.work, "rev-parse", "HEAD").strip()

    def push(self, where: str) -> None:
        git(self.work, "push", "-q", "-f", str(self.bare), where)
        git(self.bare, "update-server-info")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        return


@pytest.fixture
def repository(tmp_path: Path) -> Generator[Repository]:
    made = Repository(tmp_path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(made.bare.parent)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/repo.git"
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    (tmp_path / "mirrors").mkdir()
    return Sources(tmp_path / "mirrors")


async def test_a_commit_and_an_uncommitted_diff_are_checked_out(
    repository: Repository, sources: Sources, tools: Tools, tmp_path: Path
) -> None:
    commit = repository.commit(train="", src__train="print('old')\n", data="x")
    (repository.work / "src" / "train").write_text("print('new')\n")
    (repository.work / "binary").write_bytes(bytes(range(256)))
    git(repository.work, "add", "-N", "binary")
    diff = git(repository.work, "diff", "--binary", commit)
    source = tasks.Source(
        repository_url=repository.url, commit=commit, diff=diff, entry_point="src/train", working_directory="src"
    )
    found = await sources.get(source, tmp_path / "work", tools)
    assert found.cwd == tmp_path / "work" / "src"
    assert found.arguments == (str(tmp_path / "work" / "src" / "train"),)
    assert (tmp_path / "work" / "src" / "train").read_text() == "print('new')\n"
    assert (tmp_path / "work" / "binary").read_bytes() == bytes(range(256))
    assert git(tmp_path / "work", "rev-parse", "HEAD").strip() == commit


async def test_a_known_commit_needs_no_network(
    repository: Repository, sources: Sources, tools: Tools, tmp_path: Path, said: list[str]
) -> None:
    commit = repository.commit(a="1")
    source = tasks.Source(repository_url=repository.url, commit=commit, entry_point="a")
    await sources.get(source, tmp_path / "one", tools)
    assert any("fetching" in line for line in said)
    said.clear()
    repository.bare.rename(repository.bare.with_name("gone"))
    await sources.get(source, tmp_path / "two", tools)
    assert said == []


async def test_a_new_commit_of_a_known_repository_is_fetched(
    repository: Repository, sources: Sources, tools: Tools, tmp_path: Path
) -> None:
    for text in ("1", "2"):
        commit = repository.commit(a=text)
        source = tasks.Source(repository_url=repository.url, commit=commit, entry_point="a")
        await sources.get(source, tmp_path / text, tools)
        assert (tmp_path / text / "a").read_text() == text


async def test_a_commit_that_nobody_pushed_is_named_with_what_to_do(
    repository: Repository, sources: Sources, tools: Tools, tmp_path: Path
) -> None:
    repository.commit(a="1")
    source = tasks.Source(repository_url=repository.url, commit="a" * 40, entry_point="a")
    with pytest.raises(PreparationFailed, match=r"commit a{40} is not in http.*push it") as caught:
        await sources.get(source, tmp_path / "work", tools)
    assert not isinstance(caught.value, InfrastructureFailed)


async def test_a_diff_that_does_not_apply_is_the_tasks_own_fault(
    repository: Repository, sources: Sources, tools: Tools, tmp_path: Path
) -> None:
    commit = repository.commit(a="1\n")
    diff = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-2\n+3\n"
    source = tasks.Source(repository_url=repository.url, commit=commit, diff=diff, entry_point="a")
    with pytest.raises(PreparationFailed, match="do not apply"):
        await sources.get(source, tmp_path / "work", tools)


async def test_a_server_that_is_away_is_infrastructure(sources: Sources, tools: Tools, tmp_path: Path) -> None:
    source = tasks.Source(repository_url="http://127.0.0.1:9/x.git", commit="a" * 40, entry_point="a")
    with pytest.raises(InfrastructureFailed, match="cannot be fetched"):
        await sources.get(source, tmp_path / "work", tools)


async def test_a_password_in_an_address_is_not_told(
    sources: Sources, tools: Tools, said: list[str], tmp_path: Path
) -> None:
    source = tasks.Source(repository_url="http://me:hidden@127.0.0.1:9/x.git", commit="a" * 40, entry_point="a")
    with pytest.raises(InfrastructureFailed, match=r"http://127\.0\.0\.1:9/x\.git cannot be fetched") as failure:
        await sources.get(source, tmp_path / "work", tools)
    assert "hidden" not in f"{failure.value}{said}"


@pytest.mark.parametrize(
    "url",
    [
        "--upload-pack=touch /tmp/x",
        "ext::sh -c touch% /tmp/x",
        "file:///etc",
        "/etc",
        "../x",
        "ssh://-oProxyCommand=x/y",
        "-oProxyCommand=x@host:y",
        "git://host/x",
        "http://host/x y",
    ],
)
async def test_s27_addresses_that_would_run_something_or_read_this_machine_are_refused(
    sources: Sources, tools: Tools, tmp_path: Path, url: str
) -> None:
    source = tasks.Source(repository_url=url, commit="a" * 40, entry_point="a")
    with pytest.raises(PreparationFailed):
        await sources.get(source, tmp_path / "work", tools)


async def test_local_repositories_are_taken_only_where_the_owner_allows_it(
    repository: Repository, tools: Tools, tmp_path: Path
) -> None:
    commit = repository.commit(a="1")
    (tmp_path / "m").mkdir()
    source = tasks.Source(repository_url=str(repository.bare), commit=commit, entry_point="a")
    with pytest.raises(PreparationFailed, match="only https, http and ssh"):
        await Sources(tmp_path / "m").get(source, tmp_path / "work", tools)
    found = await Sources(tmp_path / "m", allow_local=True).get(source, tmp_path / "work", tools)
    assert found.root == tmp_path / "work"


async def test_s27_hooks_of_a_repository_are_never_run(
    repository: Repository, sources: Sources, tools: Tools, tmp_path: Path
) -> None:
    template = tmp_path / "template" / "hooks"
    template.mkdir(parents=True)
    hook = template / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    tools.env["GIT_TEMPLATE_DIR"] = str(template.parent)
    commit = repository.commit(a="1")
    source = tasks.Source(repository_url=repository.url, commit=commit, entry_point="a")
    await sources.get(source, tmp_path / "work", tools)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"entry_point": "../../etc/passwd"},
        {"entry_point": "/etc/passwd"},
        {"entry_point": "link/passwd"},
        {"entry_point": "a", "working_directory": ".."},
        {"entry_point": "a", "working_directory": "link"},
        {"entry_point": "a", "working_directory": "missing"},
        {"entry_point": "missing"},
        {"entry_point": "-m os; rm"},
    ],
)
async def test_s27_paths_that_leave_the_checkout_are_refused(
    repository: Repository, sources: Sources, tools: Tools, tmp_path: Path, fields: dict[str, str]
) -> None:
    (repository.work / "link").symlink_to("/etc")
    commit = repository.commit(a="1")
    source = tasks.Source(repository_url=repository.url, commit=commit, **fields)
    with pytest.raises(PreparationFailed):
        await sources.get(source, tmp_path / "work", tools)


async def test_a_module_is_run_by_name(repository: Repository, sources: Sources, tools: Tools, tmp_path: Path) -> None:
    commit = repository.commit(pkg__train="")
    source = tasks.Source(repository_url=repository.url, commit=commit, entry_point="-m pkg.train")
    found = await sources.get(source, tmp_path / "work", tools)
    assert (found.arguments, found.cwd) == (("-m", "pkg.train"), tmp_path / "work")


async def test_a_stored_script_is_written_as_it_is(sources: Sources, tools: Tools, tmp_path: Path) -> None:
    found = await sources.get(tasks.Source(script="é = 1\r\n", entry_point="train.py"), tmp_path / "work", tools)
    assert (tmp_path / "work" / "train.py").read_bytes() == "é = 1\r\n".encode()
    assert found.cwd == tmp_path / "work"


async def test_a_task_without_code_is_refused(sources: Sources, tools: Tools, tmp_path: Path) -> None:
    with pytest.raises(PreparationFailed, match="no code"):
        await sources.get(tasks.Source(), tmp_path / "work", tools)
