from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from batuta_rpc.config import (
    ConfigError,
    Connection,
    default_path,
    format_connection,
    load_connection,
    parse_connection,
    save_connection,
)
from batuta_rpc.trust import PUBLIC, fold, of_environment
from tests.pki import Pki

HOME = Connection("http://host:8480", "KEY", "s%cret")


def test_a_saved_connection_reads_back_and_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "batuta.conf"
    save_connection(path, HOME)
    assert load_connection({}, path) == HOME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["batuta.conf"]


def test_saving_again_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "batuta.conf"
    save_connection(path, HOME)
    other = Connection("https://other", "K", "S")
    save_connection(path, other)
    assert load_connection({}, path) == other


def test_nothing_configured_is_none(tmp_path: Path) -> None:
    assert load_connection({}, tmp_path / "missing") is None


def test_the_environment_alone_suffices(tmp_path: Path) -> None:
    env = {"BATUTA_API": "host:1", "BATUTA_ACCESS_KEY": "a", "BATUTA_SECRET_KEY": "b"}
    assert load_connection(env, tmp_path / "missing") == Connection("host:1", "a", "b")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "batuta.conf"
    save_connection(path, HOME)
    env = {"BATUTA_ACCESS_KEY": "a", "BATUTA_SECRET_KEY": "b"}
    assert load_connection(env, path) == Connection(HOME.api, "a", "b")


def test_the_file_is_named_by_a_variable(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.conf"
    save_connection(path, HOME)
    assert default_path({"BATUTA_CONFIG_FILE": str(path)}) == path
    assert load_connection({"BATUTA_CONFIG_FILE": str(path)}) == HOME


def test_the_secret_of_a_file_is_never_sent_to_another_server(tmp_path: Path) -> None:
    path = tmp_path / "batuta.conf"
    save_connection(path, HOME)
    assert load_connection({"BATUTA_API": HOME.api}, path) == HOME
    with pytest.raises(ConfigError, match="set BATUTA_ACCESS_KEY"):
        load_connection({"BATUTA_API": "http://evil"}, path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[batuta]\napi = host\n", "access_key and secret_key missing"),
        ("api = host\n", "begins with \\[batuta\\]"),
        ("[batuta]\napi = a\napi = b\n", "is not a Batuta configuration"),
    ],
)
def test_a_file_that_is_not_whole_says_what_is_missing(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "batuta.conf"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_connection({}, path)


def test_a_pasted_block_is_read() -> None:
    assert parse_connection(format_connection(HOME)) == HOME
    with pytest.raises(ConfigError, match="the paste"):
        parse_connection("hello", "the paste")


def test_a_block_carries_the_authority_on_one_line_and_a_file_names_one(tmp_path: Path) -> None:
    pem = Pki().pem
    by_line = HOME._replace(api="https://host:8480", ca=fold(pem))
    assert parse_connection(format_connection(by_line)).trust.authorities == pem
    (tmp_path / "ca.pem").write_bytes(pem)
    by_file = by_line._replace(ca="", ca_file=str(tmp_path / "ca.pem"))
    path = tmp_path / "batuta.conf"
    save_connection(path, by_file)
    found = load_connection({}, path)
    assert found == by_file
    assert found is not None
    assert found.trust.authorities == pem


def test_the_variable_wins_over_the_authorities_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "batuta.conf"
    save_connection(path, HOME._replace(ca=fold(Pki().pem)))
    other = Pki("another")
    found = load_connection({"BATUTA_CA_FILE": str(other.file(tmp_path))}, path)
    assert found is not None
    assert found.trust.authorities == other.pem
    assert of_environment({"BATUTA_CA_FILE": str(other.file(tmp_path))}).authorities == other.pem


def test_the_authorities_of_a_file_are_believed_at_its_own_address_only(tmp_path: Path) -> None:
    path = tmp_path / "batuta.conf"
    save_connection(path, HOME._replace(ca=fold(Pki().pem)))
    env = {"BATUTA_API": "https://other", "BATUTA_ACCESS_KEY": "a", "BATUTA_SECRET_KEY": "b"}
    found = load_connection(env, path)
    assert found is not None
    assert found.trust == PUBLIC


def test_authorities_that_cannot_be_read_say_what_names_them(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    cases = [
        (HOME._replace(ca_file=str(tmp_path / "none")), "cannot read .*none .*, which ca_file names"),
        (HOME._replace(ca_file=str(tmp_path / "text")), "text, which ca_file names, holds no certificate"),
        (HOME._replace(ca="MII?"), "copy the block again"),
    ]
    for connection, words in cases:
        with pytest.raises(ConfigError, match=words):
            _ = connection.trust


def test_the_secret_does_not_show_in_a_log() -> None:
    assert HOME.secret_key not in repr(HOME)


def test_reading_the_configuration_imports_no_grpc() -> None:
    heavy = "{'grpc', 'google.protobuf', 'ssl'} & set(sys.modules)"
    code = f"import sys, batuta_rpc.config; sys.exit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
