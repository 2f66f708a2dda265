"""The scenario of the clients in other languages, in Python: create, enqueue, watch, read metrics and log."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.harness.stack import Services

CLIENTS = Path(__file__).resolve().parents[2] / "examples/clients"


def test_the_scenario_of_the_clients_passes_in_python(shared: Services) -> None:
    block = configparser.ConfigParser(interpolation=None)
    assert block.read(shared.server_folder / "admin.credentials")
    told = {
        "BATUTA_ADDRESS": shared.api.partition("://")[2],
        "BATUTA_ACCESS_KEY": block["batuta"]["access_key"],
        "BATUTA_SECRET_KEY": block["batuta"]["secret_key"],
        "BATUTA_SCRIPT": str(CLIENTS / "train.py"),
    }
    command = [sys.executable, str(CLIENTS / "python/scenario.py")]
    done = subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("python: task ")


def test_the_scenario_fails_when_the_log_is_another(shared: Services, tmp_path: Path) -> None:
    block = configparser.ConfigParser(interpolation=None)
    assert block.read(shared.server_folder / "admin.credentials")
    (tmp_path / "other.py").write_text("print('something else')\n")
    told = {
        "BATUTA_ADDRESS": shared.api.partition("://")[2],
        "BATUTA_ACCESS_KEY": block["batuta"]["access_key"],
        "BATUTA_SECRET_KEY": block["batuta"]["secret_key"],
        "BATUTA_SCRIPT": str(tmp_path / "other.py"),
    }
    command = [sys.executable, str(CLIENTS / "python/scenario.py")]
    done = subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 1
    assert "the log is" in done.stderr
