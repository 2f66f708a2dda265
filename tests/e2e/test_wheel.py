"""The second quick start of the README, as somebody without a clone does it: wheel, empty environment, script."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import sys
import tarfile
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import processes
from tests.e2e.harness.processes import MARK, Process, poll
from tests.e2e.harness.stack import PRIVATE
from tools.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.prefix) / "bin" / "uv"
HEADING = "## Without a clone"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


class Visitor:
    """Somebody with a home folder of their own and an environment in which there is nothing yet."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self._prefix = folder / "venv"
        folder.mkdir()
        (folder / wheel.name).symlink_to(wheel)
        kept = {key: value for key, value in os.environ.items() if key not in PRIVATE}
        path = f"{self._prefix / 'bin'}:{kept['PATH'].replace(str(Path(sys.prefix) / 'bin') + ':', '')}"
        self.env = {**kept, "HOME": str(folder), "PATH": path, "VIRTUAL_ENV": str(self._prefix), MARK: self.mark}
        self.told(str(UV), "venv", "-q", "--python", sys.executable, str(self._prefix))

    def install(self, requirement: str) -> None:
        """What `pip install` does, with the releases of the lock and from uv's cache."""
        self.told(str(UV), "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), requirement)

    def told(self, *words: str) -> str:
        """Run a command that must succeed; what it printed."""
        done = processes.run(words, self.env, self.folder)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, *words: str) -> Process:
        """Start a command that goes on."""
        return Process(words[0], [str(self._prefix / "bin" / words[0]), *words[1:]], self.env, self.log, self.folder)

    @property
    def log(self) -> Path:
        """What the started command prints."""
        return self.folder / "up.log"

    def newest(self) -> dict[str, Any]:
        """The newest task as the command line tells it, or nothing."""
        listed = json.loads(self.told("batuta", "task", "list", "--json"))
        tasks = listed["tasks"] if isinstance(listed, dict) else listed
        return tasks[0] if tasks else {}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive of this tree."""
    folder = tmp_path_factory.mktemp("built")
    _build(ROOT, folder, "-t", "wheel", "-t", "sdist")
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    """The wheel of this tree."""
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture
def visitor(tmp_path: Path, wheel: Path, home: Path) -> Iterator[Visitor]:
    """Somebody new; what they leave running is killed, and nothing may be."""
    assert home.exists()  # that fixture keeps uv's cache where it is though HOME changes
    somebody = Visitor(tmp_path / "visitor", wheel)
    yield somebody
    assert processes.kill_marked(somebody.mark, somebody.folder) == []


def _build(source: Path, target: Path, *what: str) -> None:
    done = processes.run([sys.executable, "-m", "hatchling", "build", *what, "-d", str(target)], os.environ, source)
    assert done.returncode == 0, done.stderr


def _contents(wheel: Path) -> dict[str, str]:
    """Every file of a wheel with its hash, but for RECORD, which is those again."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if not name.endswith("/RECORD")
        }


def _page() -> tuple[list[list[str]], str]:
    """The commands of the README's second quick start, word by word, and the script at its top."""
    text = (ROOT / "README.md").read_text()
    start = text.index(HEADING)
    kind, commands = BLOCK.findall(text[start : text.index("\n## ", start + 1)])[0]
    assert kind == "sh"
    script = next(body for kind, body in BLOCK.findall(text) if kind == "python")
    lines = [shlex.split(line, comments=True) for line in commands.splitlines()]
    return [line for line in lines if line], script


def test_the_source_archive_makes_the_same_wheel(built: Path, wheel: Path, tmp_path: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    _build(source, tmp_path, "-t", "wheel")
    (again,) = tmp_path.glob("*.whl")
    assert again.name == wheel.name
    assert _contents(again) == _contents(wheel)


def test_the_wheel_holds_our_packages_and_none_of_our_tests(wheel: Path) -> None:
    top = {name.partition("/")[0] for name in _contents(wheel)}
    ours = {"batuta", "batuta_agent", "batuta_api", "batuta_autoscaler", "batuta_chassis", "batuta_courier"}
    ours |= {"batuta_proto", "batuta_queue", "batuta_rpc"}
    assert {name for name in top if not name.endswith(".dist-info")} == ours


def test_the_base_install_imports_helps_and_says_which_extra_serves(visitor: Visitor, wheel: Path) -> None:
    visitor.install(f"./{wheel.name}")
    assert "usage: batuta" in visitor.told("batuta", "--help")
    visitor.told("python", "-c", "import batuta")
    refused = processes.run(["batuta", "up"], visitor.env, visitor.folder)
    assert refused.returncode == 1
    assert "pip install 'batuta[server]'" in refused.stderr
    refused = processes.run(["batuta", "agent", "start", "--queue", "default"], visitor.env, visitor.folder)
    assert refused.returncode == 1
    assert "pip install 'batuta[agent]'" in refused.stderr


def test_the_second_quick_start_works_as_the_page_says_it(visitor: Visitor) -> None:
    (install, up, init, run), script = _page()
    assert install[:2] == ["pip", "install"]
    visitor.install(install[2])
    server = visitor.start(*up, "--port", str(free_port()), "--queue-port", str(free_port()))
    try:
        poll(
            "batuta up says what to do next",
            30,
            lambda: "Next, in another terminal" in server.said or not server.running,
        )
        assert server.running, server.said
        visitor.told(*(word.replace("~", str(visitor.folder)) for word in init))
        (visitor.folder / run[1]).write_text(f"{script}print('on the machine that has the time')\n")
        here = visitor.told(*run)
        assert "on the machine" not in here, "it went on here"

        def ended() -> bool:
            state = visitor.newest()["status"]["state"]
            assert state not in ("TASK_STATE_FAILED", "TASK_STATE_ABORTED"), server.said
            return state == "TASK_STATE_COMPLETED"

        poll("the agent has run the script", 60, ended)
        task = str(visitor.newest()["id"])
        assert "on the machine that has the time" in visitor.told("batuta", "task", "logs", task)

        (visitor.folder / "here.py").write_text(
            "\n".join(line for line in script.splitlines() if "execute_remotely" not in line) + "\nprint('here')\n"
        )
        assert "here" in visitor.told("python", "here.py")
        poll("the script that ran here is completed too", 20, lambda: visitor.newest()["id"] != task and ended())
    finally:
        server.stop()
