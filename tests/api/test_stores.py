"""One suite for every store: in memory, in SQLite and in PostgreSQL they keep the same promises."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from batuta_api.audit.changes import Change, Sought
from batuta_api.audit.store import Refused
from batuta_api.logs.model import Chunk, StoredChunk, Stream
from batuta_api.metrics.model import Column, Producer
from batuta_api.metrics.store import Wanted
from batuta_api.projects.model import Member, Project
from batuta_api.tasks.attempts import Attempt
from batuta_api.tasks.model import (
    Definition,
    Environment,
    Parameter,
    Phase,
    Resources,
    Retry,
    Source,
    Tail,
    TailKind,
    TaskState,
    TaskStatus,
)
from batuta_api.tasks.store import Cursor
from batuta_api.tasks.testing import NOON, a_task
from batuta_api.tasks.wanted import Archived, Place, TaskFilter
from batuta_api.users.model import Credential, JoinToken
from batuta_api.users.store import Place as KeyPlace
from batuta_api.users.user import User
from batuta_api.work import Work, Works

MINUTE = timedelta(minutes=1)
LOG = TailKind.LOG


async def test_a_task_comes_back_as_it_was_kept(works: Works) -> None:
    status = TaskStatus(
        TaskState.FAILED, "EXIT_CODE", "exit code 3", 7, True, Phase.FAILED, True, "e1", False, "q1", "ein Name",
        "a1", "h1", 3, 9, -5, NOON, NOON + MINUTE, NOON + 2 * MINUTE, NOON + 3 * MINUTE, 6,
    )  # fmt: skip
    task = a_task(
        generation=4,
        tags=("b", "a"),
        type=3,
        comment="ü",
        parent_task_id="t0",
        environment=Environment("3.11", ("numpy==2.0", "scikit-learn")),
        resources=Resources(1.5, 2**40, 2),
        retry=Retry(2, 0, 5, timedelta(milliseconds=1500)),
    )
    task = replace(task, status=status)
    definition = Definition(
        Source("https://h/r", "main", "ab12", "diff\x00é", "a.py", "sub", "print()"),
        (Parameter("Args", "lr", "0.1", 3, "rate"), Parameter("General", "a/b", "", 6)),
    )
    await works.write(lambda work: work.tasks.add(task, definition))
    assert await works.read(lambda work: work.tasks.get("t1")) == task
    assert await works.read(lambda work: work.tasks.definition("t1")) == definition
    assert await works.read(lambda work: work.tasks.get("nobody")) is None


async def test_a_changed_status_leaves_the_rest_and_a_changed_task_is_kept_whole(works: Works) -> None:
    task = a_task(tags=("a",))
    await works.write(lambda work: work.tasks.add(task, Definition(Source(script="1"))))
    running = task.moved(NOON + MINUTE, state=TaskState.RUNNING, attempt=1, exit_code=None)
    await works.write(lambda work: work.tasks.put_status(running))
    assert await works.read(lambda work: work.tasks.get("t1")) == running
    renamed = running.edited(NOON + 2 * MINUTE, display_name="new", tags=("b",), environment=Environment("3.12"))
    await works.write(lambda work: work.tasks.put(renamed, None))
    assert await works.read(lambda work: work.tasks.get("t1")) == renamed
    assert (await works.read(lambda work: work.tasks.definition("t1"))).source.script == "1"
    await works.write(lambda work: work.tasks.put(renamed, Definition(Source(script="2"))))
    assert (await works.read(lambda work: work.tasks.definition("t1"))).source.script == "2"
    assert await works.read(lambda work: work.tasks.page(TaskFilter(tags=frozenset("a")), None, 9)) == []


async def test_live_tasks_with_entries_are_found_by_id(works: Works) -> None:
    def fill(work: Work) -> None:
        for number, state in enumerate([TaskState.QUEUED, TaskState.RUNNING, TaskState.STOPPING, TaskState.FAILED]):
            work.tasks.add(a_task(f"t{number}", state=state, entry_id=f"e{number}"), Definition())
        work.tasks.add(a_task("t9", state=TaskState.RUNNING, local=True), Definition())

    await works.write(fill)

    async def found(after: str, limit: int) -> list[str]:
        return [task.id for task in await works.read(lambda work: work.tasks.with_entries(after, limit))]

    assert await found("", 2) == ["t0", "t1"]
    assert await found("t1", 9) == ["t2"]


async def test_messages_on_their_way_are_known_by_their_keys(works: Works) -> None:
    await works.write(lambda work: work.outbox.add("topic", "t1", b""))
    assert await works.read(lambda work: work.outbox.pending(["t1", "t2"])) == {"t1"}
    assert await works.read(lambda work: work.outbox.pending([])) == set()


async def test_attempts_are_kept_by_number_and_listed_newest_first(works: Works) -> None:
    await works.write(lambda work: work.tasks.add(a_task(), Definition()))
    whole = Attempt(
        2, Phase.FAILED, False, "a1", "h1", "EXIT_CODE", "exit code 3", 3, 9, NOON, NOON + MINUTE, NOON + 2 * MINUTE
    )
    first = Attempt(1, Phase.RUNNING, local=True)
    assert await works.write(lambda work: work.attempts.put("t1", first))
    assert await works.write(lambda work: work.attempts.put("t1", replace(whole, phase=Phase.RUNNING)))
    assert not await works.write(lambda work: work.attempts.put("t1", whole))
    assert await works.read(lambda work: work.attempts.get("t1", 2)) == whole
    assert await works.read(lambda work: work.attempts.get("t1", 3)) is None
    assert await works.read(lambda work: work.attempts.newest("t1", 9)) == [whole, first]
    assert await works.read(lambda work: work.attempts.newest("t1", 1)) == [whole]
    assert await works.read(lambda work: work.attempts.newest("t1", 9, before=2)) == [first]
    assert await works.read(lambda work: work.attempts.newest("t2", 9)) == []


async def test_too_many_attempts_cost_offers_given_back_before_runs(works: Works) -> None:
    def fill(work: Work) -> None:
        work.tasks.add(a_task(), Definition())
        for number in range(1, 7):
            work.attempts.put("t1", Attempt(number, Phase.REJECTED if number in (3, 5) else Phase.LOST))

    await works.write(fill)
    assert await works.write(lambda work: work.attempts.trim("t1", 6)) == 0
    assert await works.write(lambda work: work.attempts.trim("t1", 5)) == 1
    assert await works.write(lambda work: work.attempts.trim("t1", 3)) == 2
    assert [each.number for each in await works.read(lambda work: work.attempts.newest("t1", 9))] == [6, 4, 2]


async def test_a_sign_of_life_is_no_new_generation(works: Works) -> None:
    await works.write(lambda work: work.tasks.add(a_task(last_iteration=4), Definition()))
    await works.write(lambda work: work.tasks.touch("t1", NOON + MINUTE, None))
    await works.write(lambda work: work.tasks.touch("t1", NOON + 2 * MINUTE, 8))
    task = await works.read(lambda work: work.tasks.get("t1"))
    assert task is not None
    assert (task.generation, task.status.last_iteration, task.status.last_proof_time) == (1, 8, NOON + 2 * MINUTE)


async def test_tasks_are_listed_newest_first_by_filter_and_place(works: Works) -> None:
    def fill(work: Work) -> None:
        for number in range(6):
            task = a_task(
                f"t{number}",
                create_time=NOON + MINUTE * (number // 2),
                project_name="vision" if number % 2 else "speech",
                display_name=f"run {number % 3}",
                tags=("all", f"n{number}"),
                state=TaskState.QUEUED if number > 3 else TaskState.DRAFT,
            )
            work.tasks.add(task, Definition())

    await works.write(fill)

    async def listed(wanted: TaskFilter, after: Place | None = None, limit: int = 9) -> str:
        found = await works.read(lambda work: work.tasks.page(wanted, after, limit))
        return " ".join(each.task.id for each in found)

    assert await listed(TaskFilter()) == "t5 t4 t3 t2 t1 t0"
    assert await listed(TaskFilter(), limit=2) == "t5 t4"
    assert await listed(TaskFilter(), Place(NOON + MINUTE, "t3")) == "t2 t1 t0"
    assert await listed(TaskFilter(project_name="vision")) == "t5 t3 t1"
    assert await listed(TaskFilter(display_name="run 0")) == "t3 t0"
    assert await listed(TaskFilter(states=frozenset({TaskState.QUEUED}))) == "t5 t4"
    assert await listed(TaskFilter(tags=frozenset({"all", "n2"}))) == "t2"
    assert await listed(TaskFilter(tags=frozenset({"n1", "n2"}))) == ""


async def test_tails_only_grow_and_are_found_by_producer_and_kind(works: Works) -> None:
    def fill(work: Work) -> None:
        work.tasks.add(a_task(), Definition())
        work.tasks.add_tails("t1", 1, [Tail("console", LOG, 10), Tail("p", TailKind.SCALARS, 5)])
        work.tasks.add_tails("t1", 1, [Tail("console", LOG, 4), Tail("p", TailKind.SCALARS, 7)])

    await works.write(fill)
    assert await works.read(lambda work: work.tasks.tail("t1", 1, "console", LOG)) == 10
    assert await works.read(lambda work: work.tasks.tail("t1", 1, "p", LOG)) is None
    assert await works.read(lambda work: work.tasks.tail("t1", 2, "console", LOG)) is None
    assert list(await works.read(lambda work: work.tasks.tails("t1", 1))) == [
        Tail("console", LOG, 10),
        Tail("p", TailKind.SCALARS, 7),
    ]
    await works.write(lambda work: work.tasks.drop_tails("t1"))
    assert not await works.read(lambda work: work.tasks.tails("t1", 1))


async def test_silent_local_runs_that_should_stop_are_found(works: Works) -> None:
    cases: dict[str, dict[str, Any]] = {
        "silent": {"local": True, "last_proof_time": NOON},
        "never": {"local": True},
        "lives": {"local": True, "last_proof_time": NOON + 9 * MINUTE},
        "remote": {"local": False},
    }

    def fill(work: Work) -> None:
        for name, status in cases.items():
            work.tasks.add(a_task(name, state=TaskState.STOPPING, **status), Definition())
        work.tasks.add(a_task("running", state=TaskState.RUNNING, local=True), Definition())

    await works.write(fill)
    found = await works.read(lambda work: work.tasks.stopping_locally(NOON + MINUTE, 9))
    assert {task.id for task in found} == {"silent", "never"}


async def test_the_place_in_the_event_log_moves_by_compare_and_set(works: Works) -> None:
    first, second = Cursor("a", 1), Cursor("a", 2)
    assert await works.read(lambda work: work.cursor.get()) is None
    assert not await works.write(lambda work: work.cursor.advance(first, second))
    assert await works.write(lambda work: work.cursor.advance(None, first))
    assert not await works.write(lambda work: work.cursor.advance(None, second))
    assert await works.write(lambda work: work.cursor.advance(first, second))
    assert not await works.write(lambda work: work.cursor.advance(first, second))
    assert await works.read(lambda work: work.cursor.get()) == second
    assert await works.write(lambda work: work.cursor.advance(second, None))
    assert await works.read(lambda work: work.cursor.get()) is None


async def test_projects_are_found_by_id_and_name_and_listed_by_name(works: Works) -> None:
    names = ["a", "a/b", "ä", "z"]

    def fill(work: Work) -> None:
        for name in names:
            work.projects.add(Project(f"id-{name}", name, NOON, "text"))

    await works.write(fill)
    assert await works.read(lambda work: work.projects.get("id-ä")) == Project("id-ä", "ä", NOON, "text")
    assert await works.read(lambda work: work.projects.named("a/b")) == Project("id-a/b", "a/b", NOON, "text")
    assert await works.read(lambda work: work.projects.named("A")) is None
    listed = await works.read(lambda work: work.projects.page("", "", "a", 2))
    assert [project.display_name for project in listed] == sorted(names)[1:3]
    assert [p.id for p in await works.read(lambda work: work.projects.page("z", "", "", 9))] == ["id-z"]


async def test_what_is_closed_is_left_out_of_lists_and_the_innermost_rule_wins(works: Works) -> None:
    names = ["a", "a/b", "a/b/c", "ab", "d"]
    members = [Member("ada", "member"), Member("bob", "viewer")]

    def fill(work: Work) -> None:
        for name in names:
            work.projects.add(Project(f"id-{name}", name, NOON, closed=name in ("a", "a/b/c")))
        work.members.put("id-a/b/c", members)

    await works.write(fill)
    assert await works.read(lambda work: work.members.of("id-a/b/c")) == members
    assert await works.read(lambda work: work.members.roles("ada")) == {"a": "", "a/b/c": "member"}
    shown = (("a", False), ("a/b/c", True))
    listed = await works.read(lambda work: work.projects.page("", "", "", 9, shown))
    assert [project.display_name for project in listed] == ["a/b/c", "ab", "d"]
    await works.write(lambda work: work.members.put("id-a/b/c", ()))
    assert await works.read(lambda work: work.members.roles("ada")) == {"a": "", "a/b/c": ""}


async def test_projects_below_one_are_found_changed_and_removed(works: Works) -> None:
    def fill(work: Work) -> None:
        for name in ("a", "a/b", "a/b/c", "ab", "A/b", "a%"):
            work.projects.add(Project(f"id-{name}", name, NOON))

    await works.write(fill)
    assert [p.display_name for p in await works.read(lambda work: work.projects.below("a"))] == ["a/b", "a/b/c"]
    assert [p.display_name for p in await works.read(lambda work: work.projects.page("", "a", "a/b", 9))] == ["a/b/c"]
    changed = Project("id-a", "z", NOON, "text").edited(NOON, default_output_uri="s3://b")
    await works.write(lambda work: work.projects.put(changed))
    assert await works.read(lambda work: work.projects.get("id-a")) == changed
    await works.write(lambda work: work.projects.remove("id-a"))
    assert await works.read(lambda work: work.projects.get("id-a")) is None


async def test_all_tasks_of_a_project_are_moved_counted_and_deleted_each_with_a_revision(works: Works) -> None:
    def fill(work: Work) -> None:
        for number in range(5):
            state = TaskState.QUEUED if number == 1 else TaskState.DRAFT
            archived = NOON if number == 2 else None
            task = a_task(f"t{number}", project_id=f"p{number % 2}", state=state, archive_time=archived)
            work.tasks.add(task, Definition())

    await works.write(fill)
    counted = await works.read(lambda work: work.tasks.count(["p0", "p1"]))
    assert sorted((each.state, each.archived, each.count) for each in counted) == [
        (10, False, 3),
        (10, True, 1),
        (20, False, 1),
    ]
    assert await works.write(lambda work: work.tasks.reproject("p0", Project("p9", "new", NOON), NOON + MINUTE)) == 3
    moved = await works.read(lambda work: work.tasks.changed(5, TaskFilter(archived=Archived.INCLUDE), 9))
    assert [(each.revision, each.task_id) for each in moved] == [(6, "t0"), (7, "t2"), (8, "t4")]
    task = await works.read(lambda work: work.tasks.get("t4"))
    assert task is not None
    assert (task.project_id, task.project_name, task.generation, task.update_time) == ("p9", "new", 2, NOON + MINUTE)
    assert await works.write(lambda work: work.tasks.delete_all(["p9"], NOON, NOON + MINUTE)) == 3
    assert await works.write(lambda work: work.tasks.delete_all(["p9"], NOON, NOON + MINUTE)) == 0
    assert await works.read(lambda work: work.tasks.count(["p9"])) == []
    assert await works.read(lambda work: work.tasks.revision()) == 11


CONSOLE = Stream("t1", 1, "console")


async def test_log_chunks_are_shown_in_order_of_arrival(works: Works) -> None:
    text = Stream("t1", 2, "text")

    def fill(work: Work) -> None:
        work.logs.append(CONSOLE, [Chunk(0, b"aaa", 1), Chunk(3, b"bb", 2)])
        work.logs.append(text, [Chunk(0, b"c", 3)])
        work.logs.append(CONSOLE, [Chunk(5, b"dddd", 4)])
        work.logs.append(Stream("t2", 1, "console"), [Chunk(0, b"other")])

    await works.write(fill)
    everything = await works.read(lambda work: work.logs.read("t1", 0, 0, 1000))
    assert everything == [
        StoredChunk(1, 1, "console", 0, b"aaa", 1),
        StoredChunk(2, 1, "console", 3, b"bb", 2),
        StoredChunk(3, 2, "text", 0, b"c", 3),
        StoredChunk(4, 1, "console", 5, b"dddd", 4),
    ]
    assert await works.read(lambda work: work.logs.read("t1", 1, 2, 1000)) == everything[3:]
    assert await works.read(lambda work: work.logs.read("t1", 0, 0, 4)) == everything[:2]
    assert await works.read(lambda work: (work.logs.committed(CONSOLE), work.logs.committed(text))) == (9, 1)
    assert await works.read(lambda work: work.logs.attempt_size("t1", 1)) == 9


async def test_the_tail_of_a_log_begins_inside_a_chunk(works: Works) -> None:
    await works.write(lambda work: work.logs.append(CONSOLE, [Chunk(0, b"aaa"), Chunk(3, b"bbb")]))
    tail = [await works.read(lambda work, size=size: work.logs.tail_position("t1", 0, size)) for size in (1, 3, 4, 99)]
    assert tail == [(1, 2), (1, 0), (0, 2), (0, 0)]


async def test_dropped_logs_are_gone_and_positions_go_on(works: Works) -> None:
    await works.write(lambda work: work.logs.append(CONSOLE, [Chunk(0, b"aaa")]))
    await works.write(lambda work: work.logs.drop("t1"))
    assert await works.read(lambda work: (work.logs.attempt_size("t1", 1), work.logs.committed(CONSOLE))) == (0, 0)
    await works.write(lambda work: work.logs.append(CONSOLE, [Chunk(0, b"b")]))
    assert [chunk.position for chunk in await works.read(lambda work: work.logs.read("t1", 0, 0, 9))] == [2]
    assert await works.read(lambda work: work.logs.attempt_size("t1", 1)) == 1


PRODUCER = Producer("t1", 1, "p")


async def test_scalars_come_back_exactly_and_their_summaries_with_them(works: Works) -> None:
    nan, inf = float("nan"), float("inf")
    columns = [
        Column("loss", "train", [1, 2, 3], [10, 20, 35], [0.1, nan, -inf]),
        Column("acc", "test", [5], [7], [nan]),
        Column("empty", "x", [], [], []),
    ]
    await works.write(lambda work: work.scalars.append(PRODUCER, 4, columns))
    await works.write(lambda work: work.scalars.append(PRODUCER, 6, [Column("loss", "train", [2], [50], [9.0])]))
    page = await works.read(lambda work: work.scalars.read("t1", Wanted(), 0, 100))
    shown = [(c.metric, list(c.iterations), list(c.times), str(list(c.values))) for c in page.columns]
    assert shown == [
        ("loss", [1, 2, 3], [10, 20, 35], "[0.1, nan, -inf]"),
        ("acc", [5], [7], "[nan]"),
        ("loss", [2], [50], "[9.0]"),
    ]
    assert await works.read(lambda work: work.scalars.committed(PRODUCER)) == 6
    accuracy, loss = await works.read(lambda work: work.scalars.summaries("t1"))
    assert (loss.count, loss.last_iteration, loss.last_value) == (4, 3, -inf)
    assert (loss.min_value, loss.min_iteration, loss.max_value, loss.max_iteration) == (-inf, 3, 9.0, 2)
    assert math.isnan(accuracy.min_value)
    assert math.isnan(accuracy.last_value)
    assert await works.read(lambda work: work.scalars.series_count("t1")) == 2


async def test_scalars_are_read_by_series_position_and_size(works: Works) -> None:
    def fill(work: Work) -> None:
        for number in range(4):
            name = "ab"[number % 2]
            work.scalars.append(PRODUCER, number + 1, [Column(name, "v", [number], [0], [1.0])])

    await works.write(fill)
    one = await works.read(lambda work: work.scalars.read("t1", Wanted("b", "v"), 0, 1))
    assert ([list(column.iterations) for column in one.columns], one.position) == ([[1]], 2)
    rest = await works.read(lambda work: work.scalars.read("t1", Wanted("b"), one.position, 100))
    assert ([list(column.iterations) for column in rest.columns], rest.position) == ([[3]], 4)
    none = await works.read(lambda work: work.scalars.read("t1", Wanted(variant="w"), 3, 100))
    assert (none.columns, none.position) == ([], 3)
    await works.write(lambda work: work.scalars.drop("t1"))
    assert (await works.read(lambda work: work.scalars.read("t1", Wanted(), 0, 9))).columns == []
    assert await works.read(lambda work: (work.scalars.summaries("t1"), work.scalars.committed(PRODUCER))) == ([], 0)


async def test_credentials_are_kept_listed_and_known_by_subject_and_role(works: Works) -> None:
    made = [Credential(f"k{n}", bytes([n]) * 32, "ada", ("admin", "agent"), NOON + MINUTE * n, "c") for n in range(3)]

    def fill(work: Work) -> None:
        for credential in made:
            work.users.add(credential)

    await works.write(fill)
    assert await works.read(lambda work: work.users.get("k1")) == made[1]
    assert [c.access_key for c in await works.read(lambda work: work.users.page(None, 2))] == ["k2", "k1"]
    after = KeyPlace(NOON + MINUTE, "k1")
    assert [c.access_key for c in await works.read(lambda work: work.users.page(after, 2))] == ["k0"]
    assert await works.read(lambda work: work.users.has("ada", "agent"))
    assert not await works.read(lambda work: work.users.has("ada", "age"))

    def end_all(work: Work) -> None:
        for credential in made:
            work.users.put(credential.revoked(NOON))

    assert await works.read(lambda work: work.users.revoked_since(NOON)) == []
    await works.write(end_all)
    assert sorted(await works.read(lambda work: work.users.revoked_since(NOON))) == ["k0", "k1", "k2"]
    assert await works.read(lambda work: work.users.revoked_since(NOON + MINUTE)) == []
    assert not await works.read(lambda work: work.users.has("ada", "admin"))


async def test_credentials_are_listed_by_subject_too_and_keep_their_end(works: Works) -> None:
    ada = Credential("k1", b"a" * 32, "ada", ("member",), NOON, expire_time=NOON + MINUTE)
    await works.write(lambda work: work.users.add(ada))
    await works.write(lambda work: work.users.add(replace(ada, access_key="k2", subject="bob")))
    assert await works.read(lambda work: work.users.page(None, 9, "ada")) == [ada]


async def test_users_are_kept_changed_and_listed_by_name(works: Works) -> None:
    made = [User(name, "member", NOON, "ü") for name in ("ada", "Bob", "a-b")]

    def fill(work: Work) -> None:
        for user in made:
            work.people.add(user)

    await works.write(fill)
    assert await works.read(lambda work: work.people.get("ada")) == made[0]
    assert await works.read(lambda work: work.people.get("ADA")) is None
    assert [user.name for user in await works.read(lambda work: work.people.page(None, 2))] == ["Bob", "a-b"]
    assert [user.name for user in await works.read(lambda work: work.people.page("a-b", 2))] == ["ada"]
    changed = made[0].edited(NOON + MINUTE, None, "admin").with_password(NOON + MINUTE, "$argon2id$").let_in()
    await works.write(lambda work: work.people.put(changed))
    assert await works.read(lambda work: work.people.get("ada")) == changed
    assert await works.read(lambda work: work.people.admins(2)) == [changed]
    assert await works.read(lambda work: work.people.fenced_since(NOON + MINUTE)) == {"ada": 2}
    assert await works.read(lambda work: work.people.fenced_since(NOON + 2 * MINUTE)) == {}
    await works.write(lambda work: work.people.put(changed.disabled(NOON)))
    assert await works.read(lambda work: work.people.admins(2)) == []


async def test_join_tokens_are_kept_spent_and_purged(works: Works) -> None:
    token = JoinToken(b"h" * 32, "gpu box", NOON, NOON + MINUTE)
    await works.write(lambda work: work.users.add_join_token(token))
    await works.write(lambda work: work.users.put_join_token(token.spent("a1", NOON)))
    assert await works.read(lambda work: work.users.join_token(b"h" * 32)) == token.spent("a1", NOON)
    assert await works.write(lambda work: work.users.purge_join_tokens(NOON + MINUTE)) == 0
    assert await works.write(lambda work: work.users.purge_join_tokens(NOON + 2 * MINUTE)) == 1


def _refused(work: Work) -> list[Refused]:
    return [refused for _, refused in work.audit.page("", "t1", None, 100)]


async def test_changes_are_found_by_who_what_and_when_newest_first(works: Works) -> None:
    method = "batuta.tasks.v1.TaskService/AbortTask"
    made = [
        Change(NOON + MINUTE * n, "ab"[n % 2], "AK", "10.0.0.7", "cli/1", method, "task", f"t{n}", "{}", "")
        for n in range(6)
    ]

    def fill(work: Work) -> None:
        for each in made:
            work.changes.add(each)

    await works.write(fill)

    async def found(sought: Sought, before: int | None = None, limit: int = 100) -> list[str]:
        page = await works.read(lambda work: work.changes.page(sought, before, limit))
        return [each.resource_id for each in page]

    assert await found(Sought()) == ["t5", "t4", "t3", "t2", "t1", "t0"]
    assert await found(Sought(subject="b")) == ["t5", "t3", "t1"]
    assert await found(Sought(method="AbortTask", resource_id="t2")) == ["t2"]
    assert await found(Sought(method=method), limit=1) == ["t5"]
    assert await found(Sought(method="bortTask")) == []
    assert await found(Sought(start=NOON + MINUTE, until=NOON + 3 * MINUTE)) == ["t2", "t1"]
    first = (await works.read(lambda work: work.changes.page(Sought(), None, 3)))[-1]
    assert await found(Sought(), before=first.id) == ["t2", "t1", "t0"]


async def test_refusals_are_kept_in_order_and_purged_by_age_and_number(works: Works) -> None:
    rows = [Refused(NOON + MINUTE * n, "ada", "m", "STALE_ATTEMPT", "t1", n, "no") for n in range(5)]

    def fill(work: Work) -> None:
        for row in rows:
            work.audit.add(row)

    await works.write(fill)
    assert await works.read(_refused) == rows[::-1]
    assert await works.write(lambda work: work.audit.purge(NOON + MINUTE, 3)) == 2
    assert await works.read(_refused) == rows[:1:-1]


async def test_a_refusal_that_comes_again_is_counted(works: Works) -> None:
    first = Refused(NOON, "attempt:t1/1", "AppendLog", "STALE_ATTEMPT", "t1", 1, "no")
    later = replace(first, time=NOON + MINUTE, message="no again")
    await works.write(lambda work: work.audit.add(first))
    await works.write(lambda work: work.audit.add(replace(later, count=40)))
    await works.write(lambda work: work.audit.add(replace(later, subject="ada")))
    kept = await works.read(_refused)
    assert kept == [replace(later, subject="ada"), replace(first, count=41, last_time=NOON + MINUTE)]


async def test_a_use_case_that_fails_leaves_nothing(works: Works) -> None:
    def fail(work: Work) -> None:
        work.tasks.add(a_task(), Definition())
        work.logs.append(CONSOLE, [Chunk(0, b"x")])
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        await works.write(fail)
    assert await works.read(lambda work: (work.tasks.get("t1"), work.logs.attempt_size("t1", 1))) == (None, 0)
