"""`batuta user …` and `batuta credentials …` against a server."""

from __future__ import annotations

import io
import json
from typing import Any

from batuta._cli import credentials
from batuta_proto.types import v1 as types


def test_a_user_is_added_shown_changed_and_switched_off_and_on(batuta: Any, server: Any) -> None:
    assert batuta("user", "add", "ada", "--role", "viewer", "--display-name", "Ada").text == "User ada is made.\n"
    lines = batuta("user", "list").text.splitlines()
    assert lines[0].split() == ["NAME", "ROLE", "PASSWORD", "DISABLED", "MADE", "CALLED"]
    assert lines[1].split() == ["ada", "viewer", "-", "-", "-", "Ada"]
    assert batuta("user", "edit", "ada", "--role", "admin").text == "User ada is admin.\n"
    assert server.state.users["ada"].display_name == "Ada"
    assert batuta("user", "disable", "ada").text == "User ada is disabled.\n"
    assert "disabled  2026-02-02" in batuta("user", "show", "ada").text
    assert json.loads(batuta("user", "enable", "ada", "--json").out)["name"] == "ada"
    assert "disabled" not in batuta("user", "show", "ada").text


def test_an_edit_without_a_change_and_an_unknown_user_are_told(batuta: Any) -> None:
    assert batuta("user", "edit", "ada").err == "batuta: nothing to change: give --role or --display-name.\n"
    done = batuta("user", "show", "bob")
    assert done.code == 1
    assert done.err == "batuta: there is no user 'bob'. `batuta user list` shows the users.\n"


def test_a_password_is_read_from_a_line_of_stdin_and_printed_nowhere(batuta: Any, server: Any) -> None:
    batuta("user", "add", "ada")
    done = batuta("user", "passwd", "ada", stdin=io.StringIO("correct horse\n"))
    assert done.text == "The password of ada is set.\n"
    assert server.state.asked[-1].password == "correct horse"
    assert "horse" not in done.text + done.err
    assert batuta("user", "passwd", "ada").err == "batuta: stdin holds no password; give one a line.\n"


def test_a_credential_is_printed_as_a_block_to_paste(batuta: Any, server: Any) -> None:
    batuta("user", "add", "ada", "--role", "viewer")
    done = batuta("credentials", "create", "--for", "ada", "--comment", "laptop", "--ttl", "90d")
    asked = server.state.asked[-1]
    assert (asked.subject, list(asked.roles), asked.ttl.seconds) == ("ada", [types.ROLE_VIEWER], 90 * 86400)
    login = credentials.parse(done.text, "stdout")
    assert (login.api, login.access_key, login.secret_key) == (server.api, "bk_new", "bs_new")


def test_credentials_are_listed_without_secrets_and_revoked(batuta: Any) -> None:
    for name in ("ada", "bob"):
        batuta("user", "add", name)
    batuta("credentials", "create", "--for", "ada", "--role", "member")
    assert batuta("credentials", "revoke", "bk_new").text == "Credential bk_new of ada is revoked.\n"
    shown = batuta("credentials", "list", "--for", "ada")
    assert shown.text.splitlines()[1].split()[:3] == ["bk_new", "ada", "member"]
    assert "2026-02-02" in shown.text
    assert "bs_new" not in shown.text
    assert json.loads(batuta("credentials", "list", "--for", "bob", "--json").out) == {"credentials": []}
    assert batuta("user", "show", "ada").text.splitlines()[-1].startswith("bk_new")
    done = batuta("credentials", "revoke", "bk_none")
    assert done.code == 1
    assert "`batuta credentials list` shows the credentials." in done.err
