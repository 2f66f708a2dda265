"""A real agent process against a scripted broker: the life of an attempt, and its survival."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest
from google.rpc import error_details_pb2

from batuta_agent.model import Phase
from batuta_agent.shim.processes import look
from batuta_agent.shim.state import State, read_state
from batuta_agent.testing import ScriptedBroker, until
from batuta_proto.agents import v1 as agents
from batuta_rpc.errors import SessionSuperseded

from .conftest import AgentProcess, assignment, script_task

pytestmark = pytest.mark.e2e

SLEEPER = "print('up', flush=True)\nimport time\nwhile True: time.sleep(0.05)"


def reason(report: agents.AssignmentReport) -> str:
    info = error_details_pb2.ErrorInfo()
    assert report.reason.details[0].Unpack(info)
    return info.reason


def state_of(agent: AgentProcess) -> State:
    state = read_state(str(agent.state / "attempts" / "task.1"))
    assert state is not None
    return state


def runs(pid: int) -> bool:
    process = look(pid)
    return process is not None and not process.gone


async def test_a_stored_script_runs_and_is_reported_with_its_console(
    broker: ScriptedBroker, agent: AgentProcess
) -> None:
    broker.tasks["task"] = script_task("import os; print('hello', os.environ['BATUTA_TASK_ID'])")
    await agent.start()
    session = await broker.welcomed()
    session.send(assignment=assignment())
    await session.take_report(Phase.ACCEPTED)
    await session.take_report(Phase.RUNNING)
    report = await session.take_report(Phase.SUCCEEDED)
    console = broker.console("task", 1)
    assert console.endswith("hello task\n")
    assert [(each.producer, each.end) for each in report.tails] == [("console", len(console))]
    assert report.exit_code == 0
    await until(lambda: not (agent.state / "attempts" / "task.1").exists())


@pytest.mark.parametrize(
    ("code", "word", "text"),
    [
        ("import sys; sys.exit(3)", "EXIT_CODE", "exit code 3"),
        ("raise ValueError('bad batch size')", "EXIT_CODE", "exit code 1: ValueError: bad batch size"),
        ("import os; os.kill(os.getpid(), 11)", "SIGNAL", "killed by SIGSEGV"),
    ],
)
async def test_a_failure_is_reported_in_words(
    broker: ScriptedBroker, agent: AgentProcess, code: str, word: str, text: str
) -> None:
    broker.tasks["task"] = script_task(code)
    await agent.start()
    session = await broker.welcomed()
    session.send(assignment=assignment())
    report = await session.take_report(Phase.FAILED)
    assert (reason(report), report.reason.message) == (word, text)


async def test_user_code_starts_only_after_the_acknowledgement_of_accepted(
    broker: ScriptedBroker, agent: AgentProcess, tmp_path: Path
) -> None:
    mark = tmp_path / "started"
    broker.tasks["task"] = script_task(f"open({str(mark)!r}, 'w').close()")
    await agent.start()
    session = await broker.session()
    await session.take("hello")
    session.welcome()
    session.send(assignment=assignment())
    accepted = await session.take_report(Phase.ACCEPTED)
    await until(lambda: (agent.folder / "cache" / "venvs").glob("*/.batuta-complete"))
    for _ in range(3):
        await session.take("heartbeat")
    assert not mark.exists()
    session.acknowledge(accepted.report_number)
    await session.take_report(Phase.SUCCEEDED)
    assert mark.exists()


async def test_a_cancel_ends_the_whole_tree_of_processes(
    broker: ScriptedBroker, agent: AgentProcess, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    broker.tasks["task"] = script_task(
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        f"        open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "        time.sleep(1000)\n"
        "    os._exit(0)\n"
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "time.sleep(1000)\n"
    )
    await agent.start()
    session = await broker.welcomed()
    session.send(assignment=assignment())
    await until(lambda: pids.exists() and len(pids.read_text().splitlines()) == 2)
    cancel = agents.Cancel(ref=assignment().ref, reason=agents.CANCEL_REASON_USER)
    cancel.grace.FromMilliseconds(600)
    session.send(cancel=cancel)
    report = await session.take_report(Phase.CANCELLED)
    assert (reason(report), report.signal) == ("USER_ABORT", signal.SIGKILL)
    assert [runs(int(pid)) for pid in pids.read_text().split()] == [False, False]


async def test_a_cancel_while_the_environment_is_built_stops_the_build(
    broker: ScriptedBroker, agent: AgentProcess
) -> None:
    broker.tasks["task"] = script_task("print('never')", requirements=["batuta", "grpcio"])
    await agent.start()
    session = await broker.welcomed()
    session.send(assignment=assignment())
    await session.take_report(Phase.PREPARING)
    session.send(cancel=agents.Cancel(ref=assignment().ref, reason=agents.CANCEL_REASON_USER))
    report = await session.take_report(Phase.CANCELLED)
    assert reason(report) == "USER_ABORT"
    assert not report.HasField("exit_code")


async def test_an_agent_killed_by_kill_9_finds_its_run_again_and_reports_it_once(
    broker: ScriptedBroker, agent: AgentProcess, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    broker.tasks["task"] = script_task(
        f"import os, time\nprint('one', flush=True)\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)\n"
        "print('two', flush=True)\n"
    )
    await agent.start()
    session = await broker.welcomed()
    session.send(assignment=assignment())
    await session.take_report(Phase.RUNNING)
    pid = state_of(agent).child_pid
    await agent.kill()
    assert runs(pid)
    await agent.start()
    again = await broker.session()
    hello = await again.take("hello")
    assert [(each.ref.task_id, each.ref.attempt) for each in hello.held] == [("task", 1)]
    again.auto = True
    again.welcome(expected=[assignment()], report_number=2)
    go.touch()
    await again.take_report(Phase.SUCCEEDED)
    console = broker.console("task", 1)
    assert console.count("one\n") == 1
    assert console.endswith("two\n")
    ends = [each.report for each in again.received if each.report.phase == Phase.SUCCEEDED]
    assert len(ends) == 1


async def test_a_run_that_ended_while_no_agent_lived_is_reported_by_the_next_one(
    broker: ScriptedBroker, agent: AgentProcess, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    broker.tasks["task"] = script_task(
        f"import os, sys, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)\nsys.exit(7)\n"
    )
    await agent.start()
    session = await broker.welcomed()
    session.send(assignment=assignment())
    await session.take_report(Phase.RUNNING)
    await agent.kill()
    go.touch()
    await until(lambda: state_of(agent).phase == "ended")
    await agent.start()
    again = await broker.welcomed(expected=[assignment()], report_number=2)
    report = await again.take_report(Phase.FAILED)
    assert report.exit_code == 7


async def test_an_end_that_was_never_acknowledged_is_reported_again_after_a_restart(
    broker: ScriptedBroker, agent: AgentProcess
) -> None:
    broker.tasks["task"] = script_task("pass")
    await agent.start()
    session = await broker.session()
    await session.take("hello")
    session.welcome()
    session.send(assignment=assignment())
    accepted = await session.take_report(Phase.ACCEPTED)
    session.acknowledge(accepted.report_number)
    first = await session.take_report(Phase.SUCCEEDED)
    await agent.kill()
    await agent.start()
    again = await broker.welcomed(expected=[assignment()], report_number=accepted.report_number)
    second = await again.take_report(Phase.SUCCEEDED)
    assert second.report_number == first.report_number


async def test_a_stopped_agent_says_goodbye_and_leaves_its_runs_alone(
    broker: ScriptedBroker, agent: AgentProcess
) -> None:
    broker.tasks["task"] = script_task(SLEEPER)
    await agent.start()
    session = await broker.welcomed()
    session.send(assignment=assignment())
    await session.take_report(Phase.RUNNING)
    agent.send_signal(signal.SIGTERM)
    goodbye = await session.take("goodbye")
    assert goodbye.keep_leases
    session.end()
    assert await agent.wait() == 0
    assert runs(state_of(agent).child_pid)
    assert "the next start finds them again" in agent.messages


async def test_with_stop_tasks_on_exit_a_stopped_agent_ends_and_reports_its_runs(
    broker: ScriptedBroker, agent: AgentProcess
) -> None:
    broker.tasks["task"] = script_task(SLEEPER)
    await agent.start("--queue", "default", "--stop-tasks-on-exit")
    session = await broker.welcomed()
    session.send(assignment=assignment())
    await session.take_report(Phase.RUNNING)
    agent.send_signal(signal.SIGINT)
    await session.take_report(Phase.CANCELLED)
    goodbye = await session.take("goodbye")
    assert not goodbye.keep_leases
    session.end()
    assert await agent.wait() == 0


async def test_a_killed_shim_takes_the_run_with_it_and_is_told_apart_from_the_runs_own_failure(
    broker: ScriptedBroker, agent: AgentProcess
) -> None:
    broker.tasks["task"] = script_task("import subprocess\nsubprocess.Popen(['sleep', '1000'])\n" + SLEEPER)
    await agent.start()
    session = await broker.welcomed()
    session.send(assignment=assignment())
    await until(lambda: broker.console("task", 1).endswith("up\n"))
    state = state_of(agent)
    os.kill(state.shim_pid, signal.SIGKILL)
    report = await session.take_report(Phase.FAILED)
    assert reason(report) == "SHIM_LOST"
    assert not runs(state.child_pid)


async def test_what_the_broker_calls_lost_is_killed_and_never_reported_on_again(
    broker: ScriptedBroker, agent: AgentProcess
) -> None:
    broker.tasks["task"] = script_task(SLEEPER)
    await agent.start()
    session = await broker.welcomed()
    session.send(assignment=assignment())
    await session.take_report(Phase.RUNNING)
    pid = state_of(agent).child_pid
    session.send(heartbeat_ack=agents.HeartbeatAck(heartbeat_number=1, lost=[assignment().ref]))
    await until(lambda: not runs(pid))
    await until(lambda: not (agent.state / "attempts" / "task.1").exists())
    while (await session.take("heartbeat")).held:
        pass
    assert not any(each.report.phase > Phase.RUNNING for each in session.received if each.HasField("report"))


async def test_a_superseded_agent_ends_with_a_code_that_service_managers_do_not_restart(
    broker: ScriptedBroker, agent: AgentProcess
) -> None:
    await agent.start()
    session = await broker.welcomed()
    session.end(SessionSuperseded("a newer session took over"))
    assert await agent.wait() == 78
    assert "another process took over" in agent.messages


async def test_an_agent_whose_own_late_stream_took_over_connects_again(
    broker: ScriptedBroker, agent: AgentProcess
) -> None:
    await agent.start()
    session = await broker.session()
    hello = await session.take("hello")
    session.welcome()
    session.end(SessionSuperseded("this process opened another session", instance_id=hello.instance_id))
    assert (await (await broker.session()).take("hello")).instance_id == hello.instance_id


async def test_an_unknown_queue_is_one_error_that_lists_the_queues_and_says_create_queue(
    broker: ScriptedBroker, agent: AgentProcess
) -> None:
    await agent.start("--queue", "gpu")
    assert await agent.wait() == 1
    assert [event["message"] for event in agent.events] == [
        "batuta agent: no queue 'gpu'; there are: default; --create-queue makes it"
    ]


async def test_create_queue_makes_a_missing_queue(broker: ScriptedBroker, agent: AgentProcess) -> None:
    await agent.start("--queue", "gpu", "--queue", "default", "--create-queue")
    hello = await (await broker.session()).take("hello")
    assert list(hello.queue_ids) == ["q-gpu", "q-default"]


async def test_a_wrong_credential_is_one_error(broker: ScriptedBroker, agent: AgentProcess, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.conf"
    wrong.write_text(f"[batuta]\napi = {broker.address}\naccess_key = key\nsecret_key = no\n")
    await agent.start("--queue", "default", "--credentials", str(wrong))
    assert await agent.wait() == 1
    assert [event["message"] for event in agent.events] == ["batuta agent: the credential is not valid"]


async def test_user_code_holds_the_attempts_token_and_never_the_agents_key(
    broker: ScriptedBroker, agent: AgentProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.tasks["task"] = script_task(
        "import json, os\nprint(json.dumps({k: v for k, v in os.environ.items() if 'BATUTA' in k}))"
    )
    await agent.start()
    session = await broker.welcomed()
    session.send(assignment=assignment())
    await session.take_report(Phase.SUCCEEDED)
    seen = json.loads(broker.console("task", 1).splitlines()[-1])
    assert seen["BATUTA_ATTEMPT_TOKEN"] == "token-task-1"
    assert sorted(seen) == [
        "BATUTA_API",
        "BATUTA_ATTEMPT",
        "BATUTA_ATTEMPT_TOKEN",
        "BATUTA_SPOOL_DIR",
        "BATUTA_TASK_ID",
    ]


async def test_the_agents_environment_bounds_what_a_run_may_leave_on_its_disk(
    broker: ScriptedBroker, agent: AgentProcess
) -> None:
    broker.tasks["task"] = script_task(
        "import json, os\n"
        "run = json.load(open(os.environ['BATUTA_SPOOL_DIR'] + '/run.json'))\n"
        "print('limits', run['spool_bytes'], run['all_bytes'])\n"
        "for _ in range(6_000): print('x' * 999)\n"
    )
    await agent.start(settings={"BATUTA_SPOOL_BYTES": "2000000", "BATUTA_SPOOL_LIMIT_BYTES": "9000000"})
    session = await broker.welcomed()
    session.send(assignment=assignment())
    await session.take_report(Phase.SUCCEEDED)
    console = broker.console("task", 1)
    assert "limits 2000000 9000000\n" in console
    assert "bytes of output are missing here" in console
    assert len(console) < 4_000_000


async def test_a_limit_that_is_no_number_is_one_error(broker: ScriptedBroker, agent: AgentProcess) -> None:
    await agent.start(settings={"BATUTA_SPOOL_LIMIT_BYTES": "lots"})
    assert await agent.wait() == 1
    assert "BATUTA_SPOOL_LIMIT_BYTES is 'lots': give a whole number of bytes" in agent.messages


async def test_a_package_that_does_not_exist_is_named_in_one_clear_message(
    broker: ScriptedBroker, agent: AgentProcess
) -> None:
    broker.tasks["task"] = script_task("pass", requirements=["no-such-package-of-batuta==1.0"])
    await agent.start()
    session = await broker.welcomed()
    session.send(assignment=assignment())
    report = await session.take_report(Phase.FAILED)
    assert reason(report) == "ENVIRONMENT"
    assert "package no-such-package-of-batuta==1.0 cannot be installed" in report.reason.message
    assert "no-such-package-of-batuta" in broker.console("task", 1)


async def test_an_agent_that_keeps_warm_interpreters_runs_the_next_task_in_one_and_they_end_with_it(
    broker: ScriptedBroker, agent: AgentProcess
) -> None:
    await agent.start("--queue", "default", "--warm-interpreters", "1")
    session = await broker.welcomed()
    pids: list[int] = []
    for number in (1, 2, 3):
        pids = sorted(warm_interpreters(agent.folder))
        broker.tasks["task"] = script_task("import os; print(os.getpid(), os.environ['BATUTA_ATTEMPT'])")
        session.send(assignment=assignment(attempt=number))
        assert (await session.take_report(Phase.SUCCEEDED)).exit_code == 0
        pid, attempt = broker.console("task", number).split()[-2:]
        assert (pids in ([], [int(pid)]), int(attempt)) == (True, number)
        await until(lambda: set(warm_interpreters(agent.folder)) - set(pids))  # noqa: B023 - called right here
    assert len(pids) == 1
    await agent.kill()
    await until(lambda: not warm_interpreters(agent.folder))


def warm_interpreters(folder: Path) -> list[int]:
    """Those of an agent that wait."""
    found: list[int] = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{name}/cmdline").read_bytes()
            if command.startswith(os.fsencode(f"{folder}/")) and b"warm_importlib_bootstrap" in command:
                found.append(int(name))
    return found


async def test_a_task_belongs_to_the_trace_of_its_assignment_and_not_to_the_agents_own(
    broker: ScriptedBroker, agent: AgentProcess
) -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    broker.tasks["task"] = script_task("import os; print(os.environ.get('TRACEPARENT'))")
    await agent.start(settings={"TRACEPARENT": "00-" + "1" * 32 + "-b7ad6b7169203331-01"})
    session = await broker.welcomed()
    for task, trace in (("task", given), ("task", "")):
        attempt = 1 if trace else 2
        session.send(assignment=assignment(task, attempt, traceparent=trace))
        await session.take_report(Phase.SUCCEEDED)
        assert broker.console(task, attempt).splitlines()[-1] == (trace or "None")
