"""Flags win over the environment, the environment over defaults; what cannot work is refused in words."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from batuta_chassis.settings import Settings, SettingsError


def test_flags_win_over_the_environment(tmp_path: Path) -> None:
    environ = {"BATUTA_QUEUE_PORT": "1", "BATUTA_QUEUE_HOST": "127.0.0.2", "BATUTA_API_PORT": "9"}
    settings = Settings.load("queue", ["--data-dir", str(tmp_path), "--port", "2", "--reflection", "0"], environ)
    assert (settings.port, settings.host, settings.reflection) == (2, "127.0.0.2", False)


def test_paths_follow_the_data_folder(tmp_path: Path) -> None:
    settings = Settings.load("queue", ["--data-dir", str(tmp_path)], {})
    assert settings.keys_dir == tmp_path / "keys"
    assert settings.database_url == f"sqlite:///{tmp_path}/queue.db"


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--port", "many"], "--port .* takes a int"),
        (["--port", "70000"], "0 to 65535"),
        (["--reflection", "maybe"], "--reflection"),
        (["--host", "0.0.0.0"], "TLS"),
        (["--tls-cert", "c.pem"], "both"),
    ],
)
def test_a_setting_that_cannot_work_says_why(tmp_path: Path, argv: list[str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Settings.load("queue", ["--data-dir", str(tmp_path), *argv], {})


def test_plaintext_beyond_this_machine_must_be_asked_for(tmp_path: Path) -> None:
    assert Settings("api", tmp_path, host="0.0.0.0", port=1, allow_plaintext=True).endpoint == "http://127.0.0.1:1"


def test_s40_folders_are_made_for_their_owner_only(tmp_path: Path) -> None:
    settings = Settings("api", tmp_path / "data")
    settings.prepare()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (settings.data_dir, settings.keys_dir)} == {0o700}


def test_a_free_port_is_chosen_before_the_service_is_built(tmp_path: Path) -> None:
    settings = Settings("api", tmp_path).with_port()
    assert settings.port > 0
    assert settings.with_port() == settings
    assert settings.endpoint == f"http://127.0.0.1:{settings.port}"
