"""Scripts as users write them, run as real processes against the fake API."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batuta_courier import layout
from batuta_courier.testing import FakeApi, end_couriers, fake_api
from batuta_proto.artifacts import v1 as artifacts
from batuta_proto.tasks import v1 as tasks
from tests.cli.artifact_server import Artifacts, Shelf


@pytest.fixture
def shelf() -> Shelf:
    """The artifacts of the fake API."""
    return Shelf()


@pytest.fixture
def api(shelf: Shelf) -> Iterator[FakeApi]:
    with fake_api(lambda server: artifacts.add_ArtifactServiceServicer_to_server(Artifacts(shelf), server)) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, api: FakeApi) -> Iterator[Path]:
    """A home whose couriers end with the test: without their server they would go on for a day."""
    api.save_credentials(tmp_path / "home")
    yield tmp_path / "home"
    end_couriers(tmp_path)


class Scripts:
    """Runs Python text as a script, in a folder of its own and with a home of its own."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("BATUTA_")}
        self.env["HOME"] = str(home)
        self.started: list[subprocess.Popen[str]] = []

    def start(self, text: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start it; `env` is added to its environment."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "train.py"
        path.write_text(text)
        process = subprocess.Popen(
            [sys.executable, str(path), *arguments],
            cwd=self.folder,
            env={**self.env, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, text: str, *arguments: str, code: int = 0, env: dict[str, str] | None = None) -> str:
        """Run it to its end and return what it printed, stdout before stderr."""
        process = self.start(text, *arguments, env=env)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, out + err
        return out + err


@pytest.fixture
def scripts(tmp_path: Path, home: Path) -> Iterator[Scripts]:
    made = Scripts(tmp_path / "work", home)
    yield made
    for process in made.started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):  # not read: a child of it may hold them open
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what it never read
                    pipe.close()


@pytest.fixture
def only_task(api: FakeApi) -> Callable[[], tasks.Task]:
    """The one task that the server knows."""

    def get() -> tasks.Task:
        with api.state.changed:
            (task,) = api.state.tasks.values()
            return task

    return get


@pytest.fixture
def remote_env(api: FakeApi, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """The environment that an agent gives to attempt 1 of a task, with a spool that nobody ships."""

    def make(task: tasks.Task, attempt: int = 1) -> dict[str, str]:
        spool = tmp_path / f"spool-{task.id}.{attempt}"
        layout.create(spool, layout.RunInfo(task.id, attempt, api.address, layout.AGENT))
        api.state.tokens["attempt-token"] = (task.id, attempt)
        return {
            "BATUTA_TASK_ID": task.id,
            "BATUTA_ATTEMPT": str(attempt),
            "BATUTA_API": api.address,
            "BATUTA_ATTEMPT_TOKEN": "attempt-token",
            "BATUTA_SPOOL_DIR": str(spool),
        }

    return make
