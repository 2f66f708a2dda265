"""`batuta init`: check a login, then keep it."""

from __future__ import annotations

import argparse
from dataclasses import astuple, replace
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
        "batuta init --file block.ini --ca-fingerprint sha256:…   # `batuta up --tls` prints it",
        "batuta init          # asks for a credential block to be pasted",
    )
    parser.add_argument("--api", default="", metavar="URL", help="the server's address, as in http://host:8480")
    parser.add_argument("--access-key", default="", metavar="KEY", help="public part of the credential")
    parser.add_argument(
        "--secret-key", default="", metavar="SECRET", help="secret part; other users of this machine can see it here"
    )
    parser.add_argument(
        "--ca-file", default="", metavar="FILE", help="authority that signed the server's certificate (PEM)"
    )
    parser.add_argument(
        "--ca-fingerprint",
        default="",
        metavar="SHA256",
        help="fetch that authority from the server, and take it if this is its fingerprint",
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
        config.save_connection(context.config_path, config.Connection(*astuple(login)))
    except OSError as error:
        raise CliError(
            f"cannot keep the login in {context.config_path} ({error.strerror}). "
            f"{config.FILE_VARIABLE} names another file."
        ) from None
    context.print(f"Logged in to {login.api} as {subject} ({roles}). Kept in {context.config_path}.")


def _gather(context: Context, args: argparse.Namespace) -> Login:
    login = Login(args.api.strip(), args.access_key.strip(), args.secret_key.strip(), "", _absolute(args.ca_file))
    if args.file:
        login = login.over(_from_file(context, args.file))
    login = login.over(Login(*(context.env.get(_VARIABLES[name], "") for name in credentials.NAMES)))
    login = login.over(Login(ca_file=_absolute(context.env.get("BATUTA_CA_FILE", ""))))
    if login.missing and not args.file and context.stdin.isatty():
        context.note("paste the credential block (api, access_key, secret_key), then an empty line:")
        login = login.over(credentials.parse(credentials.pasted(context.stdin), "what you pasted"))
    if args.ca_fingerprint:
        return replace(login, ca=_fetched(login.api, args.ca_fingerprint), ca_file="")
    return login


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute()) if path else ""


def _fetched(api: str, fingerprint: str) -> str:
    from batuta_rpc import pinning, trust

    try:
        return trust.fold(pinning.authority_of(api, fingerprint))
    except ValueError as error:
        raise CliError(sentences(str(error), "Nothing was written")) from None


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
    from batuta_rpc.config import Connection

    try:
        client = Client(Connection(*astuple(login)), context.clock)
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
