"""The main job, live: a training script runs an epoch here, sends itself to a queue, and an agent trains on.

Run by `make demo`. All of it lives in `.demo/` and on free loopback ports, and is stopped at the end, whatever the end.
Only caches stay, so that the second run is quick.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

import psutil

from batuta_proto.tasks import v1 as tasks
from batuta_rpc.auth import CredentialTokens
from batuta_rpc.channel import open_sync
from batuta_rpc.clock import SystemClock
from batuta_rpc.config import load_connection
from batuta_rpc.errors import DeadlineExceeded

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".demo"
EPOCHS = "12"
MARK = "BATUTA_DEMO"
"""Variable that all our processes inherit, so that none is forgotten."""
ENDED = (tasks.TASK_STATE_COMPLETED, tasks.TASK_STATE_FAILED, tasks.TASK_STATE_ABORTED)
EDIT = ('print(f"trained', 'print("this line was never committed", flush=True)\n    print(f"trained')


class DemoFailed(Exception):
    """The main job did not go as it should; the text says how."""


class Steps:
    """What took how long."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._last = self._clock.monotonic()
        self._taken: list[tuple[str, float]] = []

    def now(self) -> float:
        """Seconds, comparable among themselves."""
        return self._clock.monotonic()

    def done(self, step: str, at: float | None = None) -> None:
        """The step has ended, now or at the moment `at`."""
        moment = self.now() if at is None else at
        self._taken.append((step, moment - self._last))
        self._last = moment

    def table(self) -> str:
        """All steps, with their sum."""
        rows = [*self._taken, ("all together", sum(seconds for _, seconds in self._taken))]
        size = max(len(step) for step, _ in rows)
        return "\n".join(f"  {step:<{size}}  {seconds:7.2f} s" for step, seconds in rows)


class Demo:
    """One run of the demo and all its processes."""

    def __init__(self) -> None:
        self.steps = Steps()
        self._clock = SystemClock()
        self._mark = f"{os.getpid()}"
        self._children: list[subprocess.Popen[str]] = []
        self._server = FOLDER / "server"
        self._code = FOLDER / "code"
        self._printing = threading.Lock()
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("BATUTA_")}
        uv_cache = os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))
        self._env = {**inherited, "HOME": str(FOLDER / "home"), "UV_CACHE_DIR": uv_cache, MARK: self._mark}
        self._env["GIT_CONFIG_GLOBAL"] = os.devnull

    def run(self) -> None:
        """The whole story. Raises `DemoFailed`."""
        for stale in (self._server, self._code, FOLDER / "home" / "batuta.conf"):
            shutil.rmtree(stale, ignore_errors=True)
        (FOLDER / "home").mkdir(parents=True, exist_ok=True)
        self._title("1. The server, with an agent beside it: batuta up")
        api = self._start_server()
        self._finish("log in", [*_batuta("init"), "--api", api, "--file", str(self._server / "admin.credentials")])
        self.steps.done("server up, logged in")

        self._title("2. A repository with an edit that is not committed")
        self._make_repository()
        self.steps.done("repository")

        self._title(f"3. One epoch here, then off to the queue: python digits.py --epochs {EPOCHS}")
        self._finish("the local epoch", [sys.executable, "digits.py", "--epochs", EPOCHS], self._code)
        self.steps.done("local epoch and enqueue")

        self._title("4. The agent trains on; console and metrics as they come")
        task = self._watch(api)
        self._check(task)

    def _start_server(self) -> str:
        words = ["up", "--data", str(self._server), "--port", str(_free_port()), "--queue-port", str(_free_port())]
        up = self._spawn(_batuta(*words), FOLDER, stdout=subprocess.PIPE)
        said: list[str] = []
        found = threading.Event()

        def read() -> None:
            for line in _lines(up):
                said.append(line)
                self._print(f"  {line}")
                if "Ctrl-C" in line:
                    found.set()
            found.set()

        threading.Thread(target=read, daemon=True).start()
        if not found.wait(60) or up.poll() is not None:
            raise DemoFailed("the server did not come up within 60 s")
        address = re.search(r"API\s+(\S+)", "\n".join(said))
        if address is None:
            raise DemoFailed("the server did not say where it is")
        return address[1]

    def _make_repository(self) -> None:
        """A repository whose remote is served over http: agents clone as they would from a team's host."""
        bare = FOLDER / "code" / "served" / "digits.git"
        self._code = FOLDER / "code" / "work"
        self._code.mkdir(parents=True)
        bare.mkdir(parents=True)
        port = _free_port()
        server = [
            sys.executable,
            "-m",
            "http.server",
            str(port),
            "--bind",
            "127.0.0.1",
            "--directory",
            str(bare.parent),
        ]
        self._spawn(server, FOLDER, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        script = (ROOT / "examples" / "digits.py").read_text()
        (self._code / "digits.py").write_text(script)
        git = ["git", "-c", "user.name=demo", "-c", "user.email=demo@localhost"]
        for words in (
            ["init", "-q", "--bare", "-b", "main", str(bare)],
            ["init", "-q", "-b", "main", "."],
            ["add", "-A"],
            ["commit", "-q", "-m", "Train on digits"],
            ["remote", "add", "origin", f"http://127.0.0.1:{port}/digits.git"],
            ["push", "-q", str(bare), "main"],
            ["--git-dir", str(bare), "update-server-info"],
        ):
            self._finish(f"git {words[0]}", [*git, *words], self._code)
        self._until("the repository is served", 10, lambda: _listens(port))
        self._finish("git fetch", [*git, "fetch", "-q", "origin"], self._code)
        (self._code / "digits.py").write_text(script.replace(*EDIT))
        self._finish("git diff", [*git, "--no-pager", "diff", "-U0"], self._code)

    def _watch(self, api: str) -> tasks.Task:
        """Follow console, metrics and state until the task has ended."""
        connection = load_connection({}, self._config)
        assert connection is not None
        tokens = CredentialTokens(api, connection.access_key, connection.secret_key, self._clock)
        with open_sync(api, tokens, "demo") as channel:
            stub = tasks.TaskServiceStub(channel)
            wanted = tasks.ListTasksRequest.Filter(project_name="examples", display_name="digits")
            identity = stub.ListTasks(tasks.ListTasksRequest(filter=wanted)).tasks[0].id
            seen = {"last line": self.steps.now()}
            followers = [
                self._follow("console", identity, "logs", seen),
                self._follow("metrics", identity, "metrics", {}),
            ]
            self._note_states(stub, identity, seen)
            for follower in followers:
                follower.join(30)
            self.steps.done("run on the agent, to its last line", min(seen["last line"], seen["ended"]))
            self.steps.done("last line seen, then COMPLETED", seen["ended"])
            return stub.GetTask(tasks.GetTaskRequest(task_id=identity)).task

    def _note_states(self, stub: Any, identity: str, seen: dict[str, float]) -> None:
        """Note when the task was taken, began to run, and ended."""
        shown = ""
        try:
            for answer in stub.WatchTask(tasks.WatchTaskRequest(task_id=identity), timeout=300):
                status = answer.task.status
                state = tasks.TaskState.Name(status.state)[11:]
                if state != shown:
                    self._print(f"  state    {state}{' on ' + status.agent_id if status.agent_id else ''}")
                    shown = state
                if status.state != tasks.TASK_STATE_QUEUED and "taken" not in seen:
                    seen["taken"] = self.steps.now()
                    self.steps.done("queued, taken by the agent")
                if status.HasField("start_time") and status.phase >= 40 and "running" not in seen:
                    seen["running"] = self.steps.now()
                    self.steps.done("environment")
                if status.state in ENDED:
                    seen["ended"] = self.steps.now()
                    return
        except DeadlineExceeded:
            raise DemoFailed(f"task {identity} did not end within 300 s") from None

    def _follow(self, name: str, identity: str, noun: str, seen: dict[str, float]) -> threading.Thread:
        process = self._spawn(_batuta("task", noun, "-f", identity), FOLDER, stdout=subprocess.PIPE)

        def read() -> None:
            for line in _lines(process):
                seen["last line"] = self.steps.now()
                self._print(f"  {name:<8} {line}")

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def _check(self, task: tasks.Task) -> None:
        """The end is what was promised."""
        state = tasks.TaskState.Name(task.status.state)[11:]
        if state != "COMPLETED":
            raise DemoFailed(f"task {task.id} is {state}: {task.status.message}")
        if task.status.last_iteration != int(EPOCHS) - 1:
            raise DemoFailed(f"the last epoch seen is {task.status.last_iteration + 1}, not {EPOCHS}")
        self._title(
            f"Task {task.id} is COMPLETED: {EPOCHS} epochs, the first here, the others on {task.status.agent_id}"
        )
        self._finish("metrics", _batuta("task", "metrics", task.id))

    def _finish(self, what: str, command: list[str], folder: Path = FOLDER) -> None:
        """Run a program to its end, its output shown. Raises `DemoFailed`."""
        process = self._spawn(command, folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for line in _lines(process):
            self._print(f"  {line}")
        if process.wait(60) != 0:
            raise DemoFailed(f"{what} ended with status {process.returncode}")

    @property
    def _config(self) -> Path:
        return FOLDER / "home" / ".batuta" / "batuta.conf"

    def _spawn(self, command: list[str], folder: Path, **streams: Any) -> subprocess.Popen[str]:
        # In a session of its own: Ctrl-C is ours to pass on, in order.
        process: subprocess.Popen[str] = subprocess.Popen(
            command, cwd=folder, env=self._env, stdin=subprocess.DEVNULL, text=True, errors="replace",
            start_new_session=True, **streams,
        )  # fmt: skip
        self._children.append(process)
        return process

    def _until(self, what: str, seconds: float, look: Callable[[], bool]) -> None:
        end = self.steps.now() + seconds
        while not look():
            if self.steps.now() > end:
                raise DemoFailed(f"not within {seconds:g} s: {what}")
            self._clock.sleep_blocking(0.02)

    def _title(self, text: str) -> None:
        self._print(f"\n{text}")

    def _print(self, text: str) -> None:
        with self._printing:
            print(text, flush=True)

    def stop(self) -> int:
        """End all processes, the newest first, then whatever they left. Returns how many had to be killed."""
        for child in reversed(self._children):
            with contextlib.suppress(subprocess.TimeoutExpired):
                if child.poll() is None:
                    child.send_signal(signal.SIGINT)
                child.wait(20)
        left = [process for process in psutil.process_iter() if _marked(process, self._mark)]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=5)
        return len(left)


def _marked(process: psutil.Process, mark: str) -> bool:
    """Whether it is ours: by its environment, or, as couriers have their own, by a folder of ours in its arguments."""
    try:
        named = any(word.startswith(f"{FOLDER}/") for word in process.cmdline())
        return process.pid != os.getpid() and (named or process.environ().get(MARK) == mark)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _batuta(*words: str) -> list[str]:
    return [sys.executable, "-m", "batuta", *words]


def _lines(process: subprocess.Popen[str]) -> list[str] | Any:
    stream: IO[str] | None = process.stdout
    return () if stream is None else (line.rstrip("\n") for line in stream)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> int:
    """Run the demo; 0 when the main job went as it should."""
    demo = Demo()
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: started in the background, a shell has it ignored
        signal.signal(number, signal.default_int_handler)
    code = 1
    try:
        demo.run()
        code = 0
    except DemoFailed as error:
        print(f"\ndemo: {error}. What the server said is above; its data is in {FOLDER}.", file=sys.stderr)
    except KeyboardInterrupt:
        code = 130
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C must not leave processes behind
            signal.signal(number, signal.SIG_IGN)
        left = demo.stop()
        demo.steps.done("everything stopped")
    if left and code == 0:
        print(f"demo: {left} processes did not end by themselves", file=sys.stderr)
        code = 1
    if code == 0:
        print(f"\nHow long each step took\n{demo.steps.table()}")
    return code


if __name__ == "__main__":
    sys.exit(main())
