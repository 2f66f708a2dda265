"""`batuta user add|list|show|edit|disable|enable|passwd`."""

from __future__ import annotations

import argparse
import getpass
from functools import partial
from typing import TYPE_CHECKING

from batuta._cli.arguments import SubParsers, add_json, command
from batuta._cli.context import Context
from batuta._cli.failures import CliError

if TYPE_CHECKING:
    from batuta_proto.users import v1 as users

ROLES = ("viewer", "member", "admin")


def add(parent: SubParsers, context: Context) -> None:
    """Add the commands."""
    made = command(parent, "add", "make a user, for admins", "batuta user add ada --role member")
    made.add_argument("name", metavar="NAME", help="what tasks and credentials carry; it never changes")
    made.add_argument("--role", choices=ROLES, default="member", help="the most it may do (member)")
    made.add_argument("--display-name", default="", metavar="TEXT", help="for people")
    _done(made, partial(add_user, context))
    _done(command(parent, "list", "list users by name", "batuta user list"), partial(list_users, context))
    show = command(parent, "show", "show a user and its credentials, for admins", "batuta user show ada")
    show.add_argument("name", metavar="NAME", help="name of the user")
    _done(show, partial(show_user, context))
    edit = command(parent, "edit", "change a user, for admins", "batuta user edit ada --role admin")
    edit.add_argument("name", metavar="NAME", help="name of the user")
    edit.add_argument("--role", choices=ROLES, help="the most it may do; tokens given out before end")
    edit.add_argument("--display-name", metavar="TEXT", help="for people")
    _done(edit, partial(edit_user, context))
    for verb, sentence in (
        ("disable", "take a user's access away, for admins"),
        ("enable", "give it back, for admins"),
    ):
        parser = command(parent, verb, sentence, f"batuta user {verb} ada")
        parser.add_argument("name", metavar="NAME", help="name of the user")
        _done(parser, partial(switch_user, context, verb))
    passwd = command(
        parent,
        "passwd",
        "set your password; admins: anybody's",
        "batuta user passwd ada",
        "batuta user passwd ada",
    )
    passwd.add_argument("name", nargs="?", default="", metavar="NAME", help="whose (your own)")
    passwd.set_defaults(run=partial(set_password, context))


def _done(parser: argparse.ArgumentParser, run: object) -> None:
    add_json(parser)
    parser.set_defaults(run=run)


def add_user(context: Context, args: argparse.Namespace) -> None:
    """Make a user."""
    from batuta._cli import access_keys
    from batuta_proto.users import v1 as users

    with context.connect() as client:
        request = users.CreateUserRequest(
            user_name=args.name,
            display_name=args.display_name,
            role=access_keys.role_number(args.role),
            request_id=context.ids.request_id(),
        )
        user = client.users.CreateUser(request).user
    if not args.json:
        context.note(f"next: `batuta credentials create --for {user.name}` or `batuta user passwd {user.name}`")
    _tell(context, args, user, "is made")


def list_users(context: Context, args: argparse.Namespace) -> None:
    """Print all users, the disabled ones too."""
    from batuta._cli import pages, render, tables
    from batuta_proto.users import v1 as users

    with context.connect() as client:

        def fetch(page_size: int, page_token: str) -> tuple[list[users.User], str]:
            answer = client.users.ListUsers(users.ListUsersRequest(page_size=page_size, page_token=page_token))
            return list(answer.users), answer.next_page_token

        found = pages.gather(fetch)
    if args.json:
        context.print(render.listed("users", found))
        return
    headers = ("NAME", "ROLE", "PASSWORD", "DISABLED", "MADE", "CALLED")
    rows = [
        (
            each.name,
            _role(each),
            "yes" if each.has_password else "",
            render.moment(each.disable_time),
            render.moment(each.create_time),
            each.display_name,
        )
        for each in found
    ]
    context.print(tables.render(headers, rows, width=context.width, whole=("NAME",)))


def show_user(context: Context, args: argparse.Namespace) -> None:
    """Print one user and its credentials."""
    from batuta._cli import access_keys, render, tables
    from batuta_proto.users import v1 as users

    with context.connect() as client:
        user = client.users.GetUser(users.GetUserRequest(user_name=args.name)).user
        held = access_keys.of_subject(client, user.name)
    if args.json:
        context.print(
            render.as_json({"user": render.as_dict(user), "credentials": [render.as_dict(each) for each in held]})
        )
        return
    facts = [("name", user.name), ("called", user.display_name), ("role", _role(user))]
    facts += [("password", "yes" if user.has_password else "no"), ("made", render.moment(user.create_time))]
    context.print(tables.facts([*facts, ("disabled", render.moment(user.disable_time))]))
    if held:
        context.print("\n" + access_keys.table(held, context.width))


def edit_user(context: Context, args: argparse.Namespace) -> None:
    """Change what was given."""
    from batuta._cli import access_keys
    from batuta_proto.users import v1 as users

    if args.role is None and args.display_name is None:
        raise CliError("nothing to change: give --role or --display-name.")
    request = users.UpdateUserRequest(user_name=args.name, display_name=args.display_name)
    if args.role is not None:
        request.role = access_keys.role_number(args.role)
    with context.connect() as client:
        user = client.users.UpdateUser(request).user
    _tell(context, args, user, f"is {_role(user)}")


def switch_user(context: Context, verb: str, args: argparse.Namespace) -> None:
    """Disable or enable."""
    from batuta_proto.users import v1 as users

    with context.connect() as client:
        if verb == "disable":
            user = client.users.DisableUser(users.DisableUserRequest(user_name=args.name)).user
        else:
            user = client.users.EnableUser(users.EnableUserRequest(user_name=args.name)).user
    _tell(context, args, user, f"is {verb}d")


def set_password(context: Context, args: argparse.Namespace) -> None:
    """Ask for a password, and for the one before where the server wants it."""
    from batuta_proto.types import v1 as types
    from batuta_proto.users import v1 as users

    with context.connect() as client:
        caller = client.users.GetCaller(users.GetCallerRequest())
        name = args.name or caller.subject
        current = ""
        if types.ROLE_ADMIN not in caller.roles and name == caller.subject:
            user = client.users.GetUser(users.GetUserRequest(user_name=name)).user
            current = _secret(context, "Password now: ") if user.has_password else ""
        password = _new(context, name)
        request = users.SetPasswordRequest(user_name=name, password=password, current_password=current)
        client.users.SetPassword(request)
    context.print(f"The password of {name} is set.")


def _new(context: Context, name: str) -> str:
    password = _secret(context, f"New password of {name}: ")
    if context.stdin.isatty() and _secret(context, "Once more: ") != password:
        raise CliError("the two are not the same; nothing was changed.")
    return password


def _secret(context: Context, prompt: str) -> str:
    """At a terminal without showing it, else a line of stdin."""
    if context.stdin.isatty():
        return getpass.getpass(prompt)
    line = context.stdin.readline()
    if not line:
        raise CliError("stdin holds no password; give one a line.")
    return line.rstrip("\r\n")


def _tell(context: Context, args: argparse.Namespace, user: users.User, what: str) -> None:
    from batuta._cli import render

    if args.json:
        context.print(render.as_json(render.as_dict(user)))
        return
    context.print(f"User {user.name} {what}.")


def _role(user: users.User) -> str:
    from batuta._cli import render
    from batuta_proto.types import v1 as types

    return render.word(types.Role, user.role, "ROLE_").lower()
