from __future__ import annotations

import asyncio
import signal
import stat
import subprocess
import sys
from pathlib import Path

from batuta_agent.journal import Journal
from batuta_agent.model import Phase, Ref
from batuta_proto.agents import v1 as agents
from batuta_rpc.testing import SeededIds

REF = Ref("a" * 32, 3)


def report(phase: Phase, ref: Ref = REF) -> agents.AssignmentReport:
    return agents.AssignmentReport(ref=ref.message(), phase=int(phase))  # type: ignore[arg-type]


def assignment(ref: Ref = REF) -> agents.Assignment:
    return agents.Assignment(ref=ref.message(), attempt_token="secret")


async def test_a_journal_opened_again_has_the_same_id_assignments_and_reports(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", SeededIds(1))
    await journal.accept(assignment(), report(Phase.ACCEPTED))
    await journal.report(report(Phase.RUNNING))
    await journal.close()
    again = Journal(tmp_path / "j", SeededIds(2))
    assert again.journal_id == journal.journal_id
    assert [(each.ref, each.phase, each.accepted) for each in again.held()] == [(REF, Phase.RUNNING, False)]
    assert [(each.report_number, each.phase) for each in again.reports()] == [(1, 20), (2, 40)]
    assert again.held()[0].assignment.attempt_token == "secret"
    await again.close()


async def test_each_opening_has_the_next_number(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        journal = Journal(tmp_path / "j", SeededIds(number))
        assert journal.start_number == number
        await journal.close()


async def test_only_its_owner_may_read_a_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", SeededIds(1))
    await journal.close()
    assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o600


async def test_an_acknowledgement_is_cumulative_and_says_what_it_changed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", SeededIds(1))
    await journal.accept(assignment(), report(Phase.ACCEPTED))
    await journal.report(report(Phase.RUNNING))
    await journal.report(report(Phase.SUCCEEDED))
    changed = journal.acknowledge(2)
    assert [(each.accepted, each.settled) for each in changed] == [(True, False)]
    assert [each.report_number for each in journal.reports()] == [3]
    changed = journal.acknowledge(3)
    assert [(each.accepted, each.settled, each.phase) for each in changed] == [(True, True, Phase.SUCCEEDED)]
    assert journal.acknowledge(3) == []
    await journal.close()


async def test_report_numbers_go_on_after_everything_was_acknowledged_and_forgotten(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", SeededIds(1))
    await journal.accept(assignment(), report(Phase.ACCEPTED))
    journal.acknowledge(1)
    await journal.forget(REF)
    await journal.close()
    again = Journal(tmp_path / "j", SeededIds(1))
    assert again.held() == []
    await again.report(report(Phase.REJECTED, Ref("b" * 32, 1)))
    assert [each.report_number for each in again.reports()] == [2]
    await again.close()


async def test_forgetting_an_assignment_takes_its_reports_along(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", SeededIds(1))
    other = Ref("b" * 32, 1)
    await journal.accept(assignment(), report(Phase.ACCEPTED))
    await journal.accept(assignment(other), report(Phase.ACCEPTED, other))
    await journal.forget(REF)
    assert [Ref.of(each.ref) for each in journal.reports()] == [other]
    assert [each.ref for each in journal.held()] == [other]
    await journal.close()


async def test_a_phase_never_goes_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", SeededIds(1))
    await journal.accept(assignment(), report(Phase.ACCEPTED))
    await journal.report(report(Phase.CANCELLED))
    await journal.report(report(Phase.RUNNING))
    assert journal.held()[0].phase is Phase.CANCELLED
    await journal.close()
    again = Journal(tmp_path / "j", SeededIds(1))
    assert again.held()[0].phase is Phase.CANCELLED
    await again.close()


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from batuta_agent.journal import Journal
from batuta_agent.model import Ref
from batuta_proto.agents import v1 as agents
from batuta_rpc.ids import SystemIds

async def main():
    journal = Journal(Path(sys.argv[1]), SystemIds())
    for attempt in range(1, 21):
        ref = agents.AssignmentRef(task_id="t", attempt=attempt)
        await journal.accept(agents.Assignment(ref=ref), agents.AssignmentReport(ref=ref, phase=20))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_was_written_survives_kill_9(tmp_path: Path) -> None:
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", KILLED, str(tmp_path / "j")], check=False)
    assert done.returncode == -signal.SIGKILL
    journal = Journal(tmp_path / "j", SeededIds(1))
    assert [each.ref.attempt for each in journal.held()] == list(range(1, 21))
    assert [each.report_number for each in journal.reports()] == list(range(1, 21))
    await journal.close()
