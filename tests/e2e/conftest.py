"""Deployments for the tests of this folder. Everything is a real process; environments are built once per session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness.git_server import Repository
from tests.e2e.harness.payloads import Ledger
from tests.e2e.harness.remote import Remote
from tests.e2e.harness.stack import AllInOne, Deployment, Services


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them are end-to-end tests."""
    for item in items:
        if "tests/e2e/" in item.path.as_posix():
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home folder of all agents of the session: its caches hold each environment once."""
    folder = tmp_path_factory.mktemp("home")
    if "UV_CACHE_DIR" not in os.environ:  # what was downloaded for an earlier session is not downloaded again
        os.environ["UV_CACHE_DIR"] = str(Path.home() / ".cache" / "uv")
    return folder


@pytest.fixture(scope="session")
def services(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Queue and API that are shared by all tests that kill nothing."""
    stack = Services(tmp_path_factory.mktemp("shared"), home)
    yield stack
    left = stack.close()
    assert left == [], "processes that nobody stopped"


@pytest.fixture(scope="session")
def shared(services: Services) -> Services:
    """The shared services with an agent that runs two tasks at once from the queue `default`."""
    services.agent("default", name="shared", slots=2)
    services.remote().online("shared")
    return services


@pytest.fixture
def remote(services: Services) -> Remote:
    """The shared services through gRPC."""
    return services.remote()


@pytest.fixture
def ledger(services: Services) -> Ledger:
    """What payloads of the shared services wrote down."""
    return Ledger(services.ledger)


class Deployments:
    """Makes deployments that end with the test."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder = folder
        self._home = home
        self.made: list[Deployment] = []

    def services(self) -> Services:
        """Queue and API, each its own process."""
        stack = Services(self._folder / f"d{len(self.made)}", self._home)
        self.made.append(stack)
        return stack

    def up(self, *arguments: str) -> AllInOne:
        """`batuta up`."""
        stack = AllInOne(self._folder / f"d{len(self.made)}", self._home, *arguments)
        self.made.append(stack)
        return stack


@pytest.fixture
def deploy(tmp_path: Path, home: Path, request: pytest.FixtureRequest) -> Iterator[Deployments]:
    """Deployments of this test's own."""
    deployments = Deployments(tmp_path, home)
    yield deployments
    report = getattr(request.node, "rep_call", None)
    failed = report is None or report.failed
    left: list[str] = []
    for stack in deployments.made:
        if failed:
            print(stack.logs())
        left += stack.close()
    assert failed or left == [], "processes that nobody stopped"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Any:
    """Remember how the test went, and show what the shared processes said when it failed."""
    report = yield
    setattr(item, f"rep_{report.when}", report)
    if report.when == "call" and report.failed:
        funcargs: dict[str, Any] = getattr(item, "funcargs", {})
        stack = funcargs.get("services")
        if isinstance(stack, Deployment):
            report.sections.append(("processes", stack.logs()))
    return report


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    """A git repository with a remote over http."""
    made = Repository(tmp_path / "git")
    yield made
    made.close()
