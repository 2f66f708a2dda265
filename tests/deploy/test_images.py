"""Machine images: Packer's template, the script it runs, and user data by cloud-init's schema.

`cloud-config.schema.json` is that of cloud-init 22.4.2 (Debian 12), by Canonical and others, under Apache-2.0.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import hcl2
import jsonschema
import pytest
import yaml

from batuta_chassis.command import options_of
from batuta_chassis.settings import Settings
from batuta_rpc.version import VERSION
from tests.deploy.units import FOLDER as UNITS
from tests.deploy.units import NAMES
from tests.deploy.units import Unit as SystemdUnit
from tests.e2e.harness.processes import run

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "images"
SCHEMA = json.loads((Path(__file__).parent / "cloud-config.schema.json").read_text())
USER_DATA = sorted((FOLDER / "cloud-init").glob("*.yaml"))
TEMPLATES = sorted(FOLDER.glob("*.pkr.hcl"))

Block = dict[str, Any]


def plain(value: Any) -> Any:
    """HCL as Python: python-hcl2 leaves the quotes around strings."""
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value[1:-1] if isinstance(value, str) and value[:1] == value[-1:] == '"' else value


@pytest.fixture
def template() -> Block:
    """What the templates say together."""
    whole: Block = {}
    for path in TEMPLATES:
        with path.open() as file:
            for kind, blocks in plain(hcl2.load(file)).items():
                whole.setdefault(kind, []).extend(blocks)
    return whole


def written(user_data: Block) -> dict[str, str]:
    return {each["path"]: each["content"] for each in user_data["write_files"]}


@pytest.mark.parametrize("path", USER_DATA, ids=lambda path: path.name)
def test_cloud_init_takes_the_user_data(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("#cloud-config\n")
    user_data = yaml.safe_load(text)
    jsonschema.Draft4Validator(SCHEMA).validate(user_data)
    for each in user_data["runcmd"]:
        units = [word for word in each if word.endswith(".service")]
        assert set(units) <= set(NAMES)
    for each in user_data["write_files"]:
        assert each["path"].startswith(("/etc/batuta/", "/etc/systemd/system/batuta"))


def test_the_schema_refuses_a_key_of_the_wrong_kind() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(SCHEMA).validate({"write_files": [{"path": 1}]})


def test_the_server_of_the_user_data_is_encrypted_and_keeps_its_data_on_the_other_disk(tmp_path: Path) -> None:
    from batuta._cli import plugins, program
    from batuta._cli.context import Context

    user_data = yaml.safe_load((FOLDER / "cloud-init" / "server.yaml").read_text())
    files = written(user_data)
    settings = tmp_path / "server.toml"
    settings.write_text(files["/etc/batuta/server.toml"])
    told = Settings.load("api", ["--config", str(settings)], {})
    assert (told.host, told.tls_cert) == ("0.0.0.0", "/etc/batuta/tls/cert.pem")
    unit = SystemdUnit(UNITS / "batuta.service")
    name, _, value = files["/etc/batuta/server.env"].strip().partition("=")
    command = unit.command({name: value})
    words = [word.replace("/etc/batuta/server.toml", str(settings)) for word in command[1:]]
    parsed = program.build(Context.of_this_process(), plugins.installed(), words).parse_args(words)
    options = options_of(parsed)
    assert options.advertise == "batuta.example.com"
    assert not options.agent
    assert options.tls_key
    (mount,) = user_data["mounts"]
    assert Path(mount[1]) in options.data.parents
    assert f"ConditionPathIsMountPoint={mount[1]}" in files["/etc/systemd/system/batuta.service.d/disk.conf"]
    (disk,) = user_data["fs_setup"]
    assert mount[0] == f"LABEL={disk['label']}"
    assert disk["overwrite"] is False


def test_the_agent_of_the_user_data_is_told_what_its_unit_reads() -> None:
    user_data = yaml.safe_load((FOLDER / "cloud-init" / "agent.yaml").read_text())
    content = written(user_data)["/etc/batuta/agent.env"]
    ours = {line.partition("=")[0] for line in content.splitlines()}
    theirs = (UNITS / "agent.env").read_text()
    assert ours == {line.partition("=")[0] for line in theirs.splitlines() if line and line[0] != "#"}
    assert user_data["write_files"][0]["permissions"] == "0600"


def test_the_template_makes_an_image_on_both_clouds_of_this_release(template: Block) -> None:
    sources = {f"source.{kind}.{name}" for each in template["source"] for kind, named in each.items() for name in named}
    assert sources == {"source.amazon-ebs.server", "source.googlecompute.server"}
    (build,) = template["build"]
    assert set(build["sources"]) == sources
    defaults = {name: each["default"] for block in template["variable"] for name, each in block.items()}
    assert defaults["version"] == VERSION


def test_every_variable_of_the_template_is_declared_and_every_one_declared_is_used(template: Block) -> None:
    text = "".join(path.read_text() for path in TEMPLATES)
    used = set(re.findall(r"\bvar\.(\w+)", text))
    assert used == {name for block in template["variable"] for name in block}
    assert set(re.findall(r"\blocal\.(\w+)", text)) == {name for block in template["locals"] for name in block}


def test_the_template_uploads_what_the_script_wants(template: Block) -> None:
    (build,) = template["build"]
    uploads = [each["file"] for each in build["provisioner"] if "file" in each]
    assert [each["source"] for each in uploads] == ["${var.build}/", "install.sh"]
    assert (FOLDER / "install.sh").exists()
    commands = [line for each in build["provisioner"] if "shell" in each for line in each["shell"]["inline"]]
    assert f"sudo sh {uploads[1]['destination']} {uploads[0]['destination']}" in commands


def test_the_script_copies_files_that_are_there_and_says_what_it_lacks(tmp_path: Path) -> None:
    script = FOLDER / "install.sh"
    assert run(["sh", "-n", str(script)], os.environ, tmp_path).returncode == 0
    for name in re.findall(r"\$from/systemd/([\w.]+)", script.read_text()):
        assert (UNITS / name).exists(), name
    assert run(["sh", str(script)], os.environ, tmp_path).returncode == 2
    lacking = run(["sh", str(script), str(tmp_path)], os.environ, tmp_path)
    assert lacking.returncode == 1
    assert "run it as root" in lacking.stderr or "one wheel" in lacking.stderr


@pytest.mark.nightly
def test_packer_takes_the_template(tmp_path: Path) -> None:
    packer = shutil.which("packer")
    if packer is None:
        pytest.skip("packer is not here (Debian: apt-get install packer); the tests above read the template without it")
    shutil.copytree(FOLDER, tmp_path / "images")
    folder = tmp_path / "images"
    (folder / "build").mkdir()
    environment = {**os.environ, "HOME": str(tmp_path), "CHECKPOINT_DISABLE": "1", "PACKER_LOG": "0"}
    found = re.search(r"(\d+)\.(\d+)", run([packer, "version"], environment, folder).stdout)
    assert found is not None
    if (int(found[1]), int(found[2])) < (1, 7):
        (folder / "plugins.pkr.hcl").unlink()
    else:
        assert run([packer, "init", "."], environment, folder, 300).returncode == 0
    done = run([packer, "validate", "-var", "gcp_project=p", "."], environment, folder, 120)
    assert done.returncode == 0, done.stdout + done.stderr
