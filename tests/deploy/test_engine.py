"""The images on a real engine: built, started without rights, healthy, and a task runs in the agent's container."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batuta_proto.tasks import v1 as tasks
from batuta_rpc.config import load_connection
from batuta_rpc.version import VERSION
from tests.deploy.engine import Engine, missing
from tests.e2e.harness.processes import poll
from tests.e2e.harness.remote import Remote
from tools.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(230)]
if lacking := missing():
    pytestmark.append(pytest.mark.skip(reason=f"no Docker engine: {lacking}"))

WHERE = "import os, sys\nprint('user', os.getuid(), 'in', os.path.exists('/.dockerenv'), flush=True)\n"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine without images."""
    started = Engine(tmp_path_factory.mktemp("engine"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def base(engine: Engine) -> str:
    """An image with Python."""
    return engine.make_base()


@pytest.fixture(scope="module")
def services(engine: Engine, base: str) -> str:
    """The image of the services."""
    return build(engine, base, "services")


@pytest.fixture(scope="module")
def agent(engine: Engine, base: str) -> str:
    """The image of the agent."""
    return build(engine, base, "agent")


def build(engine: Engine, base: str, target: str) -> str:
    options = ["--network", "host", "--build-arg", f"PYTHON={base}", "-f", "deploy/docker/Dockerfile"]
    name = f"batuta/{target}"
    engine.docker("build", *options, "--target", target, "-t", name, str(ROOT), seconds=220)
    return name


def test_the_engine_runs_a_container_with_python(engine: Engine, base: str) -> None:
    version = engine.docker("run", "--rm", "--network", "none", base, "python3", "--version")
    assert tuple(map(int, version.split()[1].split(".")[:2])) >= (3, 11)


def bare(engine: Engine, image: str) -> list[str]:
    """Who runs in a container of an image, and what lies where the build puts its tools."""
    options = ["--rm", "--network", "none", "--entrypoint", "sh", image, "-c"]
    return engine.docker("run", *options, "id -u; ls -d /src /wheels 2>/dev/null; ls /opt").split()


def test_the_image_of_the_services_is_built_and_holds_nothing_of_its_build(engine: Engine, services: str) -> None:
    assert bare(engine, services) == ["10001", "batuta"]


def test_the_image_of_the_agent_is_built_and_holds_nothing_of_its_build(engine: Engine, agent: str) -> None:
    assert bare(engine, agent) == ["10002", "batuta"]


def health(engine: Engine, name: str) -> bool:
    state = json.loads(engine.docker("inspect", "-f", "{{json .State}}", name))
    assert state["Running"], engine.docker("logs", name)
    return state["Health"]["Status"] == "healthy"


@pytest.fixture(scope="module")
def api(engine: Engine, services: str) -> str:
    """The address of an API beside a queue, both healthy."""
    api, queue = free_port(), free_port()
    shared = ["-v", "keys:/var/lib/batuta/keys"]
    for service, port in (("queue", queue), ("api", api)):
        options = ["-v", f"{service}:/var/lib/batuta/data", *shared]
        options += ["-e", f"BATUTA_{service.upper()}_KEYS_DIR=/var/lib/batuta/keys"]
        options += ["-e", f"BATUTA_HEALTH_URL=http://127.0.0.1:{port}"]
        command = [f"batuta-{service}", "--host", "127.0.0.1", "--port", str(port)]
        if service == "api":
            command += ["--queue-endpoint", f"127.0.0.1:{queue}", "--dispatch-endpoint", f"127.0.0.1:{queue}"]
        engine.run(service, services, options, command)
    for name in ("queue", "api"):
        poll(f"{name} is healthy", 60, lambda name=name: health(engine, name))
    return f"http://127.0.0.1:{api}"


@pytest.fixture(scope="module")
def remote(engine: Engine, api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """An admin, with the credential that the API's volume holds."""
    kept = tmp_path_factory.mktemp("admin") / "admin.credentials"
    engine.docker("cp", "api:/var/lib/batuta/data/admin.credentials", str(kept))
    connection = load_connection({}, kept)
    assert connection is not None
    assert connection.api == api
    person = Remote(connection)
    yield person
    person.close()


def test_a_task_runs_in_the_container_of_an_agent(engine: Engine, agent: str, api: str, remote: Remote) -> None:
    folder = "/var/lib/batuta/data/agent.credentials"
    secret = dict(line.split(" = ") for line in engine.docker("exec", "api", "cat", folder).splitlines()[1:])
    options = ["-v", "agent:/var/lib/batuta-agent", "-e", f"BATUTA_API={api}"]
    options += ["-e", f"BATUTA_ACCESS_KEY={secret['access_key']}", "-e", f"BATUTA_SECRET_KEY={secret['secret_key']}"]
    engine.run("agent", agent, options, ["--queue", "default", "--create-queue", "--name", "boxed"])
    remote.online("boxed")
    task = remote.wait(remote.submit(WHERE, "boxed"))
    assert task.status.state == tasks.TASK_STATE_COMPLETED, remote.log_tail(task.id)
    assert "user 10002 in True" in remote.log_tail(task.id)


def test_all_end_in_order_when_the_engine_stops_them(engine: Engine, api: str) -> None:
    assert api
    for name in ("agent", "api", "queue"):
        engine.docker("stop", "-t", "40", name)
        state = json.loads(engine.docker("inspect", "-f", "{{json .State}}", name))
        assert state["ExitCode"] == 0, engine.docker("logs", name)


def test_the_script_installs_on_a_bare_machine_and_upgrades_it(engine: Engine, base: str, tmp_path: Path) -> None:
    folder = tmp_path / "build"
    shutil.copytree(ROOT / "deploy" / "systemd", folder / "systemd")
    shutil.copy(ROOT / "constraints.txt", folder)
    shutil.copy(ROOT / "deploy" / "images" / "install.sh", folder)
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True, timeout=60)
    options = ["-d", "--network", "host", "-v", f"{folder}:/from:ro", "--name", "machine"]
    engine.docker("run", *options, base, "sleep", "900")
    systemd = "apt-get update -q && apt-get install -q -y --no-install-recommends systemd"
    engine.docker("exec", "machine", "sh", "-c", systemd)
    for _ in range(2):
        assert engine.docker("exec", "machine", "sh", "/from/install.sh", "/from").endswith(f"batuta {VERSION}")
        engine.docker("exec", "machine", "sh", "-c", "echo '# mine' >> /etc/batuta/server.toml")
    look = "grep -c mine /etc/batuta/server.toml; stat -c '%a %U:%G' /etc/batuta/*"
    kept, *modes = engine.docker("exec", "machine", "sh", "-c", look).splitlines()
    assert kept == "2", "settings outlive an upgrade"
    assert modes == ["600 root:root", "644 root:root", "640 root:batuta"]
    engine.docker("exec", "machine", "sh", "-c", "systemd-analyze verify --man=no /etc/systemd/system/batuta*.service")
    assert "batuta-agent" in engine.docker("exec", "machine", "getent", "passwd", "batuta-agent")
