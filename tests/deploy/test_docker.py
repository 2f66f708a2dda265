"""Dockerfile and compose files: their linters take them, and what they open, allow and give away is little."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from batuta._cli import plugins, program
from batuta._cli.context import Context
from batuta_chassis.settings import Settings
from tests.e2e.harness.processes import run

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "docker"
BIN = Path(sys.prefix) / "bin"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The compose files with secrets as `secrets.sh` makes them, and certificates that are none."""
    made = tmp_path / "deploy" / "docker"
    shutil.copytree(FOLDER, made, ignore=shutil.ignore_patterns("secrets"))
    done = run(["sh", str(made / "secrets.sh")], os.environ, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("tls_cert.pem", "tls_key.pem"):
        (made / "secrets" / name).write_text("PEM")
    return made


def composed(folder: Path, *files: str, **variables: str) -> dict[str, Any]:
    """The files as compose understands them, the profile of the agent included."""
    words = [str(BIN / "docker-compose"), "--profile", "agent"]
    for name in files:
        words += ["-f", name]
    done = run([*words, "config", "--format", "json"], {"PATH": os.environ["PATH"], **variables}, folder)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def values_of(target: str) -> dict[str, str]:
    """What `ENV` sets in a stage of the Dockerfile."""
    stage = re.split(r"(?m)^FROM .*", DOCKERFILE.partition(f" AS {target}\n")[2])[0]
    lines = re.findall(r"(?m)^ENV ((?:.*\\\n)*.*)$", stage)
    return dict(re.findall(r"(\w+)=(\S*)", " ".join(lines)))


def test_hadolint_finds_nothing() -> None:
    done = run([str(BIN / "hadolint"), str(FOLDER / "Dockerfile")], os.environ, ROOT)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(("target", "user"), [("services", "10001:10001"), ("agent", "10002:10002")])
def test_no_image_runs_as_root_and_each_says_what_it_is(target: str, user: str) -> None:
    stage = re.split(r"(?m)^FROM .*", DOCKERFILE.partition(f" AS {target}\n")[2])[0]
    assert re.findall(r"(?m)^USER (.*)$", stage) == [user]
    assert "org.opencontainers.image.title" in stage
    assert "org.opencontainers.image.licenses" in stage


def test_the_services_in_the_image_listen_everywhere_but_not_without_encryption_unless_told(tmp_path: Path) -> None:
    environment = values_of("services")
    for service, port in (("api", 8480), ("queue", 8481), ("autoscaler", 8482)):
        with pytest.raises(Exception, match="no TLS"):
            Settings.load(service, [], environment)
        settings = Settings.load(service, ["--allow-plaintext", "1"], environment)
        assert (settings.host, settings.port) == ("0.0.0.0", port)
        assert settings.data_dir == Path("/var/lib/batuta/data")


def test_the_commands_of_the_images_are_commands_of_ours() -> None:
    found = plugins.installed()
    (entry,) = re.findall(r"(?m)^ENTRYPOINT (\[.*\])$", DOCKERFILE)
    (services, agent) = re.findall(r"(?m)^CMD (\[.*\])$", DOCKERFILE)
    words = [*json.loads(entry), *json.loads(agent)]
    assert words[:3] == ["tini", "--", "batuta"]
    assert program.build(Context.of_this_process(), found, words[3:]).parse_args(words[3:]).stop_tasks_on_exit
    assert (BIN / json.loads(services)[0]).exists()
    health = ["admin", "health", "http://127.0.0.1:8480", "--certificate-name", ""]
    assert "exec batuta admin health" in DOCKERFILE
    assert program.build(Context.of_this_process(), found, health).parse_args(health).url == health[2]


def test_the_context_of_the_build_is_what_the_wheel_is_made_of_and_the_lock() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    kept = {line[1:] for line in lines if line[0] == "!"}
    text = (ROOT / "pyproject.toml").read_text()
    packages = re.findall(r'^  "([a-z]+)/', text.partition("[tool.hatch.build.targets.wheel]")[2], re.MULTILINE)
    assert kept == {*packages, "pyproject.toml", "constraints.txt", "README.md", "LICENSE"}


def test_compose_opens_two_ports_to_this_machine_only(folder: Path) -> None:
    services = composed(folder, "compose.yml")["services"]
    assert services.keys() == {"postgres", "redis", "queue", "api", "agent"}
    opened = {
        (name, each["host_ip"], each["published"])
        for name, service in services.items()
        for each in service.get("ports", [])
    }
    assert opened == {("api", "127.0.0.1", "8480"), ("queue", "127.0.0.1", "8481")}


def test_compose_keeps_the_stores_inside_and_tasks_away_from_them(folder: Path) -> None:
    whole = composed(folder, "compose.yml")
    assert whole["networks"]["inside"]["internal"]
    networks = {name: set(service["networks"]) for name, service in whole["services"].items()}
    assert networks["postgres"] == networks["redis"] == {"inside"}
    assert networks["agent"] == {"outside"}


def test_compose_gives_no_rights_comes_back_and_bounds_its_logs(folder: Path) -> None:
    for name, service in composed(folder, "compose.yml")["services"].items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service["restart"] in ("unless-stopped", "on-failure"), name
        assert service["logging"]["options"]["max-size"], name
        if name in ("api", "queue", "redis"):
            assert service["cap_drop"] == ["ALL"], name
            assert service["read_only"], name


def test_no_password_stands_in_an_environment(folder: Path) -> None:
    password = (folder / "secrets" / "postgres_password").read_text()
    assert re.fullmatch(r"[0-9a-f]{48}", password)
    whole = composed(folder, "compose.yml")
    assert password not in json.dumps(whole)
    assert all(
        "PASSWORD" not in key or key.endswith("_FILE")
        for each in whole["services"].values()
        for key in each.get("environment", {})
    )


def test_the_services_take_the_settings_that_secrets_sh_writes_and_it_overwrites_nothing(folder: Path) -> None:
    whole = composed(folder, "compose.yml")["services"]
    password = (folder / "secrets" / "postgres_password").read_text()
    for service in ("api", "queue"):
        environment = {**values_of("services"), **whole[service]["environment"]}
        environment["BATUTA_SERVER_CONFIG"] = str(folder / "secrets" / "server.toml")
        settings = Settings.load(service, [], environment)
        assert settings.database_url == f"postgresql://batuta:{password}@postgres/batuta"
        assert settings.redis_url == "redis://redis:6379"
        assert settings.keys_dir == Path("/var/lib/batuta/keys")
        assert settings.port == int(whole[service]["ports"][0]["target"])
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    before = {path.name: path.read_bytes() for path in (folder / "secrets").iterdir()}
    assert run(["sh", "secrets.sh"], os.environ, folder).returncode == 0
    assert {path.name: path.read_bytes() for path in (folder / "secrets").iterdir()} == before


def test_with_the_second_file_everything_is_encrypted_under_the_name_of_the_certificate(folder: Path) -> None:
    files = ("compose.yml", "compose.tls.yml")
    whole = composed(folder, *files, BATUTA_NAME="b.example.com", BATUTA_LISTEN="0.0.0.0")["services"]
    for service in ("api", "queue"):
        environment = {**values_of("services"), **whole[service]["environment"]}
        environment["BATUTA_SERVER_CONFIG"] = str(folder / "secrets" / "server.toml")
        settings = Settings.load(service, [], environment)
        assert not settings.allow_plaintext
        assert settings.tls_cert == "/run/secrets/tls_cert.pem"
        assert {each["target"].rpartition("/")[2] for each in whole[service]["secrets"]} >= {
            "tls_cert.pem",
            "tls_key.pem",
        }
        assert environment["BATUTA_HEALTH_URL"] == f"https://127.0.0.1:{settings.port}"
        assert environment["BATUTA_HEALTH_NAME"] == "b.example.com"
    assert whole["queue"]["networks"]["outside"]["aliases"] == ["b.example.com"]
    assert whole["agent"]["environment"]["BATUTA_API"] == "https://b.example.com:8480"
    words = [str(BIN / "docker-compose"), "-f", files[0], "-f", files[1], "config", "-q"]
    unnamed = run(words, {"PATH": os.environ["PATH"]}, folder)
    assert unnamed.returncode != 0
    assert "the name that the certificate is for" in unnamed.stderr
