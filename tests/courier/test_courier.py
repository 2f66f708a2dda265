from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from batuta_courier import layout
from batuta_courier.courier import Courier, Stubs
from batuta_courier.producer import ProducerSpool
from batuta_courier.tails import stored, tails
from batuta_courier.testing import FakeApi
from batuta_proto.logs import v1 as logs
from batuta_proto.metrics import v1 as metrics
from batuta_proto.tasks import v1 as tasks
from batuta_rpc.auth import StaticToken
from batuta_rpc.channel import open_sync
from batuta_rpc.clock import Clock, SystemClock
from batuta_rpc.ids import SystemIds

StartCourier = Callable[[Path], "subprocess.Popen[bytes]"]
StartScript = Callable[[str], "subprocess.Popen[str]"]
CLOCK = SystemClock()


def console(spool: Path, data: bytes) -> None:
    with open(spool / "console.log", "ab") as file:
        file.write(data)
    layout.wake(spool)


def test_console_text_and_scalars_reach_the_server_and_the_acks_reach_the_ends(
    api: FakeApi, spool: Path, start_courier: StartCourier
) -> None:
    producer = ProducerSpool(spool, CLOCK, "x")
    for at in range(1_000):
        producer.scalars.report("loss", "train", at / 2, at)
    producer.text(b"hello\n")
    console(spool, b"line 1\n")
    courier = start_courier(spool)
    api.state.wait_for(lambda: len(api.state.points("t")) == 1_000)
    api.state.wait_for(lambda: api.state.log("t") == b"line 1\n")
    console(spool, b"line 2\n")
    api.state.wait_for(lambda: api.state.log("t") == b"line 1\nline 2\n")
    api.state.wait_for(lambda: api.state.log("t", f"{producer.name}.text") == b"hello\n")
    layout.write_close(spool, layout.Close())
    assert courier.wait(10) == 0
    acks = layout.read_acks(spool)
    assert acks.done
    assert acks.error is None
    assert stored(acks, tails(spool))
    assert {(tail.producer, tail.kind, tail.end) for tail in tails(spool)} == {
        ("console", "log", 14),
        (f"{producer.name}.text", "log", 6),
        (producer.name, "scalars", 1_000),
    }
    assert "FinishTask" not in api.state.calls


def test_a_million_bytes_and_a_hundred_thousand_scalars_arrive_in_order(
    api: FakeApi, spool: Path, start_courier: StartCourier
) -> None:
    producer = ProducerSpool(spool, CLOCK, "x")
    data = b"".join(b"%d\n" % number for number in range(600_000))
    courier = start_courier(spool)
    for at in range(100_000):
        producer.scalars.report("loss", f"s{at % 3}", float(at), at)
    console(spool, data)
    layout.write_close(spool, layout.Close())
    assert courier.wait(60) == 0
    assert api.state.log("t") == data
    points = api.state.points("t")
    assert sorted(point[2] for point in points) == list(range(100_000))
    assert [point[2] for point in points if point[1] == "s1"] == list(range(1, 100_000, 3))


def test_a_courier_that_was_killed_is_followed_by_one_that_goes_on_without_gap_or_double(
    api: FakeApi, spool: Path, start_courier: StartCourier
) -> None:
    producer = ProducerSpool(spool, CLOCK, "x")
    written = 0
    for _ in range(4):
        courier = start_courier(spool)
        for _ in range(30_000):
            producer.scalars.report("a", "b", float(written), written)
            written += 1
        console(spool, b"x" * 1_000_000)
        api.state.wait_for(lambda goal=written - 29_999: len(api.state.points("t")) >= goal)
        courier.kill()
        courier.wait()
    layout.write_close(spool, layout.Close())
    assert start_courier(spool).wait(60) == 0
    assert [point[2] for point in api.state.points("t")] == list(range(written))
    assert len(api.state.log("t")) == 4_000_000


def test_a_log_that_has_reached_its_quota_is_settled_and_everything_else_goes_on(
    api: FakeApi, spool: Path, start_courier: StartCourier
) -> None:
    api.state.log_quota = 100_000
    producer = ProducerSpool(spool, CLOCK, "x")
    console(spool, b"x" * 1_000_000)
    courier = start_courier(spool)
    api.state.wait_for(lambda: len(api.state.log("t")) == 100_000)
    console(spool, b"and more")
    producer.scalars.report("loss", "train", 1.0, 1)
    producer.text(b"hello\n")
    api.state.wait_for(lambda: api.state.log("t", f"{producer.name}.text") == b"hello\n")
    layout.write_close(spool, layout.Close())
    assert courier.wait(20) == 0
    assert layout.read_acks(spool).error is None
    assert stored(layout.read_acks(spool), tails(spool))
    assert len(api.state.points("t")) == 1
    assert len(api.state.log("t")) == 100_000


def test_a_lost_answer_does_not_double_a_batch(api: FakeApi, spool: Path, start_courier: StartCourier) -> None:
    producer = ProducerSpool(spool, CLOCK, "x")
    for at in range(100):
        producer.scalars.report("a", "b", 0.0, at)
    api.state.answers_to_lose = 2
    layout.write_close(spool, layout.Close())
    assert start_courier(spool).wait(30) == 0
    assert [point[2] for point in api.state.points("t")] == list(range(100))
    assert api.state.calls.count("AppendScalars") >= 2


def test_a_server_that_goes_away_and_comes_back_gets_everything(
    api: FakeApi, spool: Path, start_courier: StartCourier
) -> None:
    producer = ProducerSpool(spool, CLOCK, "x")
    console(spool, b"before\n")
    courier = start_courier(spool)
    api.state.wait_for(lambda: api.state.log("t") == b"before\n")
    api.stop()
    console(spool, b"during\n")
    producer.scalars.report("a", "b", 1.0, 1)
    api.start()
    api.state.wait_for(lambda: api.state.log("t") == b"before\nduring\n")
    api.state.wait_for(lambda: len(api.state.points("t")) == 1)
    layout.write_close(spool, layout.Close())
    assert courier.wait(30) == 0


def test_a_fenced_attempt_ends_the_courier_which_says_so(
    api: FakeApi, spool: Path, start_courier: StartCourier
) -> None:
    with api.state.changed:
        api.state.close_attempt(api.state.task("t"), [])
    console(spool, b"late\n")
    assert start_courier(spool).wait(30) == 1
    acks = layout.read_acks(spool)
    assert not acks.done
    assert "attempt 1 of task t is closed" in str(acks.error)
    assert api.state.log("t") == b""


def test_an_order_to_stop_ends_the_courier_and_another_goes_on(
    api: FakeApi, spool: Path, start_courier: StartCourier
) -> None:
    console(spool, b"one\n")
    courier = start_courier(spool)
    api.state.wait_for(lambda: api.state.log("t") == b"one\n")
    courier.send_signal(signal.SIGTERM)
    assert courier.wait(10) == 1
    assert layout.read_acks(spool).error is None
    console(spool, b"two\n")
    layout.write_close(spool, layout.Close())
    assert start_courier(spool).wait(10) == 0
    assert api.state.log("t") == b"one\ntwo\n"


def test_of_two_couriers_on_one_spool_the_second_ends_at_once(
    api: FakeApi, spool: Path, start_courier: StartCourier
) -> None:
    console(spool, b"one\n")
    first = start_courier(spool)
    api.state.wait_for(lambda: api.state.log("t") == b"one\n")
    assert start_courier(spool).wait(10) == 0
    assert first.poll() is None


def test_no_module_of_the_users_folder_is_taken_for_a_library(
    api: FakeApi, spool: Path, start_courier: StartCourier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("grpc", "queue", "select", "logging"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
    monkeypatch.chdir(tmp_path)
    layout.write_close(spool, layout.Close())
    assert start_courier(spool).wait(10) == 0


def local_spool(home: Path, api: FakeApi, script: subprocess.Popen[str], task_id: str = "t") -> Path:
    from batuta_courier.process import start_time

    api.state.add_task(task_id)
    spool_dir = layout.spool_root(home) / f"{task_id}.1"
    layout.create(spool_dir, layout.RunInfo(task_id, 1, api.address, layout.LOCAL, script.pid, start_time(script.pid)))
    return spool_dir


def test_a_local_script_that_was_killed_ends_failed_with_everything_it_wrote(
    api: FakeApi, home: Path, start_courier: StartCourier, start_script: StartScript
) -> None:
    script = start_script("input()")
    spool = local_spool(home, api, script)
    producer = ProducerSpool(spool, CLOCK, "x")
    courier = start_courier(spool)
    producer.scalars.report("a", "b", 1.0, 1)
    console(spool, b"working\n")
    script.kill()
    task = api.state.wait_for_state("t", tasks.TASK_STATE_FAILED)
    assert task.status.reason == "KILLED"
    assert "is gone; its exit code is not known" in task.status.message
    assert courier.wait(10) == 0
    assert api.state.log("t") == b"working\n"
    assert len(api.state.points("t")) == 1
    assert not spool.exists()


@pytest.mark.parametrize(
    ("status", "close", "state", "code"),
    [
        (b"\x00", layout.Close(True, "COMPLETED", exiting=True), tasks.TASK_STATE_COMPLETED, 0),
        (b"\x03", layout.Close(True, "COMPLETED", exiting=True), tasks.TASK_STATE_FAILED, 3),
        (b"\x01", layout.Close(True, "FAILED", "EXCEPTION", "ValueError: no", 1, True), tasks.TASK_STATE_FAILED, 1),
        (b"", layout.Close(True, "COMPLETED", exiting=True), tasks.TASK_STATE_COMPLETED, None),
        (b"\x05", None, tasks.TASK_STATE_FAILED, 5),
    ],
)
def test_the_exit_code_has_the_last_word_on_a_local_run(
    api: FakeApi,
    home: Path,
    start_courier: StartCourier,
    start_script: StartScript,
    status: bytes,
    close: layout.Close | None,
    state: tasks.TaskState,
    code: int | None,
) -> None:
    script = start_script("input()")
    spool = local_spool(home, api, script)
    courier = start_courier(spool)
    if close is not None:
        layout.write_close(spool, close)
    (spool / "exit_status").write_bytes(status)
    script.communicate("\n")
    task = api.state.wait_for_state("t", state)
    assert (task.status.exit_code if task.status.HasField("exit_code") else None) == code
    assert courier.wait(10) == 0


def test_a_damaged_producer_costs_neither_the_console_nor_the_tasks_end(
    api: FakeApi, home: Path, start_courier: StartCourier, start_script: StartScript
) -> None:
    script = start_script("input()")
    spool = local_spool(home, api, script)
    (spool / "1-x").mkdir()
    (spool / "1-x" / "scalars.0").write_bytes(b"something else altogether" * 10)
    courier = start_courier(spool)
    console(spool, b"before\n")
    api.state.wait_for(lambda: api.state.log("t") == b"before\n")
    console(spool, b"after\n")
    api.state.wait_for(lambda: api.state.log("t") == b"before\nafter\n")
    layout.write_close(spool, layout.Close(True, "COMPLETED"))
    api.state.wait_for_state("t", tasks.TASK_STATE_COMPLETED)
    assert courier.wait(10) == 1
    assert "scalars.0" in (layout.read_acks(spool).error or "")


def test_thousands_of_forked_reporters_do_not_use_up_the_couriers_files(
    api: FakeApi, spool: Path, start_courier: StartCourier
) -> None:
    for number in range(60):
        ProducerSpool(spool, CLOCK, f"x{number}", records=8).scalars.report("a", "b", 1.0, number)
    courier = start_courier(spool)
    api.state.wait_for(lambda: len(api.state.points("t")) == 60)
    until = CLOCK.monotonic() + 10
    while len([path for path in open_files(courier.pid) if "scalars." in path]) > 1:
        assert CLOCK.monotonic() < until
    layout.write_close(spool, layout.Close())
    assert courier.wait(10) == 0


def open_files(pid: int) -> list[str]:
    found: list[str] = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(each))
    return found


def test_a_courier_whose_agents_folder_is_deleted_ends(api: FakeApi, spool: Path, start_courier: StartCourier) -> None:
    courier = start_courier(spool)
    console(spool, b"line\n")
    api.state.wait_for(lambda: api.state.log("t") == b"line\n")
    gone = spool.rename(spool.with_name("gone"))  # at once: the courier may be writing an acknowledgement
    shutil.rmtree(gone)
    assert courier.wait(60) == 1


def test_a_courier_that_an_agent_has_forgotten_ends(api: FakeApi, spool: Path) -> None:
    assert in_this_process(spool, CLOCK) == "nothing to ship for a long time"
    acks = layout.read_acks(spool)
    assert not acks.done
    assert acks.error is None


def in_this_process(spool: Path, clock: Clock) -> str | None:
    run = layout.read_run(spool)
    channel = open_sync(run.api, StaticToken("attempt-token"), "courier-test")
    try:
        stubs = Stubs(tasks.TaskServiceStub(channel), metrics.MetricServiceStub(channel), logs.LogServiceStub(channel))
        return Courier(spool, run, stubs, clock, SystemIds(), idle_limit=1.0).run()
    finally:
        channel.close()


def test_a_process_with_thousands_of_open_files_ships_all_the_same(api: FakeApi, spool: Path) -> None:
    (spool / "console.log").write_bytes(b"hello\n")
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]  # select() knows no descriptor above 1023
    try:
        assert in_this_process(spool, CLOCK) == "nothing to ship for a long time"
    finally:
        for fd in held:
            os.close(fd)
    assert api.state.log("t") == b"hello\n"


def test_a_courier_of_which_one_thread_breaks_ends_and_leaves_the_rest_to_the_next(api: FakeApi, spool: Path) -> None:
    class BreaksInThreads(SystemClock):
        def monotonic(self) -> float:
            if threading.current_thread() is not threading.main_thread():
                raise RuntimeError("no time here")
            return super().monotonic()

    (spool / "console.log").write_bytes(b"hello\n")
    ended = in_this_process(spool, BreaksInThreads())
    assert ended == "the courier broke: RuntimeError('no time here'); a later one goes on"
    assert not layout.read_acks(spool).done
    assert in_this_process(spool, CLOCK) == "nothing to ship for a long time"
    assert api.state.log("t") == b"hello\n"


def test_a_damaged_word_of_the_end_is_none(spool: Path) -> None:
    (spool / "close.json").write_bytes(b"")
    assert layout.read_close(spool) is None


def test_an_aborted_local_script_is_interrupted_and_the_task_ends_aborted(
    api: FakeApi, home: Path, start_courier: StartCourier, start_script: StartScript
) -> None:
    script = start_script(
        "try:\n    print('ready', flush=True)\n    input()\nexcept KeyboardInterrupt:\n    print('interrupted')\n"
    )
    spool = local_spool(home, api, script)
    courier = start_courier(spool)
    assert script.stdout is not None
    assert script.stdout.readline() == "ready\n"
    with api.state.changed:
        api.state.task("t").status.state = tasks.TASK_STATE_STOPPING
        api.state.changed.notify_all()
    assert script.stdout.read() == "interrupted\n"
    script.wait()
    assert api.state.wait_for_state("t", tasks.TASK_STATE_ABORTED).status.reason == "USER_ABORT"
    assert courier.wait(10) == 0


def test_a_courier_also_brings_home_what_a_dead_one_left_beside_its_spool(
    api: FakeApi, home: Path, start_courier: StartCourier, start_script: StartScript
) -> None:
    dead = start_script("")
    dead.wait()
    left = local_spool(home, api, dead, "left")
    console(left, b"nobody shipped this\n")
    script = start_script("input()")
    spool = local_spool(home, api, script)
    courier = start_courier(spool)
    layout.write_close(spool, layout.Close(True, "COMPLETED"))
    assert courier.wait(20) == 0
    assert api.state.log("left") == b"nobody shipped this\n"
    assert api.state.state("left") == tasks.TASK_STATE_FAILED
    assert api.state.state("t") == tasks.TASK_STATE_COMPLETED
    assert not left.exists()


def test_a_wrong_credential_ends_the_courier_and_keeps_the_spool(
    api: FakeApi, home: Path, start_courier: StartCourier, start_script: StartScript
) -> None:
    config = home / ".batuta" / "batuta.conf"
    config.write_text(config.read_text().replace("SK", "wrong"))
    script = start_script("input()")
    spool = local_spool(home, api, script)
    console(spool, b"kept\n")
    assert start_courier(spool).wait(20) == 1
    assert "secret key" in str(layout.read_acks(spool).error)
    assert (spool / "console.log").read_bytes() == b"kept\n"


def test_ack_json_is_what_its_readers_were_promised(api: FakeApi, spool: Path, start_courier: StartCourier) -> None:
    console(spool, b"abc")
    layout.write_close(spool, layout.Close())
    assert start_courier(spool).wait(10) == 0
    assert json.loads((spool / "ack.json").read_text()) == {
        "producers": {"console": {"log": 3}},
        "done": True,
        "error": None,
        "refused_millis": 0,
        "dropped": {},
    }
    assert os.stat(spool / "ack.json").st_mode & 0o077 == 0


def test_a_run_that_ended_while_the_server_was_away_ends_there_with_all_its_data(
    api: FakeApi, home: Path, start_courier: StartCourier, start_script: StartScript
) -> None:
    script = start_script("input()")
    spool = local_spool(home, api, script)
    producer = ProducerSpool(spool, CLOCK, "x")
    console(spool, b"one\n")
    courier = start_courier(spool)
    api.state.wait_for(lambda: api.state.log("t") == b"one\n")
    api.stop()
    for at in range(100):
        producer.scalars.report("a", "b", 1.0, at)
        console(spool, b"more\n")
    layout.write_close(spool, layout.Close(True, "COMPLETED"))
    CLOCK.sleep_blocking(3.0)  # longer than the end of a task waits for its data while a server answers
    with api.state.changed:
        api.state.task("t").status.state = tasks.TASK_STATE_RUNNING
    api.start()
    api.state.wait_for_state("t", tasks.TASK_STATE_COMPLETED)
    assert len(api.state.points("t")) == 100
    assert api.state.log("t") == b"one\n" + b"more\n" * 100
    assert courier.wait(10) == 0
