"""Starting a courier."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# The working directory and the script's folder must not be searched for modules: a user's `queue.py` or `grpc.py` is
# not what the courier means. Folders given behind the spool are searched last.
_BOOT = (
    "import sys; sys.path[:1] = []; sys.path += sys.argv[2:]; "
    "from batuta_courier.__main__ import main; sys.exit(main())"
)


def argv(spool_dir: Path, python: str | None = None) -> list[str]:
    """The command line of a courier for this spool. `python` is the interpreter; None: the one that runs now."""
    here = str(Path(__file__).resolve().parent.parent)
    return [python or sys.executable, "-c", _BOOT, str(spool_dir), *_siblings(here)]


def start(spool_dir: Path, env: Mapping[str, str] | None = None, python: str | None = None) -> subprocess.Popen[bytes]:
    """Start a courier in a session of its own, so that a Ctrl-C meant for the script does not reach it.

    `env` replaces the environment (None: inherited). What it has to say goes to courier.log in the spool. A second
    courier on one spool ends at once. Raises OSError.
    """
    fd = os.open(spool_dir / "courier.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            argv(spool_dir, python),
            stdin=subprocess.DEVNULL,
            stdout=fd,
            stderr=fd,
            cwd="/" if os.name == "posix" else None,
            env=None if env is None else dict(env),
            start_new_session=True,
        )
    finally:
        os.close(fd)


def _siblings(here: str) -> list[str]:
    """Where our other packages and the libraries they need were found, when not beside this one."""
    import importlib.util

    found = [here]
    for name in ("batuta_rpc", "batuta_proto", "grpc", "google.protobuf"):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            # grpc/__init__.py is two steps below the folder to search, google/protobuf/__init__.py three.
            folder = str(Path(spec.origin).resolve().parents[1 + name.count(".")])
            if folder not in found:
                found.append(folder)
    return found
