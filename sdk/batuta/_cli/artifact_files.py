"""`batuta artifact get|put`: files down and up."""

from __future__ import annotations

import argparse
import hashlib
import mimetypes
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batuta._cli.arguments import SubParsers, add_json, command, duration
from batuta._cli.artifacts import add_which, find
from batuta._cli.context import Context
from batuta._cli.failures import CliError
from batuta._cli.tasks import add_task

if TYPE_CHECKING:
    from batuta_proto.artifacts import v1 as artifacts

_TASK = "01987e0c5b7a7f10a3d2c4e5f6a7b8c9"
_TRIES = 60


def add(parent: SubParsers, context: Context) -> None:
    """Add the commands."""
    parser = command(
        parent,
        "get",
        "write an artifact into a file; what was cut off goes on",
        f"batuta artifact get {_TASK} model",
        f"batuta artifact get {_TASK} model -o best.pt --force",
    )
    add_which(parser)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="file, or folder for it (here, under the artifact's name)"
    )
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    add_json(parser)
    parser.set_defaults(run=partial(get, context))
    parser = command(
        parent,
        "put",
        "upload a file as an artifact of a task; what was cut off goes on",
        f"batuta artifact put {_TASK} best.pt",
        f"batuta artifact put {_TASK} report.csv --name report --label epoch=3 --ttl 30d",
    )
    add_task(parser)
    parser.add_argument("file", type=Path, metavar="FILE", help="the file")
    parser.add_argument("--name", default="", metavar="NAME", help="name of the artifact (the file's)")
    parser.add_argument(
        "--label", action="append", default=[], metavar="KEY=VALUE", help="something to say about it; repeatable"
    )
    parser.add_argument("--preview", default="", metavar="TEXT", help="some words to show instead of the bytes")
    parser.add_argument("--ttl", type=duration, metavar="TIME", help="goes by itself after that (as the server is set)")
    add_json(parser)
    parser.set_defaults(run=partial(put, context))


def get(context: Context, args: argparse.Namespace) -> None:
    """Download one artifact."""
    from batuta._artifacts.download import download, file_name
    from batuta._cli import render
    from batuta._cli.progress import progress

    with context.connect() as client:
        artifact = find(client, args)
        target = args.output or Path(file_name(artifact))
        if target.is_dir():
            target = target / file_name(artifact)
        try:
            with progress(context, target.name, artifact.size_bytes) as tell:
                download(
                    client.artifacts,
                    artifact,
                    target,
                    context.clock,
                    context.ids,
                    tell,
                    replace=args.force,
                    tries=_TRIES,
                )
        except FileExistsError:
            raise CliError(f"{target} is there already. `--force` writes over it, `-o` chooses another file.") from None
    if args.json:
        context.print(render.as_json({"file": str(target), "artifact": render.as_dict(artifact)}))
        return
    context.print(f"{target}: {render.size(artifact.size_bytes)}, SHA-256 {artifact.sha256} as it was stored.")


def put(context: Context, args: argparse.Namespace) -> None:
    """Upload one file."""
    from batuta._artifacts.upload import upload
    from batuta._cli import render
    from batuta._cli.progress import progress

    path: Path = args.file
    if path.is_dir():
        raise CliError(f"{path} is a folder: put it into an archive first, or let `upload_artifact` of the SDK do it.")
    begin = _begin(args, path)
    with context.connect() as client, progress(context, begin.name, begin.size_bytes) as tell:
        artifact = upload(client.artifacts, begin, path, context.clock, context.ids, tell, tries=_TRIES)
    if args.json:
        context.print(render.as_json(render.as_dict(artifact)))
        return
    context.print(
        f"Artifact {artifact.name!r} of task {artifact.task_id}: {render.size(artifact.size_bytes)}, "
        f"SHA-256 {artifact.sha256}."
    )


def _begin(args: argparse.Namespace, path: Path) -> artifacts.UploadBegin:
    """What is uploaded. The same file put again in the same way has the same id, so that it goes on."""
    from batuta_proto.artifacts import v1 as artifacts

    found = path.stat()
    begin = artifacts.UploadBegin(
        task_id=args.task,
        name=args.name or path.name,
        kind=artifacts.ARTIFACT_KIND_FILE,
        media_type=mimetypes.guess_type(path.name)[0] or "",
        labels=_labels(args.label),
        preview=args.preview,
        size_bytes=found.st_size,
    )
    if args.ttl:
        begin.ttl.FromMicroseconds(round(args.ttl * 1_000_000))
    asked: Any = begin
    told = (asked.SerializeToString(deterministic=True), str(path.absolute()), found.st_mtime_ns, found.st_ino)
    begin.upload_id = hashlib.sha256(repr(told).encode()).hexdigest()[:32]
    return begin


def _labels(given: list[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise CliError(f"--label takes KEY=VALUE, not {text!r}.")
        labels[key] = value
    return labels
