"""What the house rules look at: the tracked files, and every module of ours as a syntax tree."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "protos/python/batuta_rpc",
    "sdk/batuta",
    "sdk/batuta_courier",
    "agent/batuta_agent",
    "services/chassis/batuta_chassis",
    "services/api/batuta_api",
    "services/queue/batuta_queue",
    "services/autoscaler/batuta_autoscaler",
)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository root."""
    return ROOT


@pytest.fixture(scope="session")
def tracked(root: Path) -> list[str]:
    """Every file that git tracks or would track, as paths from the root, vendored and generated ones left out."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    foreign = ("protos/vendor/", "protos/gen/")
    return [path for path in listing.stdout.splitlines() if not path.startswith(foreign) and (root / path).is_file()]


@pytest.fixture(scope="session")
def texts(root: Path) -> dict[str, str]:
    """The text of every module of every package of ours, by its path from the root."""
    found = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    return {path.relative_to(root).as_posix(): path.read_text() for path in found}


@pytest.fixture(scope="session")
def trees(texts: dict[str, str]) -> dict[str, ast.Module]:
    """The syntax tree of every module of every package of ours, by its path from the root."""
    return {path: ast.parse(text, path) for path, text in texts.items()}
