"""What the repository says about itself: commands that exist, dependencies with reasons, no address of one machine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from batuta_rpc.version import VERSION

TARGETS = ["help", "dev", "fmt", "check", "proto", "test", "clients", "chaos", "soak", "demo", "up", "bench", "clean"]


def makefile_targets(root: Path) -> dict[str, list[str]]:
    """Each target of the Makefile with its recipe."""
    targets: dict[str, list[str]] = {}
    name = ""
    for line in (root / "Makefile").read_text().splitlines():
        if head := re.match(r"([a-z]+):(?!=)", line):
            name = head.group(1)
            targets[name] = []
        elif line.startswith("\t") and name:
            targets[name].append(line)
        elif not line.startswith("\t"):
            name = ""
    return targets


def test_the_makefile_has_its_thirteen_targets_each_a_line_or_two(root: Path) -> None:
    targets = makefile_targets(root)
    assert list(targets) == TARGETS
    assert all(len(recipe) <= 2 for recipe in targets.values())


@pytest.mark.parametrize("page", ["README.md", "AGENTS.md"])
def test_commands_of_the_page_exist(root: Path, page: str) -> None:
    named = set(re.findall(r"`make ([a-z]+)|^(?:\$ )?make ([a-z]+)", (root / page).read_text(), re.MULTILINE))
    words = {first or second for first, second in named}
    assert words
    assert words <= set(TARGETS)


@pytest.mark.parametrize("page", ["README.md", "AGENTS.md", "docs/ARCHITECTURE.md", "docs/glossary.md"])
def test_links_of_the_page_lead_somewhere(root: Path, page: str) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", (root / page).read_text())
    assert not [link for link in links if not ((root / page).parent / link).exists()]


def test_every_dependency_has_its_reason(root: Path) -> None:
    text = (root / "pyproject.toml").read_text()
    project = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    entries = [line for line in project.splitlines() if re.match(r'  "[A-Za-z]', line) and '"batuta[' not in line]
    assert entries
    assert not [line for line in entries if "#" not in line]


def test_the_base_install_is_three_packages(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^a-z0-9-]", line)[0] for line in project["dependencies"]}
    assert names == {"grpcio", "protobuf", "googleapis-common-protos"}


def test_the_lock_names_hashes_and_no_registry(root: Path) -> None:
    lines = (root / "constraints.txt").read_text().splitlines()
    assert not [line for line in lines if "://" in line or line.startswith("-")]
    pins = [number for number, line in enumerate(lines) if re.match(r"[A-Za-z0-9]", line)]
    assert pins
    assert not [lines[number] for number in pins if "--hash=sha256:" not in lines[number + 1]]


def test_no_file_knows_a_registry_or_this_machine(root: Path, tracked: list[str]) -> None:
    words = [
        "pypi." + "org",
        "python" + "hosted.org",
        "npmjs." + "org",
        "/wo" + "rk/",
        "/ro" + "ot/",
        "/tmp/" + "brief",
    ]
    found: list[str] = []
    for path in tracked:
        content = (root / path).read_bytes()
        found += [f"{path}: {word}" for word in words if word.encode() in content]
    assert not found, found


def test_the_release_is_the_same_wherever_it_stands(root: Path) -> None:
    assert tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_the_change_log_has_this_release(root: Path) -> None:
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    log = (root / "CHANGELOG.md").read_text()
    assert f"## [{version}]" in log or "## [Unreleased]" in log
