"""Everything that must hold before a change is taken: lint, types, imports, contract, drift, house rules.

Runs the steps two at a time, prints one line for each, and what a step said only when it failed. Run it by
`make check`, or name the steps: `python tools/check.py ruff mypy`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SURROUNDINGS = {**os.environ, "PATH": os.pathsep.join([str(ROOT / ".venv/bin"), os.environ.get("PATH", os.defpath)])}
GENERATED = (
    "protos/gen/python/batuta_proto",
    "services/chassis/batuta_chassis/contract.binpb",
    "services/chassis/batuta_chassis/openapi.json",
)


@dataclass(frozen=True)
class Outcome:
    """How a step ended: whether it passed, and what it said."""

    passed: bool
    text: str


def run(*command: str) -> Outcome:
    """Runs one program of .venv or the system in the repository root, output caught."""
    done = subprocess.run(
        command, cwd=ROOT, env=SURROUNDINGS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return Outcome(done.returncode == 0, done.stdout)


def breaking() -> Outcome:
    """Compares the contract with that of the last release."""
    tag = run("git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*")
    if not tag.passed:
        return Outcome(True, "no release tag yet, so nothing to break")
    release = tag.text.strip()
    outcome = run("buf", "breaking", "--against", f".git#tag={release}")
    return Outcome(outcome.passed, outcome.text or f"against {release}")


def drift() -> Outcome:
    """Regenerates what is generated and compares it with what is committed."""
    with tempfile.TemporaryDirectory() as scratch:
        toolchain = run("tools/oldest_toolchain", "-c", "import grpc_tools")
        if not toolchain.passed:
            return Outcome(True, f"SKIPPED: the generator needs Python 3.11 or 3.12 and its wheels\n{toolchain.text}")
        made = run("sh", "tools/genproto.sh", scratch)
        if not made.passed:
            return made
        differences = [run("diff", "-r", "-q", "-x", "__pycache__", f"{scratch}/{path}", path) for path in GENERATED]
    text = "".join(outcome.text for outcome in differences)
    return Outcome(all(outcome.passed for outcome in differences), text and f"{text}run `make proto` and commit")


STEPS: dict[str, Callable[[], Outcome]] = {
    "pyright": lambda: run("pyright", "--warnings"),
    "mypy": lambda: run("mypy"),
    "drift": drift,
    "ruff": lambda: run("ruff", "check", "--quiet", "--output-format=concise"),
    "format": lambda: run("ruff", "format", "--check", "--quiet", "--output-format=concise"),
    "imports": lambda: run("lint-imports"),
    "buf lint": lambda: run("buf", "lint"),
    "buf format": lambda: run("buf", "format", "--diff", "--exit-code"),
    "breaking": breaking,
    "house": lambda: run("python", "-m", "pytest", "-q", "tests/house", "tests/contract"),
}


def timed(name: str) -> tuple[str, Outcome, float]:
    """Runs one step; returns its name, its outcome and the seconds it took."""
    start = time.monotonic()
    outcome = STEPS[name]()
    return name, outcome, time.monotonic() - start


def main(names: list[str]) -> int:
    """Runs the steps named, or all; returns the process's exit status."""
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        print(f"no such step: {', '.join(unknown)}; there are {', '.join(STEPS)}", file=sys.stderr)
        return 2
    failed: list[str] = []
    with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        for name, outcome, seconds in pool.map(timed, names or list(STEPS)):
            print(f"{'ok    ' if outcome.passed else 'FAILED'} {name:<10} {seconds:5.1f} s", flush=True)
            quiet = outcome.passed and name not in {"breaking", "drift"}
            if outcome.text.strip() and not quiet:
                print("    " + outcome.text.strip().replace("\n", "\n    "), flush=True)
            if not outcome.passed:
                failed.append(name)
    print(f"check: {', '.join(failed)} failed" if failed else "check: all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
