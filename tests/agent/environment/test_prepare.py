"""Repositories and registries that are away for a while, or say no: what is tried again, and who is to blame."""

from __future__ import annotations

import http.server
import socket
import subprocess
import threading
import zipfile
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from batuta_agent.environment.failure import ENVIRONMENT, INFRASTRUCTURE, PreparationFailed
from batuta_agent.environment.interpreters import Interpreters
from batuta_agent.environment.prepare import Prepared, Preparer
from batuta_agent.environment.source import Sources
from batuta_agent.environment.tool import Tools
from batuta_agent.environment.venv import VenvCache
from batuta_agent.folders import AttemptFolder
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.clock import SystemClock
from batuta_rpc.ids import SystemIds


class Hurried(SystemClock):
    """A hundred times as quick: nobody here waits for a pause between tries."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / 100)


class Flaky(http.server.SimpleHTTPRequestHandler):
    """Answers the first `fails` requests with `status`, then serves files."""

    fails = 0
    status = 503
    asked = 0

    def do_GET(self) -> None:
        Flaky.asked += 1
        if Flaky.asked <= Flaky.fails:
            self.send_error(Flaky.status)
        else:
            super().do_GET()

    do_HEAD = do_GET

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - so it is called above us
        return


class Place:
    """A served folder with a repository and a registry in it, and what prepares tasks from there."""

    def __init__(self, folder: Path, url: str, tools: Tools) -> None:
        self.served = folder / "served"
        self.url = url
        self.folder = AttemptFolder(folder / "attempt")
        self.tools = tools
        caches = [folder / name for name in ("git", "venvs", "wheels")]
        for each in (*caches, self.served / "simple" / "alpha"):
            each.mkdir(parents=True)
        self.maker = Preparer(Sources(caches[0]), VenvCache(caches[1]), Interpreters([]), caches[2], SystemIds())
        tools.clock = Hurried()
        tools.env |= {
            "UV_DEFAULT_INDEX": f"{url}/simple",
            "UV_HTTP_RETRIES": "0",
            "UV_CACHE_DIR": str(folder / "uv"),
            "UV_CONFIG_FILE": "/dev/null",
        }
        for name in ("UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX"):
            tools.env.pop(name, None)
        self._wheel()

    def _wheel(self) -> None:
        name, info = "alpha-1.0-py3-none-any.whl", "alpha-1.0.dist-info"
        with zipfile.ZipFile(self.served / "simple" / "alpha" / name, "w") as wheel:
            wheel.writestr("alpha.py", "")
            wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        (self.served / "simple" / "alpha" / "index.html").write_text(f'<a href="{name}">{name}</a>')

    def commit(self) -> str:
        """One commit in a repository that any file server can serve."""
        work = self.served.parent / "author"
        work.mkdir()
        (work / "train.py").write_text("pass")
        who = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main")
        bare = self.served / "neural-network.git"
        for argv in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
            subprocess.run(["git", *who, *argv], cwd=work, check=True)
        subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], check=True, capture_output=True)
        subprocess.run(["git", "update-server-info"], cwd=bare, check=True)
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=work, check=True, capture_output=True, text=True)
        return found.stdout.strip()

    async def code(self, commit: str, repository: str = "neural-network.git", url: str = "") -> Prepared:
        source = tasks.Source(repository_url=f"{url or self.url}/{repository}", commit=commit, entry_point="train.py")
        return await self.maker.prepare(tasks.TaskSpec(source=source), self.folder, self.tools)

    async def packages(self, *lines: str) -> Prepared:
        source = tasks.Source(script="pass", entry_point="train.py")
        spec = tasks.TaskSpec(source=source, environment=tasks.Environment(requirements=lines))
        return await self.maker.prepare(spec, self.folder, self.tools)


@pytest.fixture
def place(tmp_path: Path, tools: Tools) -> Generator[Place]:
    (tmp_path / "served").mkdir()
    Flaky.fails = Flaky.asked = 0
    Flaky.status = 503
    handler: Any = partial(Flaky, directory=str(tmp_path / "served"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Place(tmp_path, f"http://127.0.0.1:{server.server_address[1]}", tools)
    server.shutdown()
    thread.join()
    server.server_close()


def retries(said: list[str]) -> int:
    return sum("trying again in" in line for line in said)


async def failure(doing: Any) -> PreparationFailed:
    with pytest.raises(PreparationFailed) as caught:
        await doing
    return caught.value


async def test_a_repository_that_comes_back_is_tried_again_and_the_console_says_so(
    place: Place, said: list[str]
) -> None:
    Flaky.fails = 2  # each try asks once, and is told so
    prepared = await place.code(place.commit())
    prepared.venv.held.release()
    assert retries(said) == 2


async def test_a_repository_that_stays_away_is_given_up_after_three_tries_as_infrastructure(
    place: Place, said: list[str]
) -> None:
    Flaky.fails = 1000
    error = await failure(place.code(place.commit()))
    assert (error.reason, retries(said)) == (INFRASTRUCTURE, 2)
    assert Flaky.asked == 3


async def test_a_port_where_nobody_listens_is_infrastructure(place: Place, said: list[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    error = await failure(place.code("a" * 40, url=f"http://127.0.0.1:{port}"))
    assert (error.reason, retries(said)) == (INFRASTRUCTURE, 2)


async def test_a_commit_that_is_not_there_is_the_tasks_own_fault_and_not_tried_again(
    place: Place, said: list[str]
) -> None:
    place.commit()
    error = await failure(place.code("a" * 40))
    assert (error.reason, retries(said)) == (ENVIRONMENT, 0)


@pytest.mark.parametrize("status", [403, 404])
async def test_a_repository_that_the_server_does_not_give_us_is_no_trouble_of_the_network_whatever_its_name(
    place: Place, said: list[str], status: int
) -> None:
    Flaky.fails, Flaky.status = 1000, status
    error = await failure(place.code("a" * 40))
    assert (error.reason, retries(said)) == (ENVIRONMENT, 0)


async def test_a_registry_that_comes_back_is_tried_again(place: Place, said: list[str]) -> None:
    Flaky.fails = 1
    prepared = await place.packages("alpha==1.0")
    prepared.venv.held.release()
    assert retries(said) == 1


async def test_a_registry_that_stays_away_is_given_up_after_three_tries_as_infrastructure(
    place: Place, said: list[str]
) -> None:
    Flaky.fails = 1000
    error = await failure(place.packages("alpha==1.0"))
    assert (error.reason, retries(said)) == (INFRASTRUCTURE, 2)


async def test_a_version_that_does_not_exist_is_the_tasks_own_fault_and_not_tried_again(
    place: Place, said: list[str]
) -> None:
    error = await failure(place.packages("alpha==9.0"))
    assert (error.reason, retries(said)) == (ENVIRONMENT, 0)
    assert "alpha==9.0" in str(error)
