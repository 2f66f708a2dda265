"""What a server does not take, and when it wants to be asked again."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batuta_courier import layout
from batuta_courier.ledger import Ledger
from batuta_courier.log_shipper import LogShipper
from batuta_courier.producer import ProducerSpool
from batuta_courier.retrying import Retry
from batuta_courier.testing import ASKED, FakeApi
from batuta_proto.logs import v1 as logs
from batuta_rpc.auth import StaticToken
from batuta_rpc.channel import open_sync
from batuta_rpc.clock import SystemClock
from batuta_rpc.errors import RateLimited, RpcError, TooLarge
from batuta_rpc.testing import FakeClock, SeededIds

StartCourier = Callable[[Path], "subprocess.Popen[bytes]"]
CLOCK = SystemClock()


class Refusing:
    """A fault for `FakeState.on_step`: one producer's calls are refused."""

    def __init__(self, producer: str, error: RpcError) -> None:
        self.producer = producer
        self.error: RpcError | None = error
        self.times = 0

    def __call__(self, call: str, moment: str, producer: str) -> None:
        if moment == ASKED and producer == self.producer and self.error is not None:
            self.times += 1
            raise self.error


def reported(spool: Path, nonce: str, points: int) -> ProducerSpool:
    producer = ProducerSpool(spool, CLOCK, nonce)
    for at in range(points):
        producer.scalars.report("loss", "train", 1.0, at)
    return producer


def test_scalars_that_are_too_large_are_given_up_once_told_and_everything_else_arrives(
    api: FakeApi, spool: Path, start_courier: StartCourier
) -> None:
    large, small = reported(spool, "large", 1_000), reported(spool, "small", 10)
    (spool / "console.log").write_bytes(b"line\n")
    fault = api.state.on_step = Refusing(large.name, TooLarge("the task may have 10 series"))
    courier = start_courier(spool)
    note = f"the scalars of process {large.name} after the first 0 are lost: the task may have 10 series"
    api.state.wait_for(lambda: note in api.state.log("t").decode())
    asked = fault.times
    large.scalars.report("loss", "train", 1.0, 1)  # lost as well, and nobody is asked any more
    small.scalars.report("loss", "train", 1.0, 10)
    api.state.wait_for(lambda: len(api.state.points("t")) == 11)
    layout.write_close(spool, layout.Close())
    assert courier.wait(60) == 0
    assert fault.times == asked
    assert api.state.log("t").decode() == f"line\n\nbatuta: {note}\n"
    assert layout.read_acks(spool).done


def test_a_log_that_is_too_large_is_given_up_once_told_and_everything_else_arrives(
    api: FakeApi, spool: Path, start_courier: StartCourier
) -> None:
    producer = reported(spool, "x", 10)
    producer.text(b"much\n")
    fault = api.state.on_step = Refusing(f"{producer.name}.text", TooLarge("no"))
    courier = start_courier(spool)
    api.state.wait_for(lambda: b"text ends here: no" in api.state.log("t"))
    layout.write_close(spool, layout.Close())
    assert courier.wait(60) == 0
    assert fault.times == 1
    assert len(api.state.points("t")) == 10


def test_what_is_given_up_when_the_run_has_ended_is_told_in_its_console_or_too_late_for_that_by_its_spool(
    api: FakeApi, spool: Path, start_courier: StartCourier
) -> None:
    large, small = reported(spool, "large", 10), reported(spool, "small", 10)
    api.state.on_step = Refusing(large.name, TooLarge("no"))
    layout.write_close(spool, layout.Close())
    told_by_spool = start_courier(spool).wait(60) == 1
    note = f"the scalars of process {large.name} after the first 0 are lost"
    assert (note in str(layout.read_acks(spool).error)) is told_by_spool
    assert (note in api.state.log("t").decode()) is not told_by_spool
    assert len(api.state.points("t")) == 10
    assert layout.read_acks(spool).scalars(small.name) == 10


def test_a_call_is_not_made_again_before_the_server_wants_it_however_much_hurry_there_is() -> None:
    clock = FakeClock()
    retry = Retry(clock, SeededIds())
    assert 60.0 < retry.failed(RateLimited("wait", retry_delay=60.0)) <= 60.1
    retry.hurry()
    assert retry.seconds() == 60.0
    clock.advance(60.0)
    assert retry.seconds() == 0.0


def test_a_server_that_asks_for_nothing_is_asked_at_once_when_it_is_back() -> None:
    retry = Retry(FakeClock(), SeededIds())
    waits = [retry.failed() for _ in range(20)]
    assert max(waits) <= 16.0
    assert waits[0] < 0.1 < waits[-1]
    assert retry.seconds() == pytest.approx(waits[-1])
    retry.hurry()
    assert retry.seconds() == 0.0


@contextmanager
def shipping_logs(spool: Path, clock: FakeClock) -> Generator[LogShipper]:
    run = layout.read_run(spool)
    channel = open_sync(run.api, StaticToken("attempt-token"), "courier-test")
    shipper = LogShipper(spool, run, logs.LogServiceStub(channel), Ledger(spool, clock), clock, SeededIds())
    thread = threading.Thread(target=shipper.run)
    thread.start()
    try:
        yield shipper
    finally:
        shipper.stop()
        thread.join()
        channel.close()


def test_a_log_that_was_sent_away_for_a_minute_comes_after_a_minute_while_others_pass(
    api: FakeApi, spool: Path
) -> None:
    clock = FakeClock()
    producer = ProducerSpool(spool, CLOCK, "x")
    (spool / "console.log").write_bytes(b"line\n")
    fault = api.state.on_step = Refusing("console", RateLimited("wait", retry_delay=60.0))
    with shipping_logs(spool, clock) as shipper:
        api.state.wait_for(lambda: fault.times == 1)
        fault.error = None
        for number in range(1, 21):  # time enough to see the refusal, and to come again too early
            shipper.hurry()
            producer.text(b"other\n")
            told = b"other\n" * number
            api.state.wait_for(lambda told=told: api.state.log("t", f"{producer.name}.text") == told)
        assert api.state.log("t") == b""
        clock.advance(61.0)
        shipper.hurry()
        api.state.wait_for(lambda: api.state.log("t") == b"line\n")
