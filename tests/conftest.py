from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.chaos.counting import counted
from tools.postgres import Postgres

# A shell that starts the suite in the background has SIGINT ignored, and children inherit that: those that tests
# interrupt would never notice.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Say what failed at once: a suite that is cut off later has told it all the same."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        sys.stderr.write(f"\n{report.outcome} in {report.when}: {report.nodeid}\n{report.longreprtext[-6000:]}\n")
        sys.stderr.flush()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many seeded runs there were: here, since a process that only hands out tests reads no deeper file."""
    runs, breaks = counted(report for reports in terminalreporter.stats.values() for report in reports)
    if runs:
        terminalreporter.write_sep("=", "chaos")
        terminalreporter.write_line(f"{runs} seeded runs, {len(breaks)} invariant breaks")
        for line in breaks:
            terminalreporter.write_line(f"  {line}")


@pytest.fixture(scope="session")
def postgres_server() -> Generator[Postgres]:
    """One PostgreSQL server for all tests that want one. It forgives a power cut less than a real one should."""
    with Postgres(settings={"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}) as server:
        yield server


@pytest.fixture
def new_database(postgres_server: Postgres) -> Callable[[], str]:
    """Makes a fresh database and returns its URL."""
    return postgres_server.database


@pytest.fixture
def small_disk() -> Generator[Callable[[int], Path]]:
    """Mounts a file system of so many MiB, so that it can be filled. Only root may; for others the reason is shown."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system to fill; CI does")
    mounted: list[Path] = []

    def mount(mebibytes: int) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="batuta-disk-"))  # where a server of another user gets at it too
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)], check=True)
        mounted.append(folder)
        folder.chmod(0o755)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


@pytest.fixture
def fill_disk() -> Callable[[Path], Path]:
    """Leaves no byte free on the file system of a folder, by a file whose path it gives."""

    def fill(folder: Path) -> Path:
        ballast = folder / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        os.write(file.fileno(), b"x" * size)
        return ballast

    return fill
