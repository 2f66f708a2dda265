"""What stands beside us: other task queues, each in its usual set-up, in an environment of their own.

Celery (prefork) and RQ (SimpleWorker) on Redis without persistence, as people run them: what they have taken is gone
with the Redis process. Procrastinate on PostgreSQL: durable, as ours.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import measure
from bench.children import ROOT, Child
from bench.measure import Sample
from tools.postgres import Postgres
from tools.redis_server import RedisServer

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Kind:
    """How one peer's worker is started; `durable` says whether its enqueue survives a power cut."""

    name: str
    app: str
    worker: Sequence[str]
    durable: bool


KINDS = (
    Kind("Celery on Redis", "celery_app", ("celery", "-A", "celery_app", "worker", "-c", "2", "-l", "WARNING"), False),
    Kind("RQ on Redis", "rq_app", ("rq", "worker", "-w", "rq.SimpleWorker", "--url", "{redis}", "-q", "peers"), False),
    Kind("Procrastinate", "procrastinate_app", ("procrastinate", "--app", "procrastinate_app.app", "worker"), True),
)


class Peer:
    """One peer with a worker that waits, and a client."""

    def __init__(self, kind: Kind, worker: Child, driver: Child) -> None:
        self.kind = kind
        self._worker = worker
        self._driver = driver

    def latency(self, count: int, seed: int, gap: tuple[float, float] = measure.GAP) -> Sample:
        """From each call to the start of its job, one job at a time."""
        used = self._worker.cpu_seconds()
        self._driver.send(f"latency {count} {seed} {gap[0]} {gap[1]}")
        times: list[int] = json.loads(self._driver.line(120))
        return measure.sample(times, self._worker.cpu_seconds() - used)

    def enqueue(self, count: int) -> Sample:
        """As many calls as one client makes."""
        self._driver.send(f"enqueue {count}")
        elapsed: int = json.loads(self._driver.line(300))
        return measure.evenly(count, elapsed, 0.0)


def environment() -> Path:
    """The folder of programs of the peers' environment, made at the first time and whenever its requirements change."""
    requirements = HERE / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = ROOT / "build" / f"peers-{digest}"
    if not (folder / "whole").exists():
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "-q", "--clear", "-p", sys.executable, str(folder)], check=True)
        python = str(folder / "bin" / "python")
        subprocess.run([*uv, "pip", "install", "-q", "-p", python, "-r", str(requirements)], check=True)
        (folder / "whole").touch()
    return folder / "bin"


@contextlib.contextmanager
def running(folder: Path) -> Generator[list[Peer]]:
    """All peers, each with its worker and the server that keeps its jobs."""
    programs = environment()
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        postgres = stack.enter_context(Postgres())
        urls = redis.url, postgres.database()
        yield [_start(stack, kind, programs, folder, *urls) for kind in KINDS]


def _start(
    stack: contextlib.ExitStack, kind: Kind, programs: Path, folder: Path, redis_url: str, postgres_url: str
) -> Peer:
    env: Mapping[str, str] = {
        "PEERS_REDIS": redis_url,
        "PEERS_POSTGRES": postgres_url,
        "PEERS_SOCKET": str(folder / f"{kind.app}.socket"),
        "PYTHONPATH": str(HERE),
        "C_FORCE_ROOT": "1",
    }
    log = folder / f"{kind.app}.log"
    python = [str(programs / "python")]
    driver = Child("driver.py", [kind.app], log, env, python, HERE)
    stack.callback(driver.stop)
    driver.line(60)
    program, *arguments = (word.format(redis=redis_url) for word in kind.worker)
    worker = Child(str(programs / program), arguments, log, env, python, HERE)
    stack.callback(worker.stop)
    peer = Peer(kind, worker, driver)
    peer.latency(5, 0)  # until the worker is there
    return peer
