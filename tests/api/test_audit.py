"""The trail of changes: who, when, what, from where; and who was refused."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pool import Default
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from batuta_api import __main__ as main
from batuta_api.audit.changes import Change
from batuta_api.audit.rendering import LONGEST, request_text
from batuta_api.wiring import METADATA, sql_work
from batuta_api.work import Work
from batuta_chassis.contract import contract
from batuta_chassis.database import Database, sqlite_url
from batuta_chassis.hub import Hub
from batuta_chassis.migrations import migrate
from batuta_chassis.transactions import SqlTransactor
from batuta_proto.audit import v1 as audit
from batuta_proto.metrics import v1 as metrics
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_proto.users import v1 as users
from batuta_rpc.clock import SystemClock
from batuta_rpc.errors import EntryNotFound, FieldViolation, OtherTask, RoleMissing, RpcError, TaskNotFound

CLOCK = SystemClock()


async def trail(api: Any, **wanted: Any) -> list[audit.Change]:
    """What an admin sees, newest first."""
    request = audit.ListChangesRequest(filter=audit.ListChangesRequest.Filter(**wanted))
    return list((await api.stubs("admin").audit.ListChanges(request)).changes)


async def test_a_change_is_told_with_who_what_when_and_where_from(api: Any) -> None:
    before = CLOCK.now()
    request_id = str(uuid.uuid4())
    spec = tasks.TaskSpec(comment="a try")
    made = await api.stubs("member").tasks.CreateTask(
        tasks.CreateTaskRequest(project_name="vision", display_name="digits", spec=spec, request_id=request_id)
    )
    (told,) = await trail(api)
    assert (told.subject, told.method) == ("ada", "batuta.tasks.v1.TaskService/CreateTask")
    assert (told.resource_type, told.resource_id, told.request_id) == ("task", made.task.id, request_id)
    assert told.peer == "127.0.0.1"
    assert told.client
    assert before <= told.time.ToDatetime(UTC) <= CLOCK.now()
    assert json.loads(told.request) == {
        "project_name": "vision",
        "display_name": "digits",
        "spec": {"comment": "a try"},
    }


async def test_a_request_that_is_repeated_is_one_change_and_one_that_fails_is_none(api: Any) -> None:
    stubs = api.stubs("member")
    request = tasks.CreateTaskRequest(project_name="vision", display_name="x", request_id=str(uuid.uuid4()))
    await stubs.tasks.CreateTask(request)
    await stubs.tasks.CreateTask(request)
    with pytest.raises(TaskNotFound):
        await stubs.tasks.AbortTask(tasks.AbortTaskRequest(task_id="f" * 32))
    assert len(await trail(api)) == 1


async def test_each_task_of_a_batch_is_a_change_of_its_own(api: Any) -> None:
    stubs = api.stubs("member")
    made = [await stubs.draft(f"n{n}") for n in range(2)]
    changes = [tasks.TaskChange(tag=tasks.TagTaskRequest(task_id=each.id, add=["good"])) for each in made]
    await stubs.tasks.BatchChangeTasks(tasks.BatchChangeTasksRequest(changes=changes))
    for each in made:
        (tagged, _created) = await trail(api, resource_id=each.id)
        assert tagged.method.endswith("/TagTask")


async def test_what_a_run_of_a_task_does_is_no_change_of_the_trail(api: Any) -> None:
    member = api.stubs("member")
    task = await member.draft()
    await member.tasks.StartTask(tasks.StartTaskRequest(task_id=task.id))
    renamed = tasks.UpdateTaskRequest(
        task=tasks.Task(id=task.id, display_name="renamed"), update_mask=FieldMask(paths=["display_name"]), attempt=1
    )
    await api.run_of(task.id, 1).tasks.UpdateTask(renamed)
    assert [each.method.rpartition("/")[2] for each in await trail(api)] == ["StartTask", "CreateTask"]


async def test_scalars_and_console_that_a_person_sends_are_no_changes_of_the_trail(api: Any) -> None:
    member = api.stubs("member")
    task = await member.started()
    column = metrics.ScalarColumn(metric="loss", variant="train", iterations=[1], values=[0.5], time_unix_millis=[1])
    batch = metrics.AppendScalarsRequest(
        task_id=task.id, attempt=1, producer="p", first_sequence=1, last_sequence=1, columns=[column]
    )
    assert (await member.metrics.AppendScalars(batch)).committed_sequence == 1
    await member.write_log(task.id, 1, b"line\n")
    assert [each.method.rpartition("/")[2] for each in await trail(api)] == ["StartTask", "CreateTask"]


async def test_secrets_are_not_in_the_trail(api: Any) -> None:
    admin = api.stubs("admin", subject="admin").users
    await admin.CreateUser(users.CreateUserRequest(user_name="eve", role=types.ROLE_MEMBER))
    await admin.SetPassword(users.SetPasswordRequest(user_name="eve", password="correct horse battery"))
    token = (await admin.CreateJoinToken(users.CreateJoinTokenRequest())).join_token
    await api.stubs(token="").users.RedeemJoinToken(users.RedeemJoinTokenRequest(join_token=token, agent_id="gpu-1"))
    told = await trail(api)
    assert [each.method.rpartition("/")[2] for each in told] == [
        "RedeemJoinToken",
        "CreateJoinToken",
        "SetPassword",
        "CreateUser",
    ]
    assert (told[0].subject, told[0].resource_id) == ("agent:gpu-1", "gpu-1")
    assert (told[2].subject, told[2].resource_type, told[2].resource_id) == ("admin", "user", "eve")
    whole = "".join(each.request for each in told)
    assert "horse" not in whole
    assert token not in whole
    assert json.loads(told[2].request)["password"] == "***"


def test_every_field_that_holds_a_secret_is_marked_so_in_the_contract() -> None:
    words = ("password", "secret", "token")
    harmless = ("page_token", "next_page_token", "resume_token", "has_password")
    unmarked: list[str] = []
    for rule in contract().rules:
        service, method = rule.name[1:].split("/")
        for message in _types(Default().FindServiceByName(service).FindMethodByName(method)):
            unmarked += [
                field.full_name
                for field in message.fields
                if any(word in field.name for word in words)
                and field.name not in harmless
                and field.type == field.TYPE_STRING
                and not field.GetOptions().debug_redact
            ]
    assert sorted(set(unmarked)) == []


def _types(method: Any) -> list[Any]:
    found: list[Any] = []
    waiting = [method.input_type, method.output_type]
    while waiting:
        message = waiting.pop()
        if message not in found:
            found.append(message)
            waiting += [field.message_type for field in message.fields if field.message_type is not None]
    return found


def test_a_request_of_any_size_is_a_short_text() -> None:
    spec = tasks.TaskSpec(comment="x" * 10_000)
    for section in range(100):
        for number in range(50):
            spec.parameters.add(section=f"s{section}", name=f"n{number}")
    told = request_text(tasks.CreateTaskRequest(display_name="n", spec=spec))
    assert len(told) <= LONGEST
    assert "4980 more" in told or told.endswith("…")


async def test_a_change_of_a_queue_is_told_and_its_failure_too(api: Any) -> None:
    stubs = api.stubs("admin", subject="root")
    await stubs.queues.PauseQueue(queues.PauseQueueRequest(queue_id="q" * 32))
    with pytest.raises(EntryNotFound):
        await stubs.queues.ReleaseEntry(queues.ReleaseEntryRequest(entry_id="f" * 32))
    changed = queues.Queue(id="q" * 32, display_name="gpu")
    with contextlib.suppress(RpcError):  # the queue service of these tests has no such call
        await stubs.queues.UpdateQueue(queues.UpdateQueueRequest(queue=changed))
    *_, renamed, failed, asked, paused = await trail(api)
    assert (renamed.resource_type, renamed.resource_id) == ("queue", "q" * 32)
    assert (paused.subject, paused.method) == ("root", "batuta.queues.v1.QueueService/PauseQueue")
    assert (paused.resource_type, paused.resource_id, paused.outcome) == ("queue", "q" * 32, "")
    assert (asked.resource_type, asked.resource_id, asked.outcome) == ("entry", "f" * 32, "")
    assert (failed.resource_id, failed.outcome) == ("f" * 32, "ENTRY_NOT_FOUND")


async def test_the_trail_is_read_in_pages_and_by_admins_only(api: Any) -> None:
    stubs = api.stubs("member")
    for number in range(5):
        await stubs.draft(f"n{number}")
    admin = api.stubs("admin").audit
    seen: list[int] = []
    token = ""
    while True:
        answer = await admin.ListChanges(audit.ListChangesRequest(page_size=2, page_token=token))
        seen += [each.id for each in answer.changes]
        token = answer.next_page_token
        if not token:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 5
    with pytest.raises(RoleMissing):
        await stubs.audit.ListChanges(audit.ListChangesRequest())
    first = await admin.ListChanges(audit.ListChangesRequest(page_size=2))
    other = audit.ListChangesRequest(
        page_token=first.next_page_token, filter=audit.ListChangesRequest.Filter(subject="ada")
    )
    with pytest.raises(FieldViolation):
        await admin.ListChanges(other)


async def test_s6_a_run_that_reaches_for_another_task_is_listed_as_refused(api: Any) -> None:
    mine, other = await api.stubs("member").draft("mine"), await api.stubs("member").draft("other")
    with pytest.raises(OtherTask):
        await api.run_of(mine.id, 1).tasks.GetTask(tasks.GetTaskRequest(task_id=other.id))
    wanted = audit.ListRefusalsRequest.Filter(task_id=other.id)
    (told,) = (await api.stubs("admin").audit.ListRefusals(audit.ListRefusalsRequest(filter=wanted))).refusals
    assert (told.subject, told.reason, told.count) == (f"attempt:{mine.id}/1", "OTHER_TASK", 1)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_s36_the_database_itself_keeps_the_trail_append_only(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        url = sqlite_url(tmp_path / "api.db")
    else:
        new_database: Callable[[], str] = request.getfixturevalue("new_database")
        url = new_database()
    database = Database(url, METADATA, CLOCK, schema="api")
    migrate(database.engine, Path(main.__file__).parent / "migrations")
    engine = database.engine
    works = SqlTransactor[Work](database, sql_work(Hub(CLOCK), CLOCK))
    now = CLOCK.now()

    def kept(at: datetime) -> Change:
        return Change(at, "ada", "AK", "10.0.0.7", "cli/1", "m/AbortTask", "task", "t", "{}", "")

    def fill(work: Work) -> None:
        for days in (0, 29, 31, 800):
            work.changes.add(kept(now - timedelta(days=days)))

    try:
        await works.write(fill)
        for statement in ("UPDATE changes SET subject = 'eve'", "DELETE FROM changes"):
            with pytest.raises(DBAPIError, match=r"append-only|kept for 30 days"), engine.begin() as connection:
                connection.execute(text(statement))
        assert await works.write(lambda work: work.changes.purge(now - timedelta(days=700), 100)) == 1
        # A clock of ours that runs ahead by a year cannot make the database forget either.
        assert await works.write(lambda work: work.changes.purge(now + timedelta(days=365), 100)) == 1
        with engine.begin() as connection:
            assert connection.execute(text("SELECT count(*) FROM changes")).scalar_one() == 2
    finally:
        await database.close()
