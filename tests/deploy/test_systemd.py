"""The systemd units: systemd takes them, they are closed, and what they start is there and understands its flags."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from batuta._cli import plugins, program
from batuta._cli.context import Context
from batuta_agent.agent import EXIT_SUPERSEDED
from batuta_chassis.command import options_of
from batuta_chassis.settings import Settings
from tests.deploy.units import FOLDER, NAMES, Unit, examples
from tests.e2e.harness.processes import MARK, Process, kill_marked, poll, run
from tools.ports import free_port

BIN = Path(sys.prefix) / "bin"
INSTALLED = "/opt/batuta/bin"
EXPOSURE = {"batuta-api.service": 20, "batuta-queue.service": 20, "batuta.service": 60, "batuta-agent.service": 60}
"""How open a unit may be, in tenths of systemd's points from 0 to 10. Those in which tasks run are open to them."""


def unit(name: str) -> Unit:
    return Unit(FOLDER / name)


def test_there_is_a_unit_for_each_part_and_one_for_all() -> None:
    assert set(NAMES) == EXPOSURE.keys()


@pytest.mark.parametrize("name", NAMES)
def test_systemd_takes_the_unit_and_finds_it_closed(name: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here: install systemd. The other tests of this file need none of it")
    # Copies whose programs are there; users and folders of the target machine systemd does not look for.
    for each in NAMES:
        text = (FOLDER / each).read_text().replace(INSTALLED, str(BIN))
        (tmp_path / each).write_text(text.replace("EnvironmentFile=/", "EnvironmentFile=-/"))
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:", "SYSTEMD_LOG_LEVEL": "warning"}
    path = str(tmp_path / name)
    verified = run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path], environment, tmp_path)
    assert (verified.returncode, verified.stderr) == (0, "")
    words = ["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE[name]}", path]
    judged = run(words, environment, tmp_path)
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_unit_is_without_rights_writes_in_its_own_folder_and_comes_back(name: str) -> None:
    each = unit(name)
    user = "batuta-agent" if name == "batuta-agent.service" else "batuta"
    assert each.one("User") == user
    assert each.one("StateDirectory") == user
    assert each.environment["HOME"] == f"/var/lib/{user}"
    assert each.one("StateDirectoryMode") == "0700"
    assert each.one("NoNewPrivileges") == "yes"
    assert each.one("CapabilityBoundingSet") == ""
    assert each.one("ProtectSystem") in ("strict", "full")
    assert each.one("Restart") == "on-failure"
    assert each.sections["Unit"]["StartLimitIntervalSec"] == ["0"], "it would give up on a machine that starts slowly"
    assert each.sections["Install"]["WantedBy"] == ["multi-user.target"]


@pytest.mark.parametrize("name", ["batuta.service", "batuta-agent.service"])
def test_tasks_outlive_the_unit_that_started_them_and_keep_their_files(name: str) -> None:
    each = unit(name)
    assert each.one("KillMode") == "process"
    assert each.one("Delegate") == "yes"
    assert each.one("PrivateTmp") == ""
    assert each.one("PrivateDevices") == ""


def test_an_agent_that_another_process_replaced_is_not_started_again() -> None:
    assert unit("batuta-agent.service").one("RestartPreventExitStatus").split() == [str(EXIT_SUPERSEDED)]


@pytest.mark.parametrize("name", NAMES)
def test_the_program_of_the_unit_is_there_and_its_flags_are_understood(name: str, tmp_path: Path) -> None:
    each = unit(name)
    for environment in (each.environment, {**each.environment, **examples("server.env"), **examples("agent.env")}):
        command = placed(each.command(environment), tmp_path)
        words = command[1:]
        if command[0].endswith("/batuta"):
            found = plugins.installed()
            parsed = program.build(Context.of_this_process(), found, words).parse_args(words)
            assert name != "batuta.service" or options_of(parsed).port == 8480
        else:
            service = command[0].rpartition("-")[2]
            settings = Settings.load(service, words, environment)
            assert settings.data_dir == tmp_path / "var/lib/batuta" / service
            assert settings.port == {"api": 8480, "queue": 8481}[service]
    helped = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert helped.returncode == 0, helped.stderr
    assert "usage:" in helped.stdout


def placed(command: list[str], folder: Path) -> list[str]:
    """The command with our own programs, and with `folder` as the root of the machine; its settings are there."""
    (folder / "etc/batuta").mkdir(parents=True, exist_ok=True)
    (folder / "etc/batuta/server.toml").write_text((FOLDER / "server.toml").read_text())
    moved = [word.replace("/var/lib/", f"{folder}/var/lib/").replace("/etc/", f"{folder}/etc/") for word in command]
    assert moved[0].startswith(f"{INSTALLED}/")
    return [str(BIN / Path(moved[0]).name), *moved[1:]]


def test_what_is_commented_out_in_the_settings_is_a_setting_too(tmp_path: Path) -> None:
    whole = re.sub(r"(?m)^#(?=[a-z_]+ = )", "", (FOLDER / "server.toml").read_text())
    assert whole.count("#") == 4, "the sentences stay"
    path = tmp_path / "server.toml"
    path.write_text(whole)
    for service in ("api", "queue"):
        settings = Settings.load(service, ["--config", str(path)], {})
        assert settings.host == "0.0.0.0"
        assert settings.tls_cert
        assert settings.several


def test_systemd_makes_the_users_of_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-sysusers") is None:
        pytest.skip("systemd-sysusers is not here: install systemd")
    (tmp_path / "etc").mkdir()
    words = ["systemd-sysusers", f"--root={tmp_path}", str(FOLDER / "batuta.sysusers.conf")]
    made = run(words, os.environ, tmp_path)
    assert made.returncode == 0, made.stderr
    lines = dict(line.split(":", 1) for line in (tmp_path / "etc" / "passwd").read_text().splitlines())
    assert lines.keys() == {unit(name).one("User") for name in NAMES}
    assert {line.split(":")[4] for line in lines.values()} == {f"/var/lib/{name}" for name in lines}


def test_api_and_queue_serve_as_their_units_start_them(tmp_path: Path) -> None:
    ports = {"queue": free_port(), "api": free_port()}
    ours = {key: value for key, value in os.environ.items() if not key.startswith("BATUTA_")}
    started: list[Process] = []
    try:
        for service, port in ports.items():
            each = unit(f"batuta-{service}.service")
            command = [*placed(each.command(each.environment), tmp_path), "--port", str(port)]
            command += ["--queue-endpoint", f"127.0.0.1:{ports['queue']}"] if service == "api" else []
            environment = {**ours, **each.environment, "HOME": str(tmp_path), MARK: tmp_path.name}
            started.append(Process(service, command, environment, tmp_path / f"{service}.log", tmp_path))
        for process, port in zip(started, ports.values(), strict=True):
            address = f"{process.name} serves on 127.0.0.1:{port}"
            poll(address, 30, lambda process=process, address=address: address in process.said or not process.running)
            assert process.running, process.said
        state = tmp_path / "var/lib/batuta"
        assert (state / "api" / "admin.credentials").stat().st_mode & 0o777 == 0o600
        assert {path.name for path in (state / "keys").iterdir()} >= {"api.key", "queue.key"}
    finally:
        for process in started:
            process.stop()
        assert kill_marked(tmp_path.name, tmp_path) == []
