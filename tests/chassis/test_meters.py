"""Counting: totals, distributions, bounds on labels, and what a look into the database may cost."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import pytest

from batuta_chassis.contract import Rule
from batuta_chassis.exposition import text
from batuta_chassis.interceptors.meter import CallMeter
from batuta_chassis.meters import OTHER, Cells, Counter, Family, Histogram, Looked, gauge
from batuta_proto.users import v1 as users
from batuta_rpc.testing import FakeClock


def rule(name: str = "/a.v1.A/Get", *, streaming: bool = False, deprecated: bool = False) -> Rule:
    return Rule(
        name=name,
        public=False,
        roles=(),
        admitted=frozenset(),
        parse=users.GetUserRequest.FromString,
        request=users.GetUserRequest,
        response=users.GetUserResponse,
        reads=True,
        client_streaming=False,
        server_streaming=streaming,
        deprecated=deprecated,
    )


def sample(families: Sequence[Family], name: str, **labels: str) -> float:
    return next(
        one.value
        for family in families
        for one in family.samples
        if family.name + one.suffix == name and labels.items() <= dict(one.labels).items()
    )


def test_each_bucket_holds_those_below_it_and_a_value_on_a_bound_counts_below_it() -> None:
    cells = Cells((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        cells.note(value)
    found = {(each.suffix, each.labels.get("le", "")): each.value for each in cells.samples({})}
    assert found == {
        ("_bucket", "1"): 2,
        ("_bucket", "2"): 3,
        ("_bucket", "+Inf"): 4,
        ("_count", ""): 4,
        ("_sum", ""): 12.0,
    }


async def test_labels_that_a_caller_invents_are_bounded() -> None:
    counter = Counter("batuta_x", "x", "client")
    for number in range(1000):
        counter.add(1, f"client-{number}")
    [family] = await counter.read()
    assert len(family.samples) <= 201
    assert sum(each.value for each in family.samples) == 1000
    assert sample([family], "batuta_x_total", client=OTHER) > 700


async def test_calls_are_counted_by_method_and_code_and_refusals_by_reason() -> None:
    meter = CallMeter()
    get = meter.of(rule())
    for code, reason in (
        (grpc.StatusCode.OK, ""),
        (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"),
    ):
        get.open += 1
        get.end(code, reason, 0.003)
    get.open += 1
    families = await meter.read()
    assert sample(families, "batuta_rpc_total", method="a.v1.A/Get", code="OK") == 1
    assert sample(families, "batuta_rpc_open", method="a.v1.A/Get") == 1
    assert sample(families, "batuta_rpc_seconds_count", method="a.v1.A/Get") == 3
    assert sample(families, "batuta_rpc_refused_total", kind="auth", reason="TOKEN_EXPIRED") == 1
    assert sample(families, "batuta_rpc_refused_total", kind="limit", reason="RATE_LIMITED") == 1


async def test_how_long_a_stream_was_open_is_no_latency() -> None:
    meter = CallMeter()
    watch = meter.of(rule(streaming=True))
    watch.open += 1
    watch.end(grpc.StatusCode.OK, "", 3600.0)
    families = await meter.read()
    assert sample(families, "batuta_rpc_total", code="OK") == 1
    assert not [each for each in families if each.name == "batuta_rpc_seconds" and each.samples]


async def test_calls_of_methods_that_will_go_name_the_client() -> None:
    meter = CallMeter()
    old = meter.of(rule(deprecated=True))
    meter.outdated(old, (("authorization", "x"), ("batuta-client", "sdk-python/0.0.1")))
    meter.outdated(old, None)
    families = await meter.read()
    assert sample(families, "batuta_rpc_deprecated_total", method="a.v1.A/Get", client="sdk-python/0.0.1") == 1
    assert sample(families, "batuta_rpc_deprecated_total", client="unknown") == 1


async def test_a_look_into_the_database_is_kept_for_a_while() -> None:
    clock, looks = FakeClock(), list[int]()

    async def look() -> list[Family]:
        looks.append(1)
        return [gauge("batuta_x", "x", len(looks))]

    looked = Looked(look, clock, kept=5.0)
    assert sample(await looked.read(), "batuta_x") == 1
    clock.advance(4)
    assert sample(await looked.read(), "batuta_x") == 1
    clock.advance(2)
    assert sample(await looked.read(), "batuta_x") == 2


async def test_the_text_has_types_escapes_and_the_numbers_of_the_process() -> None:
    counter, histogram = Counter("batuta_x", "what x is", "queue"), Histogram("batuta_y_seconds", "y", (1.0,))
    counter.add(2, 'a "b"\n')
    histogram.note(0.5)
    page = text([*(await counter.read()), *(await histogram.read())], "queue").decode()
    assert "# TYPE batuta_x_total counter" in page or "# TYPE batuta_x counter" in page
    assert 'batuta_x_total{queue="a \\"b\\"\\n",service="queue"} 2.0' in page
    assert 'batuta_y_seconds_bucket{le="1",service="queue"} 1.0' in page
    assert "process_resident_memory_bytes" in page


def test_a_value_too_many_is_refused_by_no_counter() -> None:
    counter = Counter("batuta_x", "x")
    counter.add()
    with pytest.raises(TypeError):
        counter.add("one")  # type: ignore[arg-type]
