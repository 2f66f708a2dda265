"""A Docker engine of our own for a test: a daemon in a folder, without a bridge, ended with the test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.harness.processes import Process, poll

NEEDED = ("dockerd", "docker", "mmdebstrap", "iptables", "ip", "unshare")
BASE = "batuta-test-base"


def missing() -> str:
    """What this machine lacks for an engine; empty where nothing is."""
    lacking = [name for name in NEEDED if shutil.which(name) is None]
    if lacking:
        packages = "docker.io mmdebstrap iproute2"
        return f"not here: {', '.join(lacking)} (Debian: apt-get install --no-install-recommends {packages})"
    return "" if os.geteuid() == 0 else "dockerd and mmdebstrap need root"


class Engine:
    """dockerd with its own data, and the `docker` that talks to it. Containers use the machine's network."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Sockets have short paths, those of tests are long ones.
        self._socket = Path("/run") / f"batuta-test-{os.getpid()}.sock"
        self.env = {**os.environ, "DOCKER_HOST": f"unix://{self._socket}", "DOCKER_BUILDKIT": "0"}
        self._daemon = self._start(["--bridge", "none", "--iptables=false"])

    def move_apart(self) -> None:
        """Go on in a network of its own, with bridges and rules that nobody else sees. There is no way out of it."""
        self.stop()
        # The namespace ends with the daemon, and all that the daemon has made in it.
        self._daemon = self._start([], ["unshare", "--net", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"])

    def _start(self, options: Sequence[str], before: Sequence[str] = ()) -> Process:
        words = [*before, "dockerd", "--host", f"unix://{self._socket}", *options]
        for name in ("data-root", "exec-root", "pidfile"):
            words += [f"--{name}", str(self._folder / name)]
        self._daemon = Process("dockerd", words, os.environ, self._folder / "dockerd.log", self._folder)
        try:
            poll("dockerd answers", 60, self._answers)
        except BaseException:
            self.close()
            raise
        return self._daemon

    def _answers(self) -> bool:
        assert self._daemon.running, self._daemon.said[-3000:]
        done = subprocess.run(["docker", "version"], env=self.env, capture_output=True, check=False, timeout=30)
        return done.returncode == 0

    def docker(self, *words: str, seconds: float = 120) -> str:
        """Run `docker`, which must succeed; what it printed."""
        done = subprocess.run(
            ["docker", *words], env=self.env, capture_output=True, text=True, check=False, timeout=seconds
        )
        assert done.returncode == 0, f"docker {' '.join(words)}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done.stdout.strip()

    def run(self, name: str, image: str, options: Sequence[str] = (), command: Sequence[str] = ()) -> None:
        """Start a container that may do as little as ours may in production."""
        closed = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        self.docker("run", "-d", "--network", "host", "--name", name, *closed, *options, image, *command)

    def make_base(self) -> str:
        """An image with Debian's Python, made from packages: no registry of images is needed. Its name."""
        archive, authorities = self._folder / "base.tar", Path("/etc/ssl/certs/ca-certificates.crt")
        words = ["mmdebstrap", "--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io"]
        words += ["--include=python3,python3-venv,ca-certificates"]
        # What this machine trusts: its way to the packages may lead through a proxy.
        words += [f"--customize-hook=copy-in {authorities} {authorities.parent}"]
        command = [*words, _release(), str(archive), *_mirror()]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=220)
        assert done.returncode == 0, done.stderr[-3000:]
        change = f"ENV SSL_CERT_FILE={authorities} PIP_CERT={authorities}"
        self.docker("import", "-c", change, str(archive), BASE)
        archive.unlink()
        return BASE

    def make_stand_in(self, name: str, packages: str, entry: str) -> None:
        """An image by a name of the compose file, made from Debian's packages: it listens to the same settings."""
        text = f"FROM {BASE}\nRUN apt-get update -q && apt-get install -q -y --no-install-recommends {packages}\n"
        folder = self._folder / "stand-in"
        folder.mkdir(exist_ok=True)
        (folder / "entry").write_text(entry)
        (folder / "Dockerfile").write_text(f'{text}COPY entry /entry\nENTRYPOINT ["sh", "/entry"]\n')
        self.docker("build", "--network", "host", "-t", name, str(folder), seconds=200)

    def stop(self) -> None:
        """End all containers and the daemon; what it has stored stays."""
        if self._daemon.running:
            listed = subprocess.run(["docker", "ps", "-aq"], env=self.env, capture_output=True, text=True, check=False)
            for container in listed.stdout.split():
                subprocess.run(["docker", "rm", "-f", container], env=self.env, capture_output=True, check=False)
        self._daemon.stop(60)
        self._socket.unlink(missing_ok=True)
        # dockerd leaves names of network namespaces mounted, and nothing could delete the folder.
        mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for path in reversed([each for each in mounted if f"{each}/".startswith(f"{self._folder}/")]):
            subprocess.run(["umount", "-l", path], check=False)

    def close(self) -> None:
        """End everything and forget it."""
        self.stop()
        shutil.rmtree(self._folder / "data-root", ignore_errors=True)


def _release() -> str:
    found = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE)
    assert found is not None, "this system has no VERSION_CODENAME: mmdebstrap knows Debian's releases"
    return found[1]


def _mirror() -> list[str]:
    """Where this machine gets its own packages, if that is written as Debian writes it; else mmdebstrap knows one."""
    for path in sorted(Path("/etc/apt").glob("sources.list*/*.sources")):
        found = re.search(r"^URIs: (\S+/debian/?)$", path.read_text(), re.MULTILINE)
        if found:
            return [found[1]]
    return []
