"""`batuta init`: what is gathered, checked and kept."""

from __future__ import annotations

import io
import stat
from pathlib import Path
from typing import Any

from batuta_rpc import config
from batuta_rpc.pinning import fingerprints
from batuta_rpc.trust import fold


class Terminal(io.StringIO):
    """Typed input."""

    def isatty(self) -> bool:
        return True


def block(api: str, secret: str = "s3cret%") -> str:
    return f"[batuta]\napi = {api}\naccess_key = KEY\nsecret_key = {secret}\n"


def test_init_keeps_a_login_that_the_server_takes_and_nobody_else_may_read_it(program: Any, server: Any) -> None:
    done = program("init", "--api", server.api, "--access-key", "KEY", "--secret-key", "s3cret%")
    assert (done.code, done.err) == (0, "")
    assert f"Logged in to {server.api} as admin (admin)" in done.text
    assert stat.S_IMODE(program.config.stat().st_mode) == 0o600
    assert config.load_connection({}, program.config) == config.Connection(server.api, "KEY", "s3cret%")


def test_init_reads_a_credential_file_and_flags_win_over_it(program: Any, server: Any, tmp_path: Path) -> None:
    file = tmp_path / "admin.credentials"
    file.write_text(block("http://127.0.0.1:1"))
    assert program("init", "--file", str(file), "--api", server.api).code == 0
    loaded = config.load_connection({}, program.config)
    assert loaded is not None
    assert loaded.api == server.api


def test_init_takes_what_is_missing_from_the_environment(program: Any, server: Any) -> None:
    program.env.update(BATUTA_API=server.api, BATUTA_ACCESS_KEY="KEY", BATUTA_SECRET_KEY="s3cret%")
    assert program("init").code == 0


def test_init_takes_a_pasted_block_up_to_the_empty_line(program: Any, server: Any) -> None:
    done = program("init", stdin=Terminal("\n" + block(server.api) + "\nnot read"))
    assert done.code == 0
    assert "paste the credential block" in done.err


def test_init_takes_a_block_without_its_heading_from_stdin(program: Any, server: Any) -> None:
    text = block(server.api).replace("[batuta]\n", "")
    assert program("init", "--file", "-", stdin=io.StringIO(text)).code == 0


def test_a_wrong_secret_is_told_in_one_line_and_nothing_is_kept(program: Any, server: Any) -> None:
    done = program("init", "--file", "-", stdin=io.StringIO(block(server.api, "wrong")))
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "refuses the credential 'KEY'" in done.err
    assert "wrong" not in done.err.replace("a wrong secret", "")
    assert not program.config.exists()


def test_no_server_is_told_in_one_line_with_its_address(program: Any) -> None:
    done = program("init", "--file", "-", stdin=io.StringIO(block("http://127.0.0.1:1")))
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "127.0.0.1:1" in done.err
    assert "batuta up" in done.err
    assert not program.config.exists()


def test_what_is_missing_is_named(program: Any) -> None:
    done = program("init", "--api", "http://127.0.0.1:1")
    assert (done.code, done.out) == (1, b"")
    assert done.err.startswith("batuta: missing: access key and secret key. Give --file BLOCK.ini (")
    assert done.err.endswith("or --access-key and --secret-key.\n")


def test_text_that_is_no_block_is_refused_and_the_form_is_shown(program: Any) -> None:
    done = program("init", "--file", "-", stdin=io.StringIO("hello there"))
    assert done.code == 1
    assert "stdin holds no credential block. It looks like: [batuta]" in done.err


def test_a_file_that_is_not_there_is_named(program: Any) -> None:
    done = program("init", "--file", "/nowhere/admin.credentials")
    assert done.code == 1
    assert done.err == "batuta: cannot read /nowhere/admin.credentials: No such file or directory.\n"


def test_an_address_that_cannot_be_read_is_refused(program: Any) -> None:
    done = program("init", "--api", "ftp://host", "--access-key", "KEY", "--secret-key", "x")
    assert done.code == 1
    assert "begins with http:// or https://" in done.err


def test_a_login_that_cannot_be_kept_names_the_file(program: Any, server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    program.env["BATUTA_CONFIG_FILE"] = str(tmp_path / "file" / "batuta.conf")
    done = program("init", "--api", server.api, "--access-key", "KEY", "--secret-key", "s3cret%")
    assert done.code == 1
    assert done.err.startswith(f"batuta: cannot keep the login in {tmp_path}/file/batuta.conf (")


def test_a_file_that_is_not_text_is_refused(program: Any, tmp_path: Path) -> None:
    (tmp_path / "block").write_bytes(b"\xb0\xff")
    done = program("init", "--file", str(tmp_path / "block"))
    assert (done.code, done.err.partition(". ")[0]) == (1, f"batuta: cannot read {tmp_path}/block: it is not text")


def secure(server: Any, *more: str) -> tuple[str, ...]:
    return "init", "--api", server.secure, "--access-key", "KEY", "--secret-key", "s3cret%", *more


def test_init_keeps_the_file_of_an_authority_and_commands_believe_it(program: Any, server: Any, tmp_path: Path) -> None:
    file = server.pki.file(tmp_path)
    assert program(*secure(server, "--ca-file", str(file))).code == 0
    loaded = config.load_connection({}, program.config)
    assert loaded is not None
    assert loaded.ca_file == str(file)
    assert program("queue", "list").code == 0


def test_init_keeps_the_authority_that_stands_in_a_block(program: Any, server: Any) -> None:
    text = f"{block(server.secure)}ca = {fold(server.pki.pem)}\n"
    assert program("init", "--file", "-", stdin=io.StringIO(text)).code == 0
    loaded = config.load_connection({}, program.config)
    assert loaded is not None
    assert loaded.trust.authorities == server.pki.pem


def test_init_fetches_an_authority_by_its_fingerprint_and_takes_no_other(program: Any, server: Any) -> None:
    wrong = program(*secure(server, "--ca-fingerprint", "sha256:" + "0" * 64))
    assert wrong.code == 1
    assert "it is another server, its authority was replaced, or somebody stands between" in wrong.err
    assert not program.config.exists()
    (right,) = fingerprints(server.pki.pem)
    assert program(*secure(server, "--ca-fingerprint", right)).code == 0
    token = program("agent", "join-token")
    assert f"--api {server.secure} --join-token TOKEN --ca-fingerprint {right}`" in token.err


def test_init_without_the_authority_says_how_to_name_it_and_keeps_nothing(program: Any, server: Any) -> None:
    done = program(*secure(server))
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "no authority known here has signed" in done.err
    assert "batuta init --ca-fingerprint" in done.err
    assert not program.config.exists()
