"""What goes: artifacts whose time is over, with their task, replaced; uploads that nobody goes on with; lost bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from batuta_api.__main__ import build
from batuta_api.artifacts import removing
from batuta_api.artifacts.model import Address, Artifact, Upload
from batuta_api.artifacts.places import BlobPlaces
from batuta_api.artifacts.receiving import ByteRoom
from batuta_api.artifacts.staging import Staging
from batuta_api.artifacts.store import Wanted
from batuta_api.artifacts.sweeping import AGAIN, ArtifactSweep
from batuta_api.artifacts.threads import BlobThreads
from batuta_api.tasks import upkeep
from batuta_api.tasks.model import Definition
from batuta_api.tasks.testing import NOON, a_task
from batuta_api.work import Work, Works
from batuta_chassis.testing import running
from batuta_proto.artifacts import v1 as artifacts
from batuta_rpc.clock import SystemClock
from batuta_rpc.testing import FakeClock

HOUR = timedelta(hours=1)


def an_artifact(number: int = 1, **fields: Any) -> Artifact:
    made = Artifact(
        id=f"{number:032x}",
        task_id="t1",
        attempt=1,
        name=f"a{number}",
        kind=10,
        media_type="text/csv",
        labels=(("k", "ü"),),
        preview="words",
        size_bytes=7,
        sha256="0" * 64,
        store="",
        key=f"tasks/t1/1/b{number}",
        creator="ada",
        create_time=NOON,
    )
    return replace(made, **fields)


def an_upload(number: int = 1, **fields: Any) -> Upload:
    made = Upload(f"{number:032x}", "t1", 1, "m" * 64, "", f"tasks/t1/1/u{number}", NOON)
    return replace(made, **fields)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[ByteRoom]:
    threads = BlobThreads(2)
    yield ByteRoom(BlobPlaces(tmp_path / "blobs"), Staging(tmp_path / "uploads", threads, 0), threads)
    await threads.close()


def put(room: ByteRoom, folder: Path, *keys: str) -> None:
    for key in keys:
        (folder / "staged").write_bytes(b"weights")
        room.places.at("").put(folder / "staged", key)
        (folder / "staged").unlink()


def bytes_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


async def test_an_artifact_and_an_upload_come_back_as_they_were_kept(works: Works) -> None:
    kept, upload = an_artifact(expire_time=NOON + HOUR), an_upload(sha256="f" * 64)
    await works.write(lambda work: (work.artifacts.add(kept), work.artifacts.add_upload(upload)))
    assert await works.read(lambda work: work.artifacts.get(kept.id)) == kept
    assert await works.read(lambda work: work.artifacts.get("x")) is None
    assert await works.read(lambda work: work.artifacts.upload(upload.id)) == upload
    touched = replace(upload, touch_time=NOON + HOUR)
    await works.write(lambda work: work.artifacts.put_upload(touched))
    assert await works.read(lambda work: work.artifacts.uploads("t1")) == [touched]
    assert await works.read(lambda work: work.artifacts.known_uploads([upload.id, "x"])) == {upload.id}


async def test_names_and_attempts_order_what_a_task_has(works: Works) -> None:
    some = [
        an_artifact(number, name=name, attempt=attempt, kind=kind)
        for number, (name, attempt, kind) in enumerate([("b", 1, 10), ("a", 2, 40), ("a", 10, 10), ("Z", 0, 10)])
    ]

    def add(work: Work) -> None:
        for each in some:
            work.artifacts.add(each)
        work.artifacts.add(an_artifact(9, task_id="t2"))

    await works.write(add)

    async def page(wanted: Wanted, after: tuple[str, int] | None = None, limit: int = 9) -> list[tuple[str, int]]:
        found = await works.read(lambda work: work.artifacts.page(wanted, after, limit))
        return [(each.name, each.attempt) for each in found]

    assert await page(Wanted("t1")) == [("Z", 0), ("a", 2), ("a", 10), ("b", 1)]
    assert await page(Wanted("t1"), ("a", 2), 1) == [("a", 10)]
    assert await page(Wanted("t1", kinds=(40,))) == [("a", 2)]
    assert await page(Wanted("t1", names=("b", "c"))) == [("b", 1)]
    assert await page(Wanted("t1", attempt=10)) == [("a", 10)]
    assert await works.read(lambda work: work.artifacts.named("t1", "a")) == some[2]
    assert await works.read(lambda work: work.artifacts.named("t1", "a", 2)) == some[1]
    assert await works.read(lambda work: work.artifacts.named("t1", "Z", 0)) == some[3]
    assert await works.read(lambda work: work.artifacts.named("t1", "a", 0)) is None
    assert await works.read(lambda work: work.artifacts.count("t1")) == 4


async def test_what_has_expired_goes_and_its_bytes_a_little_later(works: Works, room: ByteRoom, tmp_path: Path) -> None:
    clock = FakeClock(NOON)
    put(room, tmp_path, "tasks/t1/1/b1", "tasks/t1/1/b2")
    await works.write(
        lambda work: (
            work.artifacts.add(an_artifact(1, expire_time=NOON + HOUR)),
            work.artifacts.add(an_artifact(2, expire_time=NOON + 2 * HOUR)),
        )
    )
    sweep = ArtifactSweep(works, room, clock, upload_hours=24)
    await sweep.go_round()
    assert await works.read(lambda work: work.artifacts.count("t1")) == 2
    clock.jump(HOUR.total_seconds())
    await sweep.go_round()
    assert await works.read(lambda work: work.artifacts.count("t1")) == 1
    assert bytes_in(tmp_path / "blobs") == ["b1", "b2"]
    clock.jump(removing.GRACE.total_seconds())
    await sweep.go_round()
    assert bytes_in(tmp_path / "blobs") == ["b2"]
    assert await works.read(lambda work: work.artifacts.due(clock.now() + 9 * HOUR, 9)) == []


async def test_uploads_that_nobody_goes_on_with_go_with_what_they_left(
    works: Works, room: ByteRoom, tmp_path: Path
) -> None:
    clock = FakeClock(SystemClock().now())
    cut, killed, alive = (an_upload(number, touch_time=clock.now()) for number in (1, 2, 3))
    killed = replace(killed, sha256="f" * 64)  # its process died between bytes and row
    put(room, tmp_path, killed.key)
    for upload_id in (cut.id, killed.id, alive.id, "f" * 32):
        async with room.staging.hold(upload_id) as held:
            await held.open()
            await held.append(b"weights")
    await works.write(lambda work: [work.artifacts.add_upload(each) for each in (cut, killed, alive)])
    sweep = ArtifactSweep(works, room, clock, upload_hours=24)
    await sweep.go_round()
    assert len(bytes_in(tmp_path / "uploads")) == 4
    clock.jump(24 * 3600 + 1)
    await works.write(lambda work: work.artifacts.put_upload(replace(alive, touch_time=clock.now())))
    await sweep.go_round()
    assert bytes_in(tmp_path / "uploads") == [alive.id]
    assert await works.read(lambda work: work.artifacts.uploads("t1")) == [replace(alive, touch_time=clock.now())]
    clock.jump(removing.GRACE.total_seconds())
    await sweep.go_round()
    assert bytes_in(tmp_path / "blobs") == []


async def test_a_task_that_goes_for_good_takes_its_artifacts_along(
    works: Works, room: ByteRoom, tmp_path: Path
) -> None:
    clock = FakeClock(NOON)
    put(room, tmp_path, "tasks/t1/1/b1", "tasks/t1/1/u1")
    deleted = a_task("t1", delete_time=NOON, purge_time=NOON)
    await works.write(
        lambda work: (
            work.tasks.add(deleted, Definition()),
            work.tasks.add(a_task("t2"), Definition()),
            work.artifacts.add(an_artifact(1)),
            work.artifacts.add_upload(an_upload(1, sha256="f" * 64)),
        )
    )
    assert await works.write(lambda work: upkeep.purge(work, clock.now())) == 1
    assert bytes_in(tmp_path / "blobs") == ["b1", "u1"]
    clock.jump(removing.GRACE.total_seconds())
    await ArtifactSweep(works, room, clock, upload_hours=24).go_round()
    assert bytes_in(tmp_path / "blobs") == []
    assert await works.read(lambda work: (work.artifacts.count("t1"), work.artifacts.uploads("t1"))) == (0, [])


async def test_a_store_that_is_away_is_asked_again_later_and_holds_nobody_up(
    works: Works, room: ByteRoom, tmp_path: Path
) -> None:
    clock = FakeClock(NOON)
    put(room, tmp_path, "tasks/t1/1/b1")
    away = Address("gone://bucket", "tasks/t1/1/b0")
    await works.write(
        lambda work: (work.artifacts.discard(away, NOON), work.artifacts.discard(Address("", "tasks/t1/1/b1"), NOON))
    )
    await ArtifactSweep(works, room, clock, upload_hours=24).go_round()
    assert bytes_in(tmp_path / "blobs") == []
    assert await works.read(lambda work: work.artifacts.due(NOON, 9)) == []
    assert await works.read(lambda work: work.artifacts.due(NOON + AGAIN, 9)) == [away]


async def test_a_ttl_says_when_an_artifact_goes_and_the_server_says_it_for_the_others(
    queue: Any, tmp_path: Path, make_stubs: Any
) -> None:
    settings: dict[str, Any] = {"queue_endpoint": queue.endpoint, "limits": {"artifact_days": "7"}}
    async with running(build, tmp_path, service="api", **settings) as process:
        member = make_stubs(process)
        task = await member.draft()
        by_server = await member.upload(b"x", task_id=task.id)
        by_itself = await member.upload(b"x", task_id=task.id, name="other", ttl={"seconds": 60})
        for made, age in ((by_server, 7 * 86400), (by_itself, 60)):
            assert made.expire_time.ToMicroseconds() - made.create_time.ToMicroseconds() == age * 1_000_000
        gone = await member.artifacts.DeleteArtifact(artifacts.DeleteArtifactRequest(artifact_id=by_server.id))
        assert gone.artifact == by_server
        assert await member.download(by_itself.id) == b"x"
