"""What an import costs a user's process, and on which Python it works."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 9)
RUNS_ON_OLDEST = ("sdk/", "protos/python/", "agent/batuta_agent/shim")
HEAVY = "grpc google.protobuf numpy rich sqlalchemy psutil asyncio"


def loaded_after(statement: str, watched: str) -> set[str]:
    """Which of the watched modules a fresh interpreter holds after the statement."""
    program = f"import sys\n{statement}\nprint(*[name for name in {watched.split()!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_sdk_loads_nothing_heavy() -> None:
    assert loaded_after("import batuta", HEAVY) == set()


def test_clock_and_ids_come_without_grpc() -> None:
    assert loaded_after("import batuta_rpc.clock, batuta_rpc.ids", "grpc google.protobuf") == set()


def test_messages_come_without_grpc() -> None:
    assert loaded_after("from batuta_proto.metrics import v1 as metrics; metrics.AppendScalarsRequest", "grpc") == set()


def test_code_of_the_users_process_parses_on_the_oldest_python(texts: dict[str, str]) -> None:
    for path, text in texts.items():
        if path.startswith(RUNS_ON_OLDEST):
            ast.parse(text, path, feature_version=OLDEST)


def test_stubs_parse_on_the_oldest_python(root: Path) -> None:
    for path in sorted((root / "protos/gen/python").rglob("*.py")):
        ast.parse(path.read_text(), str(path), feature_version=OLDEST)
