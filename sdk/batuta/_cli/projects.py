"""`batuta project create|list|show|edit|move|merge|delete`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from batuta._cli.arguments import SubParsers, add_json, command
from batuta._cli.context import Context
from batuta._cli.failures import USAGE, CliError

if TYPE_CHECKING:
    from batuta._cli.client import Client
    from batuta_proto.projects import v1 as projects


def add(parent: SubParsers, context: Context) -> None:
    """Add the commands."""
    create = command(
        parent, "create", "make a project; tasks make theirs by themselves", "batuta project create vision/digits"
    )
    create.add_argument("--description", default="", help="free text")
    _finish(create, partial(create_project, context))
    listing = command(parent, "list", "list projects by name", "batuta project list --below vision")
    listing.add_argument("--below", default="", metavar="NAME", help="only projects below this one")
    add_json(listing)
    listing.set_defaults(run=partial(list_projects, context))
    show = command(parent, "show", "show a project and what stands in it", "batuta project show vision")
    show.add_argument("--subprojects", action="store_true", help="count the tasks of the projects below as well")
    _finish(show, partial(show_project, context))
    edit = command(
        parent, "edit", "change what a project says", "batuta project edit vision --output-uri s3://bucket/vision"
    )
    edit.add_argument("--description", help="free text")
    edit.add_argument("--output-uri", metavar="URI", help="where its tasks put their artifacts; empty: the server")
    _finish(edit, partial(edit_project, context))
    move = command(
        parent, "move", "rename or move a project, with all below it", "batuta project move vision/digits ocr/digits"
    )
    _finish(move, partial(move_project, context))
    move.add_argument("to", metavar="NEW-NAME", help="its new full name")
    merge = command(
        parent, "merge", "put all of a project into another one, and drop it", "batuta project merge old new"
    )
    _finish(merge, partial(merge_project, context))
    merge.add_argument("into", metavar="INTO", help="full name of the project that stays")
    delete = command(
        parent, "delete", "remove a project and all below it", "batuta project delete scratch --delete-tasks"
    )
    delete.add_argument("--delete-tasks", action="store_true", help="its tasks too; they can be undeleted for 30 days")
    delete.add_argument("--force", action="store_true", help="also tasks that are published")
    _finish(delete, partial(delete_project, context))


def _finish(parser: argparse.ArgumentParser, run: object) -> None:
    parser.add_argument("project", metavar="NAME", help="full name of the project")
    add_json(parser)
    parser.set_defaults(run=run)


def find(client: Client, name: str) -> projects.Project:
    """The project of that full name. Raises `CliError`."""
    from batuta_proto.projects import v1 as projects

    wanted = projects.ListProjectsRequest.Filter(display_name=name)
    found = client.projects.ListProjects(projects.ListProjectsRequest(filter=wanted)).projects
    if not found:
        raise CliError(f"there is no project {name!r}; `batuta project list` shows them.")
    return found[0]


def create_project(context: Context, args: argparse.Namespace) -> None:
    """Make a project."""
    from batuta_proto.projects import v1 as projects

    request = projects.CreateProjectRequest(
        display_name=args.project, description=args.description, request_id=context.ids.request_id()
    )
    with context.connect() as client:
        project = client.projects.CreateProject(request).project
    _say(context, args, project, f"Project {project.display_name!r} is made ({project.id}).")


def list_projects(context: Context, args: argparse.Namespace) -> None:
    """Print projects by name."""
    from batuta._cli import pages, render, tables
    from batuta_proto.projects import v1 as projects

    wanted = projects.ListProjectsRequest.Filter(below=args.below)
    with context.connect() as client:

        def fetch(page_size: int, page_token: str) -> tuple[Sequence[projects.Project], str]:
            request = projects.ListProjectsRequest(filter=wanted, page_size=page_size, page_token=page_token)
            answer = client.projects.ListProjects(request)
            return answer.projects, answer.next_page_token

        found = pages.gather(fetch)
    if args.json:
        context.print(render.listed("projects", found))
        return
    rows = [(each.display_name, each.id, each.description, render.moment(each.create_time)) for each in found]
    context.print(tables.render(("NAME", "ID", "DESCRIPTION", "CREATED"), rows, width=context.width))


def show_project(context: Context, args: argparse.Namespace) -> None:
    """Print one project and its counts."""
    from batuta._cli import render, tables
    from batuta_proto.projects import v1 as projects
    from batuta_proto.tasks import v1 as tasks

    with context.connect() as client:
        project = find(client, args.project)
        request = projects.GetProjectStatisticsRequest(project_id=project.id, include_subprojects=args.subprojects)
        counts = client.projects.GetProjectStatistics(request).statistics
    if args.json:
        answer = {"project": render.as_dict(project), "statistics": render.as_dict(counts)}
        context.print(render.as_json(answer))
        return
    states = [
        (render.word(tasks.TaskState, state, "TASK_STATE_").lower(), count)
        for state, count in sorted(counts.task_count_by_state.items())
    ]
    facts: list[tuple[str, object]] = [
        ("id", project.id),
        ("name", project.display_name),
        ("description", project.description),
        ("output uri", project.default_output_uri),
        ("created", render.moment(project.create_time)),
        ("last change of a task", render.moment(counts.last_change_time)),
        ("projects below", counts.subproject_count or ""),
        ("tasks", counts.task_count),
        *((f"  {word}", count) for word, count in states),
        ("  archived of them", counts.archived_count or ""),
    ]
    context.print(tables.facts(facts))


def edit_project(context: Context, args: argparse.Namespace) -> None:
    """Change description or output URI."""
    from batuta_proto.projects import v1 as projects

    paths = [name for name in ("description", "output_uri") if getattr(args, name) is not None]
    if not paths:
        raise CliError("say what to change: --description or --output-uri; `move` changes the name.", USAGE)
    asked = projects.Project(description=args.description or "", default_output_uri=args.output_uri or "")
    _update(context, args, asked, ["default_output_uri" if each == "output_uri" else each for each in paths])


def move_project(context: Context, args: argparse.Namespace) -> None:
    """Rename or move a project."""
    from batuta_proto.projects import v1 as projects

    _update(context, args, projects.Project(display_name=args.to), ["display_name"])


def _update(context: Context, args: argparse.Namespace, asked: projects.Project, paths: Sequence[str]) -> None:
    from google.protobuf.field_mask_pb2 import FieldMask

    from batuta_proto.projects import v1 as projects

    with context.connect() as client:
        known = find(client, args.project)
        asked.id, asked.etag = known.id, known.etag
        request = projects.UpdateProjectRequest(
            project=asked, update_mask=FieldMask(paths=paths), request_id=context.ids.request_id()
        )
        project = client.projects.UpdateProject(request).project
    _say(context, args, project, f"Project {project.display_name!r} is changed.")


def merge_project(context: Context, args: argparse.Namespace) -> None:
    """Put all of a project into another one."""
    from batuta_proto.projects import v1 as projects

    with context.connect() as client:
        source, into = find(client, args.project), find(client, args.into)
        request = projects.MergeProjectRequest(
            project_id=source.id, into_project_id=into.id, etag=source.etag, request_id=context.ids.request_id()
        )
        project = client.projects.MergeProject(request).project
    _say(context, args, project, f"All of {args.project!r} stands in {project.display_name!r} now.")


def delete_project(context: Context, args: argparse.Namespace) -> None:
    """Remove a project."""
    from batuta._cli import render
    from batuta_proto.projects import v1 as projects

    with context.connect() as client:
        project = find(client, args.project)
        request = projects.DeleteProjectRequest(
            project_id=project.id,
            delete_tasks=args.delete_tasks,
            force=args.force,
            etag=project.etag,
            request_id=context.ids.request_id(),
        )
        gone = client.projects.DeleteProject(request)
    if args.json:
        context.print(render.as_json(render.as_dict(gone)))
        return
    context.print(
        f"Project {args.project!r} is gone: {gone.deleted_project_count} projects, "
        f"{gone.deleted_task_count} tasks deleted."
    )


def _say(context: Context, args: argparse.Namespace, project: projects.Project, text: str) -> None:
    from batuta._cli import render

    context.print(render.as_json(render.as_dict(project)) if args.json else text)
