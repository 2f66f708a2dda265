"""The bench runs: every row in its quick form, by the command that people use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "row", [*(pytest.param(row, marks=pytest.mark.nightly) for row in (1, 2, 3, 4, 5, 6, 7, 13, 19)), 8]
)
def test_a_row_says_what_it_measured_beside_what_and_whether_it_stands(row: int) -> None:
    done = bench(str(row), "--quick", "--rounds", "1", "--json")
    assert done.returncode == 0, done.stderr
    lines = json.loads(done.stdout)["rows"]
    assert {line["row"] for line in lines} == {row}
    assert all(line["value"] > 0 for line in lines)
    assert any(line["beside"] for line in lines)
    assert {line["verdict"] for line in lines} & {"stands", "misses"}


def test_an_unknown_row_is_refused_with_the_rows_there_are() -> None:
    done = bench("11")
    assert done.returncode == 2
    assert "there is no row 11; there are 1, 2, 3, 4, 5, 6, 7, 8, 13, 19" in done.stderr
