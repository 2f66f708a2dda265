"""The broker's limits: what can be set, what is refused, and what each of them ends with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batuta_chassis.limits import limits_of, read_limits
from batuta_chassis.settings import SettingsError
from batuta_queue.numbers import Numbers
from batuta_rpc.errors import QueueFull, TooLarge

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.mark.parametrize("name", ["heartbeat_period", "longest_heartbeat_period"])
def test_a_heartbeat_that_no_lease_survives_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="lease policy FAST"):
        read_limits(Numbers, {name: "60"})


def test_the_page_for_operators_lists_every_limit_with_its_default() -> None:
    page = PAGE.read_text(encoding="utf-8")
    missing = [each.name for each in limits_of(Numbers) if f"| `{each.name}` | {each.shown} |" not in page]
    assert missing == []


async def test_a_full_queue_says_so(open_house: Any) -> None:
    async with open_house(max_queue_entries=1) as house:
        await house.submit("e1")
        with pytest.raises(QueueFull, match="as many as it may"):
            await house.submit("e2")


async def test_a_payload_beyond_the_limit_names_both_sizes(open_house: Any) -> None:
    async with open_house(max_payload_bytes=10) as house:
        with pytest.raises(TooLarge, match=r"11 bytes.*10"):
            await house.submit("e1", data=b"x" * 11)
        await house.submit("e1", data=b"x" * 10)
