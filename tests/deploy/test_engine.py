"""The images on a real engine: built, started without rights, healthy; a task runs in the agent's container, from the
compose file too; the installer works on a bare machine.

    python -m pytest -m nightly tests/deploy      # as root, with docker.io and mmdebstrap of Debian; seven minutes
"""

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


POSTGRES = """
set -e
bin=$(echo /usr/lib/postgresql/*/bin); data=/var/lib/postgresql/data
[ -e /usr/bin/pg_isready ]
chown postgres "$data"
if [ ! -e "$data/PG_VERSION" ]; then
  (umask 077; cat "$POSTGRES_PASSWORD_FILE" > /tmp/password; chown postgres /tmp/password)
  su postgres -c "$bin/initdb -D $data -E UTF8 -U $POSTGRES_USER --pwfile=/tmp/password $POSTGRES_INITDB_ARGS"
  echo 'host all all all scram-sha-256' >> "$data/pg_hba.conf"
  echo "create database $POSTGRES_DB" | su postgres -c "$bin/postgres --single -D $data postgres"
fi
exec su postgres -c "exec $bin/postgres -D $data -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql"
"""
SUBMIT = """
from pathlib import Path

from batuta_proto.tasks import v1 as tasks
from batuta_rpc.auth import CredentialTokens
from batuta_rpc.channel import open_sync
from batuta_rpc.clock import SystemClock
from batuta_rpc.config import load_connection
from batuta_rpc.ids import SystemIds

known = load_connection({}, Path("/var/lib/batuta/data/admin.credentials"))
clock, ids = SystemClock(), SystemIds()
with open_sync(known.api, CredentialTokens(known.api, known.access_key, known.secret_key, clock), "test") as channel:
    stub = tasks.TaskServiceStub(channel)
    spec = tasks.TaskSpec(source=tasks.Source(script="print('composed')", entry_point="payload.py"))
    wanted = dict(project_name="p", display_name="t", spec=spec, request_id=ids.request_id())
    made = stub.CreateTask(tasks.CreateTaskRequest(**wanted))
    stub.EnqueueTask(
        tasks.EnqueueTaskRequest(
            task_id=made.task.id, queue_name="default", create_queue=True, request_id=ids.request_id()
        )
    )
    print(made.task.id)
"""


class Composed:
    """The compose file, on an engine that is apart."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        subprocess.run(["sh", str(folder / "secrets.sh")], check=True, timeout=30)

    def told(self, *words: str, text: str = "", seconds: float = 200, **variables: str) -> str:
        """Run `docker compose`, which must succeed; what it printed."""
        command = [str(Path(sys.prefix) / "bin" / "docker-compose"), *words]
        environment = {**self._engine.env, **variables}
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=environment,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
        return done.stdout.strip()

    def batuta(self, *words: str) -> str:
        """Run the command line in the API's container, as its administrator."""
        login = ["-e", "BATUTA_CONFIG_FILE=/var/lib/batuta/data/admin.credentials", "-e", "HOME=/tmp"]
        return self.told("exec", "-T", *login, "api", "batuta", *words)


def test_the_stores_of_the_compose_file_have_stand_ins(engine: Engine, base: str) -> None:
    assert base
    engine.make_stand_in("postgres:17-bookworm", "postgresql", POSTGRES)
    engine.make_stand_in("redis:7-bookworm", "redis-server", 'exec "$@"')


def test_what_the_compose_file_starts_serves_from_postgresql_and_runs_a_task(
    engine: Engine, services: str, agent: str, tmp_path: Path
) -> None:
    assert (services, agent) == ("batuta/services", "batuta/agent")
    engine.move_apart()
    shutil.copytree(ROOT / "deploy" / "docker", tmp_path / "docker")
    compose = Composed(engine, tmp_path / "docker")
    try:
        compose.told("up", "-d", "--no-build", "--wait", "--wait-timeout", "150")
        token = json.loads(compose.batuta("agent", "join-token", "--json"))
        secret = next(value for key, value in token.items() if key in ("token", "join_token", "secret"))
        compose.told("--profile", "agent", "up", "-d", "--no-build", "--wait", BATUTA_JOIN_TOKEN=secret)
        task = compose.told("exec", "-T", "api", "python", "-", text=SUBMIT)

        def ended() -> bool:
            state = json.loads(compose.batuta("task", "show", task, "--json"))
            return "TASK_STATE_COMPLETED" in json.dumps(state)

        poll("the task is completed", 60, ended)
        assert "composed" in compose.batuta("task", "logs", task)
        asked = ["exec", "-T", "postgres", "psql", "-h", "/var/run/postgresql", "-U", "batuta", "-Atc"]
        schemas = compose.told(*asked, "select nspname from pg_namespace").split()
        assert {"api", "queue"} <= set(schemas)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{compose.told('logs', '--no-color', '--tail', '40')}") from None
    finally:
        compose.told("--profile", "agent", "down", "-v", "-t", "20")
