"""`batuta init`: check a login, then keep it."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from batuta._cli import credentials
from batuta._cli.arguments import SubParsers, command
from batuta._cli.context import Context
from batuta._cli.credentials import Login
from batuta._cli.failures import CliError, sentences

_VARIABLES = {"api": "BATUTA_API", "access_key": "BATUTA_ACCESS_KEY", "secret_key": "BATUTA_SECRET_KEY"}


def add(root: SubParsers, context: Context) -> None:
    """Add the command."""
    parser = command(
        root,
        "init",
        "log in to a server and keep the login (mode 600)",
        "batuta init --file ~/.batuta/server/admin.credentials",
        "batuta init --api http://host:8480 --access-key KEY --secret-key SECRET",
        "batuta init          # asks for a credential block to be pasted",
    )
    parser.add_argument("--api", default="", metavar="URL", help="the server's address, as in http://host:8480")
    parser.add_argument("--access-key", default="", metavar="KEY", help="public part of the credential")
    parser.add_argument(
        "--secret-key", default="", metavar="SECRET", help="secret part; other users of this machine can see it here"
    )
    parser.add_argument("--file", metavar="BLOCK.ini", help="read the credential block from a file; - is stdin")
    parser.set_defaults(run=partial(init, context))


def init(context: Context, args: argparse.Namespace) -> None:
    """Gather the login from flags, file, environment or a pasted block, in this order; check it; write it."""
    from batuta_rpc import config

    login = _gather(context, args)
    if login.missing:
        names = " and ".join(name.replace("_", " ") for name in login.missing)
        flags = " and ".join(f"--{name.replace('_', '-')}" for name in login.missing)
        raise CliError(
            f"missing: {names}. Give --file BLOCK.ini (`batuta up` prints the path of one; - is stdin), or {flags}."
        )
    subject, roles = _check(context, login)
    try:
        config.save_connection(context.config_path, config.Connection(login.api, login.access_key, login.secret_key))
    except OSError as error:
        raise CliError(
            f"cannot keep the login in {context.config_path} ({error.strerror}). "
            f"{config.FILE_VARIABLE} names another file."
        ) from None
    context.print(f"Logged in to {login.api} as {subject} ({roles}). Kept in {context.config_path}.")


def _gather(context: Context, args: argparse.Namespace) -> Login:
    login = Login(args.api.strip(), args.access_key.strip(), args.secret_key.strip())
    if args.file:
        login = login.over(_from_file(context, args.file))
    login = login.over(Login(*(context.env.get(_VARIABLES[name], "") for name in credentials.NAMES)))
    if login.missing and not args.file and context.stdin.isatty():
        context.note("paste the credential block (api, access_key, secret_key), then an empty line:")
        login = login.over(credentials.parse(credentials.pasted(context.stdin), "what you pasted"))
    return login


def _from_file(context: Context, name: str) -> Login:
    if name == "-":
        return credentials.parse(context.stdin.read(), "stdin")
    try:
        return credentials.parse(Path(name).expanduser().read_text("utf-8"), name)
    except OSError as error:
        raise CliError(f"cannot read {name}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CliError(f"cannot read {name}: it is not text. {credentials.expected()}") from None


def _check(context: Context, login: Login) -> tuple[str, str]:
    """Who the server says this is. Raises `CliError`; nothing has been written then."""
    from batuta._cli.client import Client
    from batuta._cli.render import word
    from batuta_proto.types import v1 as types
    from batuta_proto.users import v1 as users
    from batuta_rpc import errors

    try:
        client = Client(login.api, login.access_key, login.secret_key, context.clock)
    except ValueError as error:
        raise CliError(sentences(str(error), "Nothing was written")) from None
    try:
        caller = client.users.GetCaller(users.GetCallerRequest())
    except errors.CredentialInvalid:
        raise CliError(
            f"{login.api} refuses the credential {login.access_key!r}: unknown, revoked, or a wrong secret key. "
            "Copy the whole block again, or ask an admin for a new one. Nothing was written."
        ) from None
    except errors.Unimplemented as error:
        raise CliError(
            f"{login.api} is not the address of a Batuta API ({error.message}): is it the port of `batuta up` that is "
            "printed as API? Nothing was written."
        ) from None
    except errors.RpcError as error:
        raise CliError(sentences(error.message, "Nothing was written")) from None
    finally:
        client.close()
    return caller.subject, ", ".join(word(types.Role, role, "ROLE_").lower() for role in caller.roles)
