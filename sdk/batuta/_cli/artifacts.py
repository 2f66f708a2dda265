"""`batuta artifact list|show|delete`."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from batuta._cli.arguments import SubParsers, add_json, command, positive
from batuta._cli.context import Context
from batuta._cli.failures import CliError
from batuta._cli.tasks import add_task

if TYPE_CHECKING:
    from batuta._cli.client import Client
    from batuta_proto.artifacts import v1 as artifacts

HEADERS = ("NAME", "ATTEMPT", "KIND", "SIZE", "SHA-256", "CREATED", "EXPIRES", "ID")
KINDS = ("file", "folder", "text", "json", "bytes", "array", "table", "image", "pickle")
_TASK = "01987e0c5b7a7f10a3d2c4e5f6a7b8c9"


def add(parent: SubParsers, context: Context) -> None:
    """Add the commands."""
    parser = command(
        parent,
        "list",
        "list the artifacts of a task",
        f"batuta artifact list {_TASK}",
        f"batuta artifact list {_TASK} --kind table --json",
    )
    add_task(parser)
    parser.add_argument("--attempt", type=positive, default=0, metavar="N", help="only of this attempt (all)")
    parser.add_argument("--name", action="append", default=[], metavar="NAME", help="only of this name; repeatable")
    parser.add_argument("--kind", action="append", default=[], choices=KINDS, help="only of this kind; repeatable")
    parser.add_argument("--limit", type=positive, metavar="N", help="at most so many (all)")
    add_json(parser)
    parser.set_defaults(run=partial(list_artifacts, context))
    parser = command(
        parent, "show", "show one artifact with all that is known of it", f"batuta artifact show {_TASK} model"
    )
    add_which(parser)
    add_json(parser)
    parser.set_defaults(run=partial(show, context))
    parser = command(parent, "delete", "delete an artifact for good", f"batuta artifact delete {_TASK} model --yes")
    add_which(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_json(parser)
    parser.set_defaults(run=partial(delete, context))


def add_which(parser: argparse.ArgumentParser) -> None:
    """The arguments that name one artifact."""
    add_task(parser)
    parser.add_argument("name", metavar="NAME", help="name of the artifact")
    parser.add_argument(
        "--attempt", type=positive, default=0, metavar="N", help="of this attempt (the newest that has it)"
    )


def find(client: Client, args: argparse.Namespace) -> artifacts.Artifact:
    """The artifact that the arguments name."""
    from batuta_proto.artifacts import v1 as artifacts

    request = artifacts.GetArtifactRequest(task_id=args.task, name=args.name, attempt=args.attempt)
    return client.artifacts.GetArtifact(request).artifact


def list_artifacts(context: Context, args: argparse.Namespace) -> None:
    """Print the artifacts of one task."""
    from batuta._cli import render, tables

    with context.connect() as client:
        found = _fetch(client, args)
    if args.json:
        context.print(render.listed("artifacts", found))
        return
    rows = [_row(each) for each in found]
    context.print(tables.render(HEADERS, rows, width=context.width, whole=("ID", "NAME"), right=("ATTEMPT", "SIZE")))


def _fetch(client: Client, args: argparse.Namespace) -> list[artifacts.Artifact]:
    from batuta._cli import pages
    from batuta_proto.artifacts import v1 as artifacts

    kinds: Any = [f"ARTIFACT_KIND_{each.upper()}" for each in args.kind]
    wanted = artifacts.ArtifactFilter(attempt=args.attempt, names=args.name, kinds=kinds)

    def one_page(page_size: int, page_token: str) -> tuple[list[artifacts.Artifact], str]:
        request = artifacts.ListArtifactsRequest(
            task_id=args.task, filter=wanted, page_size=page_size, page_token=page_token
        )
        answer = client.artifacts.ListArtifacts(request)
        return list(answer.artifacts), answer.next_page_token

    return pages.gather(one_page, args.limit)


def _row(artifact: artifacts.Artifact) -> tuple[object, ...]:
    """One artifact in the columns of `HEADERS`."""
    from batuta._cli import render

    return (
        artifact.name,
        artifact.attempt,
        _kind(artifact),
        render.size(artifact.size_bytes),
        artifact.sha256[:12],
        render.moment(artifact.create_time),
        render.moment(artifact.expire_time),
        artifact.id,
    )


def _kind(artifact: artifacts.Artifact) -> str:
    from batuta._cli import render
    from batuta_proto.artifacts import v1 as artifacts

    return render.word(artifacts.ArtifactKind, artifact.kind, "ARTIFACT_KIND_")


def show(context: Context, args: argparse.Namespace) -> None:
    """Print one artifact."""
    from batuta._cli import render

    with context.connect() as client:
        artifact = find(client, args)
    context.print(render.as_json(render.as_dict(artifact)) if args.json else page(artifact))


def page(artifact: artifacts.Artifact) -> str:
    """All of it for people."""
    from batuta._cli import render, tables

    pairs: list[tuple[str, object]] = [
        ("Name", artifact.name),
        ("Id", artifact.id),
        ("Task", artifact.task_id),
        ("Attempt", artifact.attempt),
        ("Kind", _kind(artifact)),
        ("Media type", artifact.media_type),
        ("Size", f"{render.size(artifact.size_bytes)} ({artifact.size_bytes} bytes)"),
        ("SHA-256", artifact.sha256),
        ("Where", artifact.uri or "the server"),
        ("By", artifact.creator),
        ("Created", render.moment(artifact.create_time)),
        ("Expires", render.moment(artifact.expire_time)),
        *((f"  {key}", artifact.labels[key]) for key in sorted(artifact.labels)),
    ]
    text = tables.facts(pairs)
    lines = [tables.clean(line) for line in artifact.preview.splitlines()]
    return "\n".join([text, "", *lines]) if lines else text


def delete(context: Context, args: argparse.Namespace) -> None:
    """Delete one artifact."""
    from batuta._cli import render
    from batuta_proto.artifacts import v1 as artifacts

    with context.connect() as client:
        artifact = find(client, args)
        if not args.yes:
            context.stderr.write(
                f"Delete artifact {artifact.name!r} of attempt {artifact.attempt} "
                f"({render.size(artifact.size_bytes)}) for good? [y/N] "
            )
            context.stderr.flush()
            if context.stdin.readline().strip().lower() not in ("y", "yes"):
                raise CliError("nothing was deleted. `--yes` does not ask.")
        client.artifacts.DeleteArtifact(artifacts.DeleteArtifactRequest(artifact_id=artifact.id))
    if args.json:
        context.print(render.as_json(render.as_dict(artifact)))
        return
    context.print(f"Deleted artifact {artifact.name!r} ({artifact.id}).")
