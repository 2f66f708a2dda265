"""Time, randomness and ids are injected: two modules touch the real ones, everything else takes a Clock and Ids."""

from __future__ import annotations

import ast

# testing.py holds the fakes: a seeded generator, and a clock that gives way to the loop.
REAL = {f"protos/python/batuta_rpc/{name}.py" for name in ("clock", "ids", "testing")}

# Other uses that may stand ("path:name"), each with its reason.
ALLOWED: dict[str, str] = {}

FORBIDDEN_MODULES = {"time", "random", "uuid", "secrets"}
FORBIDDEN_CALLS = {
    "asyncio.sleep",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.date.today",
    "date.today",
    "os.urandom",
    "loop.time",
}


def uses(tree: ast.Module) -> list[str]:
    """The forbidden names that a module imports or reads."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names if name.name.split(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            if (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
                found.append(node.module or "")
            found += [f"asyncio.{n.name}" for n in node.names if node.module == "asyncio" and n.name == "sleep"]
            found += [f"os.{n.name}" for n in node.names if node.module == "os" and n.name == "urandom"]
        elif isinstance(node, ast.Attribute):
            dotted = ast.unparse(node)
            if dotted in FORBIDDEN_CALLS or dotted.endswith((".get_running_loop().time", ".get_event_loop().time")):
                found.append(dotted)
    return found


def test_only_the_clock_and_the_ids_touch_the_real_ones(trees: dict[str, ast.Module]) -> None:
    found = {f"{path}:{name}" for path, tree in trees.items() if path not in REAL for name in uses(tree)}
    assert found <= ALLOWED.keys(), "\n".join(sorted(found - ALLOWED.keys()))
    assert found >= ALLOWED.keys(), "exceptions no longer needed"


def test_the_rule_sees_what_it_must_see() -> None:
    sample = "import time\nfrom uuid import uuid4\nfrom asyncio import sleep\nasyncio.sleep(1)\ndatetime.now()\n"
    assert uses(ast.parse(sample)) == ["time", "uuid", "asyncio.sleep", "asyncio.sleep", "datetime.now"]
