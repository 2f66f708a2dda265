"""`batuta task abort|reset|dequeue|publish|archive|unarchive|delete|undelete|move|tag`: of one task, or of many."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from batuta._cli.arguments import SubParsers, add_json, command
from batuta._cli.context import Context
from batuta._cli.failures import FAILED, OK, USAGE, CliError
from batuta._cli.task_filter import add_filter, filter_of, given

if TYPE_CHECKING:
    from batuta._cli.client import Client
    from batuta_proto.tasks import v1 as tasks

_AT_ONCE = 200
_SHOWN = 10


@dataclass(frozen=True)
class Verb:
    """A change. `name` as in the contract (`Abort`), `fields` gives what its request says beside the task."""

    name: str
    sentence: str
    example: str
    fields: Callable[[argparse.Namespace], dict[str, Any]] = lambda args: {}
    add: Callable[[argparse.ArgumentParser], None] = lambda parser: None


def _add_message(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--message", default="", help="why; becomes the task's message")


def _add_keep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep-results", action="store_true", help="logs, scalars and artifacts stay")


def _add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="also what is published")


def _add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", required=True, metavar="PROJECT", help="the project; made where it is missing")


def _add_tags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--add", action="append", default=[], metavar="TAG", help="add this tag; may be repeated")
    parser.add_argument("--remove", action="append", default=[], metavar="TAG", help="take it away; may be repeated")


_ID = "01987e0c5b7a7f10a3d2c4e5f6a7b8c9"
VERBS = (
    Verb(
        "Abort",
        "stop tasks wherever they are",
        f"batuta task abort {_ID} --message 'wrong data'",
        lambda args: {"message": args.message},
        _add_message,
    ),
    Verb(
        "Reset",
        "make ended tasks drafts again, their results deleted",
        f"batuta task reset {_ID} --keep-results",
        lambda args: {"keep_results": args.keep_results},
        _add_keep,
    ),
    Verb(
        "Dequeue", "take tasks out of their queues, drafts again", "batuta task dequeue --state queued --project tests"
    ),
    Verb("Publish", "seal completed or aborted tasks", f"batuta task publish {_ID}"),
    Verb("Archive", "hide tasks from lists", "batuta task archive --state failed --older-than 30d"),
    Verb("Unarchive", "show archived tasks again", f"batuta task unarchive {_ID}"),
    Verb(
        "Delete",
        "delete tasks; for 30 days they can be undeleted",
        "batuta task delete --project scratch --subprojects --dry-run",
        lambda args: {"force": args.force},
        _add_force,
    ),
    Verb("Undelete", "take deletions back", f"batuta task undelete {_ID}"),
    Verb(
        "Move",
        "put tasks into another project",
        f"batuta task move {_ID} --to vision/digits",
        lambda args: {"project_name": args.to},
        _add_to,
    ),
    Verb(
        "Tag",
        "add tags to tasks and take tags away",
        f"batuta task tag {_ID} --add best --remove candidate",
        lambda args: {"add": args.add, "remove": args.remove},
        _add_tags,
    ),
)


def add(parent: SubParsers, context: Context) -> None:
    """Add the commands."""
    for verb in VERBS:
        parser = command(parent, verb.name.lower(), verb.sentence, verb.example)
        parser.add_argument("tasks", metavar="ID", nargs="*", help="ids of the tasks, whole; or say which by flags")
        verb.add(parser)
        parser.add_argument("--yes", action="store_true", help="do not ask before many are changed")
        parser.add_argument("--dry-run", action="store_true", help="list what would be changed, and change nothing")
        add_json(parser)
        add_filter(parser, "which tasks, instead of ids")
        parser.set_defaults(run=partial(change, context, verb))


def change(context: Context, verb: Verb, args: argparse.Namespace) -> int:
    """Change the tasks that are named, or those that fit. FAILED when any could not be changed."""
    if bool(args.tasks) == given(args):
        raise CliError("say which tasks: by their ids, or by flags such as --project, and not by both.", USAGE)
    if verb.name == "Tag" and not args.add and not args.remove:
        raise CliError("say which tags: --add TAG or --remove TAG.", USAGE)
    with context.connect() as client:
        if len(args.tasks) == 1 and not args.dry_run:
            return _one(context, client, verb, args)
        chosen = _chosen(context, client, args)
        if args.dry_run:
            _show(context, args, chosen)
            return OK
        if not args.tasks and not args.yes and chosen:
            _ask(context, verb, chosen)
        return _many(context, client, verb, args, [task.id for task in chosen])


def _request(context: Context, verb: Verb, args: argparse.Namespace, task_id: str) -> Any:
    from batuta_proto.tasks import v1 as tasks

    kind = getattr(tasks, f"{verb.name}TaskRequest")
    fields = dict(verb.fields(args), task_id=task_id)
    if "request_id" in kind.DESCRIPTOR.fields_by_name:
        fields["request_id"] = context.ids.request_id()
    return kind(**fields)


def _one(context: Context, client: Client, verb: Verb, args: argparse.Namespace) -> int:
    from batuta._cli import render

    request = _request(context, verb, args, args.tasks[0])
    task: tasks.Task = getattr(client.tasks, f"{verb.name}Task")(request).task
    context.print(render.as_json(render.as_dict(task)) if args.json else f"Task {task.id} {_now(verb, task)}.")
    return OK


def _now(verb: Verb, task: tasks.Task) -> str:
    from batuta._cli.tasks import state

    if verb.name == "Move":
        return f"is in project {task.spec.project_name!r}"
    if verb.name == "Tag":
        return f"has the tags: {', '.join(task.tags)}" if task.tags else "has no tags"
    if task.HasField("delete_time"):
        return "is deleted"
    return f"is {state(task)}{' and archived' if task.HasField('archive_time') else ''}"


def _chosen(context: Context, client: Client, args: argparse.Namespace) -> list[tasks.Task]:
    """The tasks that are meant; those of ids that nobody knows are told by what is tried on them."""
    from batuta._cli import pages
    from batuta_proto.tasks import v1 as tasks

    if args.tasks:
        return [tasks.Task(id=each) for each in dict.fromkeys(args.tasks)]
    wanted = filter_of(args, context.clock)

    def fetch(page_size: int, page_token: str) -> tuple[Sequence[tasks.Task], str]:
        answer = client.tasks.ListTasks(
            tasks.ListTasksRequest(filter=wanted, page_size=page_size, page_token=page_token)
        )
        return answer.tasks, answer.next_page_token

    return pages.gather(fetch)


def _show(context: Context, args: argparse.Namespace, chosen: Sequence[tasks.Task]) -> None:
    from batuta._cli import render, tables
    from batuta._cli.tasks import state

    if args.json:
        context.print(render.listed("tasks", chosen))
        return
    rows = [(task.id, task.display_name, task.spec.project_name, state(task)) for task in chosen]
    context.print(tables.render(("ID", "NAME", "PROJECT", "STATE"), rows, width=context.width))
    context.note(f"{len(chosen)} tasks would be changed; nothing was.")


def _ask(context: Context, verb: Verb, chosen: Sequence[tasks.Task]) -> None:
    from batuta._cli.tasks import state

    for task in chosen[:_SHOWN]:
        context.note(f"  {task.id}  {task.spec.project_name}/{task.display_name}  {state(task)}")
    if len(chosen) > _SHOWN:
        context.note(f"  and {len(chosen) - _SHOWN} more")
    if not context.stdin.isatty():
        raise CliError(f"{len(chosen)} tasks fit; nobody can be asked here, so add --yes.", USAGE)
    context.stderr.write(f"{verb.name} {len(chosen)} tasks? [y/N] ")
    context.stderr.flush()
    if context.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CliError("nothing was changed.")


def _many(context: Context, client: Client, verb: Verb, args: argparse.Namespace, ids: Sequence[str]) -> int:
    from batuta_proto.tasks import v1 as tasks

    results: list[tasks.TaskResult] = []
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        changes = [tasks.TaskChange(**{verb.name.lower(): _request(context, verb, args, each)}) for each in part]
        request = tasks.BatchChangeTasksRequest(changes=changes, request_id=context.ids.request_id())
        results += client.tasks.BatchChangeTasks(request).results
    return _print_results(context, args, ids, results)


def _print_results(
    context: Context, args: argparse.Namespace, ids: Sequence[str], results: Sequence[tasks.TaskResult]
) -> int:
    from batuta._cli import render, tables
    from batuta._cli.tasks import state

    failed = [each for each in results if each.status.code]
    if args.json:
        answers = [
            {"task_id": task_id, "error": each.status.message, "task": render.as_dict(each.task)}
            for task_id, each in zip(ids, results)
        ]
        context.print(render.as_json({"results": answers}))
    else:
        rows = [
            (task_id, each.task.display_name, state(each.task), each.status.message)
            for task_id, each in zip(ids, results)
        ]
        context.print(tables.render(("ID", "NAME", "STATE", "WHY NOT"), rows, width=context.width))
        context.note(f"{len(results) - len(failed)} of {len(results)} tasks changed.")
    return FAILED if failed else OK
