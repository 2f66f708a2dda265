"""Worlds for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.counting import TALLY, Tally
from tests.chaos.world import World
from tests.e2e.conftest import home

__all__ = ["home"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them break something."""
    for item in items:
        if "tests/chaos/" in item.path.as_posix():
            item.add_marker(pytest.mark.chaos)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many runs there were."""
    if TALLY.runs:
        terminalreporter.write_sep("=", "chaos")
        terminalreporter.write_line(f"{TALLY.runs} seeded runs, {len(TALLY.breaks)} invariant breaks")
        for line in TALLY.breaks:
            terminalreporter.write_line(f"  {line}")


@pytest.fixture
def tally() -> Tally:
    """Counts and judges runs."""
    return TALLY


@pytest.fixture
def open_world(tmp_path: Path, home: Path) -> Iterator[Callable[[], World]]:
    """Opens worlds; all that is in them is ended with the test."""
    made: list[World] = []

    def make() -> World:
        made.append(World(tmp_path / f"w{len(made)}", home))
        return made[-1]

    yield make
    for world in made:
        world.close()
