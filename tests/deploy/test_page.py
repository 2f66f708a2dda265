"""The operator's page: what it names is there, its numbers are the code's, and nothing in deploy/ goes unchecked."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from batuta_api.limits import Limits
from batuta_chassis.settings import Settings
from batuta_queue.numbers import Numbers
from batuta_rpc.target import API_PORT, DISPATCH_PORT

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "deploy.md").read_text()
CHECKED = ("systemd/", "docker/", "helm/batuta/", "images/")
"""Folders of deploy/ with a module of tests here."""
ELSEWHERE = ("monitoring/",)
"""Folders of deploy/ that other tests are about."""


def table(heading: str) -> dict[str, str]:
    """First cell to the rest, of the table under a heading."""
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|", 1) for line in part.splitlines() if line.startswith("|")]
    return {cells[0].strip(): cells[1].strip() for cells in rows[2:]}


def number(heading: str, what: str) -> list[float]:
    """The numbers in the row of a table that names a setting."""
    (value,) = [cells for first, cells in table(heading).items() if f"`{what}`" in first]
    return [float(each.replace(" ", "")) for each in re.findall(r"\d[\d ]*(?:\.\d+)?", value)]


def test_every_link_leads_somewhere() -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", PAGE):
        path, _, anchor = link.partition("#")
        target = (ROOT / "docs" / path).resolve() if path else ROOT / "docs" / "deploy.md"
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"(?m)^#+ (.*)$", target.read_text())
            assert anchor in {re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings}, link


def test_the_ports_are_those_of_the_services() -> None:
    ports = table("Ports and firewall")
    assert ports[str(API_PORT)].startswith("API")
    assert ports[str(DISPATCH_PORT)].startswith("queue")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (
            "heartbeat_period",
            [Numbers().heartbeat_period, Numbers().heartbeat_jitter * 100, Numbers().longest_heartbeat_period],
        ),
        ("accept_within", [Numbers().accept_within]),
        ("mass_loss_agents", [Numbers().mass_loss_agents, Numbers().mass_loss_share * 100]),
        ("registrations", [0.1, 8, Numbers().registrations, Numbers().registration_window]),
        ("outgoing_messages", [Numbers().outgoing_messages, Numbers().outgoing_bytes / 2**20]),
        ("max_sessions", [Numbers().max_sessions]),
        ("max_queue_entries", [Numbers().max_queue_entries]),
        ("log_bytes_per_attempt", [Limits().log_bytes_per_attempt / 2**30]),
        ("disk_reserve", [Settings("api", Path("/x")).disk_reserve / 2**20]),
    ],
)
def test_numbers_to_plan_with_are_those_of_the_code(name: str, values: list[float]) -> None:
    assert number("Numbers to plan with", name) == values


def test_every_file_in_deploy_is_in_a_folder_that_tests_look_at() -> None:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "deploy"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert files
    assert not [path for path in files if not path.removeprefix("deploy/").startswith((*CHECKED, *ELSEWHERE))]
