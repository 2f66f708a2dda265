"""Following all tasks that fit a filter."""

from __future__ import annotations

from typing import Any

from batuta_proto.tasks import v1 as tasks


class Watch:
    """A stream, read step by step."""

    def __init__(self, api: Any, who: Any, token: str = "", **wanted: Any) -> None:
        self._api = api
        request = tasks.WatchTasksRequest(filter=tasks.ListTasksRequest.Filter(**wanted), resume_token=token)
        self.stream = who.tasks.WatchTasks(request)
        self.token = token

    async def next(self) -> tuple[str, str]:
        """What the next step is, and the id or state in it."""
        step = await self._api.soon(self.stream.read())
        self.token = step.resume_token or self.token
        kind = step.WhichOneof("step")
        if kind == "task":
            return "task", step.task.id
        return (kind, step.gone_task_id) if kind == "gone_task_id" else (kind, "")

    async def until(self, wanted: tuple[str, str]) -> None:
        """Read until that step."""
        while await self.next() != wanted:
            continue


async def test_what_there_is_comes_first_then_each_change_and_who_fits_no_more(api: Any, member: Any) -> None:
    first, other = await member.draft(), await member.draft(project="text")
    watch = Watch(api, member, project_name="vision")
    assert await watch.next() == ("task", first.id)
    assert (await watch.next())[0] == "synced"
    second = await member.draft()
    assert await watch.next() == ("task", second.id)
    await member.tasks.MoveTask(tasks.MoveTaskRequest(task_id=other.id, project_name="vision"))
    assert await watch.next() == ("task", other.id)
    await member.tasks.DeleteTask(tasks.DeleteTaskRequest(task_id=first.id))
    assert await watch.next() == ("gone_task_id", first.id)
    watch.stream.cancel()


async def test_a_watch_goes_on_where_it_was_left(api: Any, member: Any) -> None:
    tasks_made = [await member.draft() for _ in range(3)]
    watch = Watch(api, member)
    await watch.until(("synced", ""))
    watch.stream.cancel()
    await member.tasks.TagTask(tasks.TagTaskRequest(task_id=tasks_made[1].id, add=["x"]))
    await member.tasks.ArchiveTask(tasks.ArchiveTaskRequest(task_id=tasks_made[2].id))
    again = Watch(api, member, watch.token)
    assert await again.next() == ("task", tasks_made[1].id)
    assert await again.next() == ("gone_task_id", tasks_made[2].id)
    assert (await again.next())[0] == "synced"
    again.stream.cancel()


async def test_a_token_that_does_not_fit_begins_anew_and_says_so(api: Any, member: Any) -> None:
    task = await member.draft()
    for token in ("nonsense", Watch(api, member, project_name="x").token or "bm8"):
        watch = Watch(api, member, token)
        assert (await watch.next())[0] == "restarted"
        assert await watch.next() == ("task", task.id)
        assert (await watch.next())[0] == "synced"
        watch.stream.cancel()


async def test_more_tasks_than_a_page_are_all_sent(api: Any, member: Any) -> None:
    made = {(await member.draft()).id for _ in range(205)}
    watch = Watch(api, member)
    seen = set()
    while (step := await watch.next())[0] != "synced":
        seen.add(step[1])
    assert seen == made
    watch.stream.cancel()
