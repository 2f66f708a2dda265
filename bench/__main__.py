"""`python -m bench [ROW …]`: measure the rows asked for, print one table, and say what stands and what misses."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from bench import report
from bench.children import ROOT
from bench.plan import Plan
from bench.rows import ROWS
from bench.stack import quiet_environment


def main(arguments: list[str] | None = None) -> int:
    """Returns the process's exit status: 0 when everything was measured, whether it stands or misses."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    known = ", ".join(map(str, ROWS))
    parser.add_argument("rows", nargs="*", type=int, metavar="ROW", help=f"which rows: {known} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each comparison (default: 5)")
    parser.add_argument("--quick", action="store_true", help="a few operations: does the bench work?")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    given = parser.parse_args(arguments)
    unknown = [row for row in given.rows if row not in ROWS]
    if unknown or given.rounds < 1:
        parser.error(f"there is no row {unknown[0]}; there are {known}" if unknown else "--rounds is at least 1")
    signal.signal(signal.SIGTERM, _stop)
    lines, on = measure_rows(given.rows or list(ROWS), given.rounds, given.quick)
    print(report.as_json(lines, on) if given.json else f"{on}\n\n{report.table(lines)}")
    return 0


def measure_rows(rows: list[int], rounds: int, quick: bool) -> tuple[list[report.Line], str]:
    """Run the rows one after the other in a scratch folder that is gone afterwards."""
    on = report.machine()
    build = ROOT / "build"  # not the temporary folder: that is often memory, where nothing is durable and all is quick
    build.mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="bench-", dir=build))
    try:
        with quiet_environment(scratch):
            plan = Plan(rounds, quick, scratch)
            return [line for row in rows for line in ROWS[row](plan)], on
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _stop(signum: int, _frame: FrameType | None) -> None:
    """End in order, so that the children are stopped."""
    sys.exit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
