"""How many seeded runs a session made, and how many invariants they broke."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

_RUN = "seeded run"


@dataclass(frozen=True)
class Tally:
    """Judges the runs of one test. What it counts travels with the test's report, also from one process to another."""

    item: pytest.Item

    def judge(self, what: str, found: list[str]) -> None:
        """Count one run. Fails the test when something broke."""
        self.item.user_properties.append((_RUN, [f"{what}: {line}" for line in found]))
        assert not found, f"{what}\n" + "\n".join(found)


def counted(reports: Iterable[Any]) -> tuple[int, list[str]]:
    """The runs, and what broke in them, of the reports of a session."""
    calls = [each for each in reports if getattr(each, "when", "") == "call"]
    runs = [value for each in calls for name, value in each.user_properties if name == _RUN]
    return len(runs), [line for run in runs for line in run]
