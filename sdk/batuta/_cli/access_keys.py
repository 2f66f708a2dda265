"""`batuta credentials create|list|revoke`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from batuta._cli.arguments import SubParsers, add_json, command, duration
from batuta._cli.context import Context

if TYPE_CHECKING:
    from batuta._cli.client import Client
    from batuta_proto.users import v1 as users

_ROLES = ("viewer", "member", "admin", "agent")


def add(parent: SubParsers, context: Context) -> None:
    """Add the commands."""
    create = command(
        parent,
        "create",
        "make a credential and print it as a block to paste; only admins make those of others",
        "batuta credentials create --for ada --role member --comment laptop > ada.credentials",
    )
    create.add_argument("--for", dest="subject", default="", metavar="NAME", help="whose it is (yours)")
    create.add_argument(
        "--role",
        dest="roles",
        action="append",
        choices=_ROLES,
        help="what it may do, at most the user's own role, which is also what it is without this",
    )
    create.add_argument("--comment", default="", metavar="TEXT", help="what it is for")
    create.add_argument("--ttl", type=duration, metavar="TIME", help="how long it is good, as in 12h or 90d (for ever)")
    add_json(create)
    create.set_defaults(run=partial(create_credential, context))
    listing = command(
        parent,
        "list",
        "list credentials, newest first: yours, or for admins everybody's",
        "batuta credentials list --for ada",
    )
    listing.add_argument("--for", dest="subject", default="", metavar="NAME", help="only this user's or agent's")
    add_json(listing)
    listing.set_defaults(run=partial(list_credentials, context))
    revoke = command(
        parent, "revoke", "end credentials; only admins end those of others", "batuta credentials revoke bk_1a2b"
    )
    revoke.add_argument("keys", nargs="+", metavar="KEY", help="access key")
    add_json(revoke)
    revoke.set_defaults(run=partial(revoke_credentials, context))


def create_credential(context: Context, args: argparse.Namespace) -> None:
    """Make a credential. Its secret is printed this once."""
    from google.protobuf.duration_pb2 import Duration

    from batuta._cli import render
    from batuta_proto.users import v1 as users

    with context.connect() as client:
        subject = args.subject or client.users.GetCaller(users.GetCallerRequest()).subject
        if args.roles:
            roles = [role_number(role) for role in args.roles]
        else:
            roles = [client.users.GetUser(users.GetUserRequest(user_name=subject)).user.role]
        ttl = None if args.ttl is None else Duration(seconds=int(args.ttl))
        request = users.CreateCredentialRequest(subject=subject, roles=roles, comment=args.comment, ttl=ttl)
        made = client.users.CreateCredential(request)
        api = client.api
    if args.json:
        context.print(render.as_json(render.as_dict(made)))
        return
    context.note(f"for {made.credential.subject}; the secret key is shown this once")
    lines = (
        "[batuta]",
        f"api = {api}",
        f"access_key = {made.credential.access_key}",
        f"secret_key = {made.secret_key}",
    )
    context.print("\n".join(lines))


def list_credentials(context: Context, args: argparse.Namespace) -> None:
    """Print credentials, without secrets."""
    from batuta._cli import render

    with context.connect() as client:
        found = of_subject(client, args.subject)
    context.print(render.listed("credentials", found) if args.json else table(found, context.width))


def revoke_credentials(context: Context, args: argparse.Namespace) -> None:
    """End credentials, one after the other."""
    from batuta._cli import render
    from batuta_proto.users import v1 as users

    with context.connect() as client:
        for key in args.keys:
            ended = client.users.RevokeCredential(users.RevokeCredentialRequest(access_key=key)).credential
            if args.json:
                context.print(render.as_json(render.as_dict(ended)))
            else:
                context.print(f"Credential {ended.access_key} of {ended.subject} is revoked.")


def role_number(word: str) -> Any:
    """A role as the contract numbers it."""
    from batuta_proto.types import v1 as types

    return types.Role.Value(f"ROLE_{word.upper()}")


def of_subject(client: Client, subject: str) -> list[users.Credential]:
    """The credentials of one user or agent, or all of them, newest first."""
    from batuta._cli import pages
    from batuta_proto.users import v1 as users

    def fetch(page_size: int, page_token: str) -> tuple[list[users.Credential], str]:
        request = users.ListCredentialsRequest(page_size=page_size, page_token=page_token, subject=subject)
        answer = client.users.ListCredentials(request)
        return list(answer.credentials), answer.next_page_token

    return pages.gather(fetch)


def table(found: Sequence[users.Credential], width: int | None) -> str:
    """Credentials for people."""
    from batuta._cli import render, tables
    from batuta_proto.types import v1 as types

    headers = ("ACCESS KEY", "OF", "ROLES", "USED", "MADE", "EXPIRES", "REVOKED", "COMMENT")
    rows = [
        (
            each.access_key,
            each.subject,
            ", ".join(render.word(types.Role, role, "ROLE_").lower() for role in each.roles),
            render.moment(each.last_use_time),
            render.moment(each.create_time),
            render.moment(each.expire_time),
            render.moment(each.revoke_time),
            each.comment,
        )
        for each in found
    ]
    return tables.render(headers, rows, width=width, whole=("ACCESS KEY",))
