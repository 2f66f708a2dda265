"""Ids sort by the time at which they were made, and never repeat."""

from __future__ import annotations

import re
import uuid

from batuta_rpc.ids import SystemIds, uuid7_hex
from batuta_rpc.testing import SeededIds


def test_an_id_is_a_uuid_of_version_7_in_lowercase_hex() -> None:
    made = SystemIds().new_id()
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert uuid.UUID(made).version == 7
    assert uuid.UUID(made).variant == uuid.RFC_4122


def test_an_id_carries_the_millisecond_of_its_making() -> None:
    assert int(uuid7_hex(1_700_000_000_123_456_789, 0)[:12], 16) == 1_700_000_000_123


def test_ids_of_one_millisecond_still_sort() -> None:
    made = [uuid7_hex(1_700_000_000_000_000_000 + step * 1_000, 2**62 - 1 - step) for step in range(1_000)]
    assert made == sorted(made)


def test_ten_thousand_ids_are_all_different() -> None:
    ids = SystemIds()
    assert len({ids.new_id() for _ in range(10_000)}) == 10_000


def test_a_request_id_is_a_uuid_as_the_contract_wants_it() -> None:
    assert str(uuid.UUID(SystemIds().request_id())) != str(uuid.UUID(SystemIds().request_id()))


def test_secrets_are_long_and_safe_in_urls() -> None:
    assert re.fullmatch("[A-Za-z0-9_-]{43}", SystemIds().secret())


def test_the_same_seed_gives_the_same_ids_in_sorted_order() -> None:
    first, second = SeededIds(7), SeededIds(7)
    made = [first.new_id() for _ in range(5)]
    assert made == [second.new_id() for _ in range(5)]
    assert made == sorted(made)
