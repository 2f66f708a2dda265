"""`batuta task edit ID`: changes what a draft asks for, and what any task is called."""

from __future__ import annotations

import argparse
import shlex
from functools import partial
from typing import TYPE_CHECKING

from batuta._cli.arguments import SubParsers, add_json, command, whole_number
from batuta._cli.context import Context
from batuta._cli.failures import USAGE, CliError

if TYPE_CHECKING:
    from batuta_proto.tasks import v1 as tasks

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_TEXTS = {
    "branch": "spec.source",
    "commit": "spec.source",
    "entry_point": "spec.source",
    "working_directory": "spec.source",
}


def add(parent: SubParsers, context: Context) -> None:
    """Add the command."""
    parser = command(
        parent,
        "edit",
        "change a draft; name and comment of any task",
        "batuta task edit 01987e0c5b7a7f10a3d2c4e5f6a7b8c9 --set Args/batch_size=100 --image pytorch/pytorch:2.5.1",
    )
    parser.add_argument("task", metavar="ID", help="id of the task, whole")
    parser.add_argument("--name", help="its name")
    parser.add_argument("--comment", help="its comment")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION/NAME=VALUE",
        help="set a hyper-parameter; may be repeated",
    )
    parser.add_argument(
        "--unset", action="append", default=[], metavar="SECTION/NAME", help="remove one; may be repeated"
    )
    parser.add_argument("--image", help="container image; empty for the agent's choice")
    parser.add_argument(
        "--docker-args", metavar="'ARGS'", help="arguments of the container engine, as a shell has them"
    )
    parser.add_argument("--setup-script", metavar="FILE", help="shell script that the container runs first")
    parser.add_argument("--python", metavar="VERSION", help="version of the interpreter: 3.11")
    parser.add_argument("--requirements", metavar="FILE", help="packages, a line each, instead of those recorded")
    parser.add_argument("--branch", help="branch, for people")
    parser.add_argument("--commit", help="full hash of the commit")
    parser.add_argument("--entry-point", metavar="PATH", help="script, relative to the repository's root")
    parser.add_argument("--working-directory", metavar="PATH", help="where it starts, relative to the same")
    parser.add_argument("--cpus", type=float, metavar="N", help="cores asked for; 0 asks for none")
    parser.add_argument("--memory", type=_bytes, metavar="SIZE", help="memory asked for: 16g")
    parser.add_argument("--gpus", type=whole_number(0, 1024), metavar="N", help="GPUs asked for")
    add_json(parser)
    parser.set_defaults(run=partial(edit_task, context))


def _bytes(text: str) -> int:
    """Reads `512m`, `16g`, for argparse."""
    number, unit = (text[:-1], text[-1].lower()) if text[-1:].isalpha() else (text, "")
    try:
        return int(float(number) * _UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        raise argparse.ArgumentTypeError(f"must be a size such as 512m or 16g, not {text!r}") from None


def edit_task(context: Context, args: argparse.Namespace) -> None:
    """Change a task as it was read: one that has changed meanwhile is left alone."""
    from google.protobuf.field_mask_pb2 import FieldMask

    from batuta._cli import render
    from batuta_proto.tasks import v1 as tasks

    with context.connect() as client:
        task = client.tasks.GetTask(tasks.GetTaskRequest(task_id=args.task)).task
        paths = _change(task, args)
        if not paths:
            raise CliError("say what to change: `batuta task edit --help` lists it.", USAGE)
        request = tasks.UpdateTaskRequest(
            task=task, update_mask=FieldMask(paths=paths), request_id=context.ids.request_id()
        )
        task = client.tasks.UpdateTask(request).task
    if args.json:
        context.print(render.as_json(render.as_dict(task)))
    else:
        context.print(f"Task {task.id} is changed: {', '.join(each.rpartition('.')[2] for each in paths)}.")


def _change(task: tasks.Task, args: argparse.Namespace) -> list[str]:
    """Put what the flags say into the task. Returns the paths of what changed."""
    paths: list[str] = []
    if args.name is not None:
        task.display_name = args.name
        paths.append("display_name")
    if args.comment is not None:
        task.spec.comment = args.comment
        paths.append("spec.comment")
    for name, path in _TEXTS.items():
        if getattr(args, name) is not None:
            setattr(task.spec.source, name, getattr(args, name))
            paths.append(path)
    if _change_environment(task.spec.environment, args):
        paths.append("spec.environment")
    for name, field in (("cpus", "cpus"), ("memory", "memory_bytes"), ("gpus", "gpus")):
        if getattr(args, name) is not None:
            setattr(task.spec.resources, field, getattr(args, name))
            paths.append("spec.resources")
    if args.set or args.unset:
        _change_parameters(task.spec, args)
        paths.append("spec.parameters")
    return list(dict.fromkeys(paths))


def _change_environment(environment: tasks.Environment, args: argparse.Namespace) -> bool:
    before = environment.SerializeToString(deterministic=True)
    asked = [args.image, args.docker_args, args.setup_script, args.python, args.requirements]
    if args.image is not None:
        environment.container.image = args.image
    if args.docker_args is not None:
        try:
            environment.container.arguments[:] = shlex.split(args.docker_args)
        except ValueError as error:
            raise CliError(f"--docker-args: {error}.", USAGE) from None
    if args.setup_script is not None:
        environment.container.setup_script = _read(args.setup_script)
    if args.python is not None:
        environment.python_version = args.python
    if args.requirements is not None:
        lines = (line.strip() for line in _read(args.requirements).splitlines())
        environment.requirements[:] = [line for line in lines if line and not line.startswith("#")]
    return any(each is not None for each in asked) or environment.SerializeToString(deterministic=True) != before


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _change_parameters(spec: tasks.TaskSpec, args: argparse.Namespace) -> None:
    known = {(each.section, each.name): each for each in spec.parameters}
    for text in args.set:
        key, equals, value = text.partition("=")
        section, name = _key(key, "--set")
        if not equals:
            raise CliError(f"--set is SECTION/NAME=VALUE, such as Args/batch_size=100, not {text!r}.", USAGE)
        found = known.get((section, name))
        if found is None:
            found = known[section, name] = spec.parameters.add(section=section, name=name)
        found.value = value
    gone = {_key(text, "--unset") for text in args.unset}
    unknown = sorted(gone - known.keys())
    if unknown:
        raise CliError(f"the task has no parameter {'/'.join(unknown[0])!r}; `batuta task show` lists them.")
    kept = [each for key, each in known.items() if key not in gone]
    del spec.parameters[:]
    spec.parameters.extend(kept)


def _key(text: str, flag: str) -> tuple[str, str]:
    section, slash, name = text.partition("/")
    if not slash or not section or not name:
        raise CliError(f"{flag} names a parameter as SECTION/NAME, such as Args/batch_size, not {text!r}.", USAGE)
    return section, name
