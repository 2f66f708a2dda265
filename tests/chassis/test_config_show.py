"""`batuta config show`, and settings in a TOML file."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from batuta_chassis import config_page
from batuta_chassis.command import options_of, up
from batuta_chassis.config_page import Shown
from batuta_chassis.limits import described, limit, limits_of
from batuta_chassis.settings import Settings, SettingsError
from batuta_chassis.sources import setting
from batuta_rpc.target import HTTP_PORT

SERVICES = ("api", "queue", "autoscaler")


@dataclass(frozen=True)
class Some:
    """Limits of a service."""

    places: int = limit(4, "places")
    wait: float = limit(1.5, "seconds to wait", low=0)


def write(folder: Path, text: str) -> str:
    path = folder / "batuta.toml"
    path.write_text(text)
    return str(path)


def load(folder: Path, text: str, *argv: str, **environ: str) -> Settings:
    config = ["--config", write(folder, text)]
    return Settings.load("queue", [*config, *argv], environ, limits_help=described(limits_of(Some)))


def row(rows: list[Shown], name: str) -> Shown:
    return next(each for each in rows if each.name == name)


def test_a_file_wins_over_defaults_the_environment_over_it_and_flags_over_both(tmp_path: Path) -> None:
    text = '[all]\nlog_level = "ERROR"\nport = 1\n[queue]\nport = 2\nreflection = false\n[queue.limits]\nplaces = 9\n'
    assert load(tmp_path, text).port == 2
    assert load(tmp_path, text).log_level == "ERROR"
    assert load(tmp_path, text).reflection is False
    assert load(tmp_path, text).limits == {"places": "9"}
    assert load(tmp_path, text, BATUTA_QUEUE_PORT="3", BATUTA_QUEUE_LIMIT_PLACES="10").port == 3
    assert load(tmp_path, text, BATUTA_QUEUE_LIMIT_PLACES="10").limits == {"places": "10"}
    assert load(tmp_path, text, "--port", "4", BATUTA_QUEUE_PORT="3").port == 4


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[queue]\nport = 2\n")
    assert Settings.load("queue", [], {"BATUTA_SERVER_CONFIG": path}).port == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[queue]\nprot = 1\n", "there is no setting 'prot' (in [queue])"),
        ("[api]\nprot = 1\n", "there is no setting 'prot' (in [api])"),
        ("[all.limits]\nplaces = 1\n", "there is no setting 'limits' (in [all])"),
        ("[quue]\nport = 1\n", "there is no service 'quue'; its tables are all, api, queue, autoscaler"),
        ("port = 1\n", "'port' stands outside of a table"),
        ('[queue]\nport = "many"\n', "port (in [queue]) takes a int, not 'many'"),
        ("[queue]\nport = true\n", "port (in [queue]) takes a int, not True"),
        ("[queue]\nreflection = 1\n", "reflection (in [queue]) takes a bool, not 1"),
        ("[queue]\nhost = 1\n", "host (in [queue]) takes a str, not 1"),
        ("[queue\n", "is no TOML"),
    ],
)
def test_a_file_that_cannot_be_meant_is_one_error_that_names_the_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert words in str(caught.value)
    assert "batuta.toml" in str(caught.value)


def test_a_file_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read the settings in .*nowhere"):
        Settings.load("queue", ["--config", str(tmp_path / "nowhere.toml")], {})


def test_an_unknown_limit_in_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no limit 'rooms'"):
        config_page.page("queue", [], {}, config=write(tmp_path, "[queue.limits]\nrooms = 1\n"), limits=Some)


def test_each_setting_says_its_value_and_who_gave_it(tmp_path: Path) -> None:
    config = write(tmp_path, "[queue]\ndisk_reserve = 0\n[queue.limits]\nwait = 0.25\n")
    environ = {"BATUTA_QUEUE_HOST": "127.0.0.2", "BATUTA_QUEUE_PORT": "1"}
    rows = config_page.page("queue", ["--port", "9"], environ, config=config, limits=Some)
    shown = {each.name: (each.value, each.origin) for each in rows}
    assert shown["port"] == ("9", "flag")
    assert shown["host"] == ("127.0.0.2", "environment")
    assert shown["disk_reserve"] == ("0", "file")
    assert shown["grace_seconds"] == ("10.0", "default")
    assert shown["limits.wait"] == ("0.25", "file")
    assert shown["limits.places"] == ("4", "default")
    assert shown["config"] == (config, "flag")


def test_each_setting_says_how_it_is_set() -> None:
    rows = config_page.page("queue", [], {}, limits=Some)
    reserve, wait = row(rows, "disk_reserve"), row(rows, "limits.wait")
    assert (reserve.variable, reserve.toml, reserve.flag, reserve.unit, reserve.default) == (
        "BATUTA_QUEUE_DISK_RESERVE",
        "queue.disk_reserve",
        "--disk-reserve",
        "bytes",
        "8388608",
    )
    assert (wait.variable, wait.toml, wait.flag, wait.unit, wait.default) == (
        "BATUTA_QUEUE_LIMIT_WAIT",
        "queue.limits.wait",
        "--limit wait=",
        "seconds",
        "1.5",
    )


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_said_of_a_setting_is_true(service: str, tmp_path: Path) -> None:
    """Each one is set by its variable, its flag and its key, and then shows where it comes from."""
    sample = {"bool": "1", "int": "7", "float": "0.5"}
    own = {"metrics_listen": "127.0.0.1:0", "log_level": "ERROR", "log_format": "text"}
    kinds = {each.name: str(each.type) for each in Settings.__dataclass_fields__.values()}
    for shown in config_page.page(service, [], {}):
        if shown.name in (
            "config",
            "redis_url",
            "tls",
            "tls_cert",
            "tls_key",
            "tls_client_ca",
            "host",
        ) or shown.name.startswith("limits."):
            continue  # they are refused alone, or need a value of their own
        text = own.get(shown.name) or sample.get(kinds[shown.name], "x")
        literal = {"bool": "true", "int": "7", "float": "0.5"}.get(kinds[shown.name], f'"{text}"')
        table, _, key = shown.toml.rpartition(".")
        config = write(tmp_path, f"[{table}]\n{key} = {literal}\n")
        ways: dict[str, Any] = {
            "flag": config_page.page(service, [shown.flag, text], {}),
            "environment": config_page.page(service, [], {shown.variable: text}),
            "file": config_page.page(service, [], {}, config=config),
        }
        for origin, rows in ways.items():
            assert row(rows, shown.name).origin == origin, shown.name


@pytest.mark.parametrize("service", SERVICES)
def test_no_setting_is_without_a_description(service: str) -> None:
    assert config_page.undocumented(config_page.page(service, [], {})) == []


def test_a_setting_without_a_description_is_found() -> None:
    @dataclass(frozen=True)
    class Bare:
        """One that somebody forgot."""

        service: str
        port: int = setting(1, "port")
        depth: int = 3
        limits: Any = ()

    rows = config_page.page("queue", [], {}, kind=Bare, limits=Some)
    assert config_page.undocumented(rows) == ["queue.depth"]
    silent = replace(rows[-1], description="  ")
    assert config_page.undocumented([silent]) == [f"queue.{silent.name}"]


def test_secrets_are_masked() -> None:
    environ = {
        "BATUTA_QUEUE_DATABASE_URL": "postgresql://batuta:pa@ss/w0rd@db/batuta?sslpassword=hidden",
        "BATUTA_QUEUE_REDIS_URL": "redis://:pa@ss/w0rd@cache:6379",
    }
    rows = config_page.page("queue", [], environ)
    text = config_page.as_text(rows) + json.dumps([each.as_dict() for each in rows])
    assert "w0rd" not in text
    assert "hidden" not in text
    assert row(rows, "database_url").value == "postgresql://batuta:***@db/batuta?sslpassword=***"
    assert row(rows, "redis_url").value == "redis://:***@cache:6379"


def ran(*argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("BATUTA_")}
    command = [sys.executable, "-m", "batuta", "config", "show", *argv]
    return subprocess.run(command, env={**kept, **environ}, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_shows_all_services_and_finds_nothing_undocumented() -> None:
    done = ran("--json")
    assert done.returncode == 0, done.stderr
    assert {each["service"] for each in json.loads(done.stdout)["settings"]} == set(SERVICES)
    assert ran("--undocumented").stdout == ""


def test_the_command_takes_the_flags_of_the_service_and_shows_what_is_set(tmp_path: Path) -> None:
    done = ran("queue", "--set", "--flags=--port 9", BATUTA_QUEUE_LIMIT_MAX_SESSIONS="7")
    assert "queue.port = 9  (flag; default 0)" in done.stdout
    assert "queue.limits.max_sessions = 7  (environment; default 20000)" in done.stdout
    assert "queue.host" not in done.stdout


def test_the_command_says_what_is_wrong() -> None:
    assert "there is no service 'moon'" in ran("moon").stderr
    done = ran("queue", BATUTA_QUEUE_PORT="many")
    assert (done.returncode, "--port (or its environment variable) takes a int" in done.stderr) == (1, True)


def asked(tmp_path: Path, text: str, *argv: str) -> Any:
    parser = argparse.ArgumentParser()
    up(parser.add_subparsers())
    return options_of(parser.parse_args(["up", "--config", write(tmp_path, text), *argv]))


def test_batuta_up_takes_the_file_and_its_flags_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[all]\nhost = "127.0.0.2"\n[api]\nport = 1\n[queue]\nport = 2\n'
    options = asked(tmp_path, text, "--queue-port", "3", "--data", str(tmp_path))
    assert (options.host, options.port, options.queue_port, options.data) == ("127.0.0.2", 1, 3, tmp_path)
    monkeypatch.setenv("BATUTA_API_PORT", "4")
    assert asked(tmp_path, text).port == 4


def test_the_http_port_comes_from_the_file_a_flag_or_follows_the_port(tmp_path: Path) -> None:
    text = '[api]\nhttp_port = 5\nhttp_origins = "https://a.example,https://b.example"\n'
    assert asked(tmp_path, text).http_port == 5
    assert asked(tmp_path, text).http_origins == ("https://a.example", "https://b.example")
    assert asked(tmp_path, text, "--http-port", "6", "--http-origin", "https://c.example").http_port == 6
    assert asked(tmp_path, "").http_port == HTTP_PORT
    assert asked(tmp_path, "", "--port", "4711").http_port == 0


def test_batuta_up_has_one_host_for_all(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="one host for all its services"):
        asked(tmp_path, '[queue]\nhost = "127.0.0.2"\n')
