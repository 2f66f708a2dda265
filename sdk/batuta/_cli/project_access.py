"""`batuta project access`."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from batuta._cli.arguments import SubParsers, add_json, command
from batuta._cli.context import Context
from batuta._cli.failures import USAGE, CliError

if TYPE_CHECKING:
    from batuta_proto.projects import v1 as projects

_ROLES = {"viewer": 1, "member": 2, "admin": 3}


def add(parent: SubParsers, context: Context) -> None:
    """Add the command."""
    access = command(
        parent,
        "access",
        "show who gets into a project; close it to all but its members, or open it",
        "batuta project access vision/secret --close --add ada=admin --add bob=viewer",
    )
    access.add_argument("project", metavar="NAME", help="full name of the project")
    which = access.add_mutually_exclusive_group()
    which.add_argument("--close", action="store_true", help="only members and admins see it and what is below")
    which.add_argument("--open", action="store_true", help="everybody gets in again, and nobody is a member any more")
    access.add_argument(
        "--add",
        action="append",
        default=[],
        type=_member,
        metavar="USER=ROLE",
        help="a member as viewer, member or admin; also changes a role",
    )
    access.add_argument("--remove", action="append", default=[], metavar="USER", help="no member any more")
    add_json(access)
    access.set_defaults(run=partial(show_or_change, context))


def _member(word: str) -> tuple[str, int]:
    name, _, role = word.rpartition("=")
    if not name or role not in _ROLES:
        raise argparse.ArgumentTypeError(f"{word!r} is not USER=ROLE with a role of {', '.join(_ROLES)}")
    return name, _ROLES[role]


def show_or_change(context: Context, args: argparse.Namespace) -> None:
    """Print who gets in, after changing that where it is asked for."""
    from batuta._cli import render
    from batuta._cli.projects import find
    from batuta_proto.projects import v1 as projects

    with context.connect() as client:
        project = find(client, args.project)
        access = client.projects.GetProjectAccess(projects.GetProjectAccessRequest(project_id=project.id)).access
        if args.close or args.open or args.add or args.remove:
            request = projects.SetProjectAccessRequest(
                project_id=project.id,
                closed=not args.open,
                members=_after(access, args),
                etag=project.etag,
                request_id=context.ids.request_id(),
            )
            access = client.projects.SetProjectAccess(request).access
    context.print(render.as_json(render.as_dict(access)) if args.json else _page(args.project, access))


def _after(access: projects.ProjectAccess, args: argparse.Namespace) -> list[projects.ProjectMember]:
    from batuta_proto.projects import v1 as projects

    if args.open:
        if args.add or args.remove:
            raise CliError("an open project has no members: leave --add and --remove away.", USAGE)
        return []
    if not access.closed and not args.close:
        raise CliError("the project is open; --close makes it one that has members.", USAGE)
    roles = {each.user_name: int(each.role) for each in access.members}
    roles.update(args.add)
    for name in args.remove:
        if roles.pop(name, None) is None:
            raise CliError(f"{name!r} is no member of it.")
    return [projects.ProjectMember(user_name=name, role=role) for name, role in roles.items()]  # type: ignore[arg-type]


def _page(name: str, access: projects.ProjectAccess) -> str:
    from batuta._cli import render, tables
    from batuta_proto.types import v1 as types

    if access.closed:
        rows = [(each.user_name, render.word(types.Role, each.role, "ROLE_").lower()) for each in access.members]
        told = f"Project {name!r} is closed: its members and admins get in."
        return f"{told}\n\n{tables.render(('MEMBER', 'ROLE'), rows)}" if rows else told
    if access.closed_above:
        return f"Project {name!r} is open itself, but {access.closed_above!r} above it is closed."
    return f"Project {name!r} is open: everybody gets in, by their own role."
