from __future__ import annotations

import signal
from collections.abc import Callable, Generator

import pytest

from tools.postgres import Postgres

# A shell that starts the suite in the background has SIGINT ignored, and children inherit that: those that tests
# interrupt would never notice.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_server() -> Generator[Postgres]:
    """One PostgreSQL server for all tests that want one. It forgives a power cut less than a real one should."""
    with Postgres(settings={"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}) as server:
        yield server


@pytest.fixture
def new_database(postgres_server: Postgres) -> Callable[[], str]:
    """Makes a fresh database and returns its URL."""
    return postgres_server.database
