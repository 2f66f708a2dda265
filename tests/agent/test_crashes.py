"""An agent that dies by `kill -9` at a named step, with real shims: what the next one says and does."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from batuta_agent.model import Phase
from batuta_agent.testing import ScriptedBroker, until
from batuta_rpc.clock import SystemClock

from .conftest import AgentProcess, assignment, end_everything_below, script_task
from .test_end_to_end import SLEEPER, reason, runs, state_of

pytestmark = pytest.mark.e2e

CLOCK = SystemClock()

DIES = """
import asyncio, os, signal, sys
from batuta_agent.journal import Journal
from batuta_agent.shims import Spare

step = sys.argv.pop(1)

def dies(owner, name, when, before):
    whole = getattr(owner, name)
    async def wrapper(self, *arguments):
        if before and when(*arguments):
            os.kill(os.getpid(), signal.SIGKILL)
        result = await whole(self, *arguments)
        if not before and when(*arguments):
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, wrapper)

if step == "before the journal":
    dies(Journal, "accept", lambda *_: True, True)
if step == "after the journal":
    dies(Journal, "accept", lambda *_: True, False)
if step == "after exec":
    dies(Spare, "order", lambda *_: True, False)
if step == "before the end is kept":
    dies(Journal, "report", lambda report: report.phase >= 60, True)
if step == "after the end is kept":
    dies(Journal, "report", lambda report: report.phase >= 60, False)

from batuta_agent.__main__ import main
sys.exit(main())
"""


class MortalAgent(AgentProcess):
    """An agent that can be told to die at a step."""

    async def start_and_die(self, step: str) -> None:
        program = self.folder / "dies.py"
        program.write_text(DIES)
        await self.start(program=(str(program), step))


@pytest.fixture
async def mortal(broker: ScriptedBroker, tmp_path: Path) -> AsyncGenerator[MortalAgent]:
    process = MortalAgent(tmp_path, broker.address)
    yield process
    await process.kill()
    end_everything_below(tmp_path)


def once(tmp_path: Path) -> str:
    """A task that writes a line whenever it runs, and runs for a moment."""
    return f"open({str(tmp_path / 'ran')!r}, 'a').write('ran\\n')\nimport time\ntime.sleep(0.3)"


async def test_killed_before_the_journal_the_next_agent_knows_nothing_of_it(
    broker: ScriptedBroker, mortal: MortalAgent, tmp_path: Path
) -> None:
    broker.tasks["task"] = script_task(once(tmp_path))
    await mortal.start_and_die("before the journal")
    session = await broker.welcomed()
    session.send(assignment=assignment())
    assert await mortal.wait() == -signal.SIGKILL
    assert not [each for each in session.received if each.HasField("report")]
    await mortal.start()
    again = await broker.session()
    assert list((await again.take("hello")).held) == []
    again.auto = True
    again.welcome()
    again.send(assignment=assignment(attempt=2))  # what the broker does when nobody answered
    await again.take_report(Phase.SUCCEEDED)
    assert (tmp_path / "ran").read_text() == "ran\n"


@pytest.mark.parametrize("step", ["after the journal", "after exec", "before the end is kept", "after the end is kept"])
async def test_killed_later_the_same_attempt_is_adopted_within_ten_seconds_and_runs_once(
    broker: ScriptedBroker, mortal: MortalAgent, tmp_path: Path, step: str
) -> None:
    broker.tasks["task"] = script_task(once(tmp_path))
    await mortal.start_and_die(step)
    session = await broker.welcomed()
    session.send(assignment=assignment())
    assert await mortal.wait() == -signal.SIGKILL
    begun = CLOCK.monotonic()
    await mortal.start()
    again = await broker.session()
    hello = await again.take("hello")
    assert [(each.ref.task_id, each.ref.attempt) for each in hello.held] == [("task", 1)]
    assert CLOCK.monotonic() - begun < 10
    again.auto = True
    acknowledged = max((each.report.report_number for each in session.received if each.HasField("report")), default=0)
    again.welcome(expected=[assignment()], report_number=acknowledged)
    # What was kept a moment before the death may have reached the broker already.
    if not any(int(each.report.phase) == int(Phase.SUCCEEDED) for each in session.received):
        assert (await again.take_report(Phase.SUCCEEDED)).exit_code == 0
    await until(lambda: not (mortal.state / "attempts" / "task.1").exists())
    assert (tmp_path / "ran").read_text() == "ran\n"


async def test_a_task_that_kills_its_agent_and_its_shim_is_reported_as_such_by_the_next_agent(
    broker: ScriptedBroker, mortal: MortalAgent, tmp_path: Path
) -> None:
    code = (
        "import os, signal, subprocess\n"
        "child = subprocess.Popen(['sleep', '1000'], start_new_session=True, env={}, cwd='/')\n"
        f"open({str(tmp_path / 'child')!r}, 'w').write(str(child.pid))\n"
        "shim = os.getppid()\n"
        "agent = int(open(f'/proc/{shim}/stat').read().rsplit(')', 1)[1].split()[1])\n"
        "os.kill(agent, signal.SIGKILL); os.kill(shim, signal.SIGKILL)\n"
    )
    broker.tasks["task"] = script_task(code)
    await mortal.start()
    session = await broker.welcomed()
    session.send(assignment=assignment())
    assert await mortal.wait() == -signal.SIGKILL
    await mortal.start()
    again = await broker.welcomed(expected=[assignment()])
    assert reason(await again.take_report(Phase.FAILED)) == "SHIM_LOST"
    again.send(assignment=assignment("task", 2))
    broker.tasks["task"] = script_task("pass")
    await again.take_report(Phase.SUCCEEDED)


async def test_killed_together_with_its_shim_nothing_of_the_run_is_left_when_the_next_agent_speaks(
    broker: ScriptedBroker, mortal: MortalAgent
) -> None:
    broker.tasks["task"] = script_task("import subprocess\nsubprocess.Popen(['sleep', '1000'])\n" + SLEEPER)
    await mortal.start()
    session = await broker.welcomed()
    session.send(assignment=assignment())
    await until(lambda: broker.console("task", 1).endswith("up\n"))
    state = state_of(mortal)
    await mortal.kill()
    os.kill(state.shim_pid, signal.SIGKILL)
    await mortal.start()
    again = await broker.welcomed(expected=[assignment()])
    assert reason(await again.take_report(Phase.FAILED)) == "SHIM_LOST"
    assert not runs(state.child_pid)


class Slot:
    """An agent that was given no name: it takes the first slot of its user."""

    def __init__(self, home: Path, api: str) -> None:
        self.process = AgentProcess(home, api)

    async def start(self) -> None:
        await self.process.start(unnamed=True)


async def test_three_agents_on_one_host_have_three_names_and_a_restart_keeps_them(
    broker: ScriptedBroker, tmp_path: Path
) -> None:
    slots = [Slot(tmp_path, broker.address) for _ in range(3)]
    try:
        first: dict[str, str] = {}
        for count, slot in enumerate(slots, 1):
            await slot.start()
            while len(first) < count:  # on a busy machine one that was here already may dial again
                session = await broker.session()
                hello = await session.take("hello")
                session.welcome()
                first[hello.agent_id] = hello.journal_id
        assert sorted(name.rsplit(":", 1)[1] for name in first) == ["0", "1", "2"]
        assert len(set(first.values())) == 3
        await slots[1].process.kill()
        await slots[1].start()
        session = await broker.session()
        again = await session.take("hello")
        assert again.agent_id.endswith(":1")
        assert first[again.agent_id] == again.journal_id
    finally:
        for slot in slots:
            await slot.process.kill()
        end_everything_below(tmp_path)


async def test_one_state_folder_is_not_used_by_two_agents_at_once(
    broker: ScriptedBroker, agent: AgentProcess, tmp_path: Path
) -> None:
    await agent.start()
    await broker.welcomed()
    second = AgentProcess(tmp_path, broker.address)
    await second.start()
    assert await second.wait() == 1
    assert "is in use by an agent with pid" in second.messages
    assert "choose another --name" in second.messages
