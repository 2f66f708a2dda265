from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from batuta_courier import layout
from batuta_courier.room import size_bytes
from batuta_courier.scalars_reader import ScalarReader

if TYPE_CHECKING:
    from tests.sdk.conftest import Scripts

SCRIPT = (
    "from batuta import Task\n"
    "task = Task.init('p', 'n', tags=['x'])\n"
    "task.connect({'lr': 0.1})\n"
    "for at in range(10): task.get_logger().report_scalar('loss', 'train', at, at)\n"
    "print('hello')\n"
    "print(task.get_last_iteration(), task.get_parameters())\n"
    "try: task.execute_remotely('default')\n"
    "except RuntimeError as error: print('refused:', error)\n"
)


def only_spool(home: Path) -> Path:
    (spool,) = (home / ".batuta" / "spool").iterdir()
    return spool


def test_without_a_server_one_line_says_what_to_do_and_everything_goes_to_disk(scripts: Scripts) -> None:
    (scripts.home / ".batuta" / "batuta.conf").unlink()
    out = scripts.run(SCRIPT)
    assert out.count("batuta init` to use one") == 1
    assert "refused: this run is offline" in out
    assert "9 {'General/lr': '0.1'}" in out
    spool = only_spool(scripts.home)
    assert layout.read_run(spool).mode == layout.OFFLINE
    assert b"hello" in (spool / "console.log").read_bytes()
    (producer,) = layout.producers(spool)
    assert ScalarReader(producer).end() == 10
    close = layout.read_close(spool)
    assert close is not None
    assert close.state == "COMPLETED"
    task = json.loads((spool / "task.json").read_text())
    assert (task["project_name"], task["display_name"], task["tags"]) == ("p", "n", ["x"])
    assert task["code"]["script"] == SCRIPT
    assert spool.stat().st_mode & 0o077 == 0


def test_offline_mode_asks_no_server(scripts: Scripts) -> None:
    out = scripts.run(SCRIPT, env={"BATUTA_OFFLINE_MODE": "1", "BATUTA_CONFIG_FILE": "/nonexistent"})
    assert "as BATUTA_OFFLINE_MODE asks" in out
    assert layout.read_run(only_spool(scripts.home)).mode == layout.OFFLINE


def test_half_a_configuration_is_an_error(scripts: Scripts) -> None:
    (scripts.home / ".batuta" / "batuta.conf").unlink()
    out = scripts.run(SCRIPT, code=1, env={"BATUTA_API": "http://127.0.0.1:1"})
    assert "BATUTA_ACCESS_KEY" in out


def test_a_home_that_cannot_be_written_is_one_error_that_says_so(scripts: Scripts) -> None:
    (scripts.home / "file").touch()
    out = scripts.run(SCRIPT, code=1, env={"BATUTA_OFFLINE_MODE": "1", "HOME": str(scripts.home / "file")})
    assert f"RuntimeError: Batuta cannot write its spool under {scripts.home}/file/.batuta/spool (Not a dir" in out
    assert "During handling" not in out


def test_names_and_tags_of_the_wrong_kind_are_named(scripts: Scripts) -> None:
    code = (
        "from batuta import Task\n"
        "for given in ({'project_name': 3}, {'task_name': b'x'}, {'tags': [1]}, {'tags': 'one'}):\n"
        "    try: Task.init(**given)\n"
        "    except TypeError as error: print(error)\n"
    )
    out = scripts.run(code, env={"BATUTA_OFFLINE_MODE": "1"})
    for words in ("project_name=3): it is text", "task_name=b'x'): it is text", "tags=[1]): it", "tags='one'): it"):
        assert words in out


def test_the_environment_bounds_a_runs_spool_and_all_of_them(scripts: Scripts) -> None:
    env = {"BATUTA_OFFLINE_MODE": "1", "BATUTA_SPOOL_BYTES": "2000000", "BATUTA_SPOOL_LIMIT_BYTES": "5000000"}
    flood = "from batuta import Task\nTask.init('p', 'n')\nfor at in range(4000): print('x' * 999)\n"
    scripts.run(flood, env=env)
    spool = only_spool(scripts.home)
    assert size_bytes(spool) < 3_000_000
    assert b"bytes of output are missing here (the spool or its disk is full)" in (spool / "console.log").read_bytes()
    (spool.parent / "other").mkdir()
    (spool.parent / "other" / "console.log").write_bytes(bytes(5_000_000))
    out = scripts.run("from batuta import Task\nTask.init('p', 'n')\n", env=env)
    assert "so output of this run will be missing: `batuta sync` sends what can be sent" in out


def test_a_limit_that_is_no_number_is_an_error_that_names_it(scripts: Scripts) -> None:
    out = scripts.run(SCRIPT, code=1, env={"BATUTA_OFFLINE_MODE": "1", "BATUTA_SPOOL_BYTES": "lots"})
    assert "BATUTA_SPOOL_BYTES is 'lots': give a whole number of bytes" in out
