"""`batuta artifact …`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from batuta._artifacts.download import file_name
from batuta_proto.artifacts import v1 as artifacts
from batuta_rpc import errors

T = "t1"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_artifacts_are_a_table_and_json(batuta: Any, server: Any) -> None:
    server.shelf.put("model", bytes(2048), kind=artifacts.ARTIFACT_KIND_BYTES)
    server.shelf.put("report", b"a,b\n", kind=artifacts.ARTIFACT_KIND_TABLE)
    lines = batuta("artifact", "list", T).text.splitlines()
    assert lines[0].split() == ["NAME", "ATTEMPT", "KIND", "SIZE", "SHA-256", "CREATED", "EXPIRES", "ID"]
    assert lines[1].split()[:4] == ["model", "1", "BYTES", "2.0"]
    assert len(batuta("artifact", "list", T, "--kind", "table").text.splitlines()) == 2
    assert len(batuta("artifact", "list", T, "--name", "model", "--limit", "1").text.splitlines()) == 2
    [found] = json.loads(batuta("artifact", "list", T, "--kind", "table", "--json").out)["artifacts"]
    assert (found["name"], found["size_bytes"]) == ("report", "4")


def test_one_artifact_is_shown_with_its_preview_and_no_control_characters(batuta: Any, server: Any) -> None:
    server.shelf.put("report", b"a,b\n", preview="a  b\n\x1b[31m1  2", labels={"epoch": "3"}, uri="s3://b/k")
    text = batuta("artifact", "show", T, "report").text
    assert "s3://b/k" in text
    assert text.endswith("\n\na  b\n\\x1b[31m1  2\n")
    assert json.loads(batuta("artifact", "show", T, "report", "--json").out)["labels"] == {"epoch": "3"}
    gone = batuta("artifact", "show", T, "nothing")
    assert (gone.code, gone.err) == (
        1,
        "batuta: task t1 has no artifact 'nothing'. `batuta artifact list TASK` shows them.\n",
    )


def test_a_file_is_put_and_got_again(batuta: Any, server: Any, here: Path) -> None:
    data = os.urandom(1 << 20)
    (here / "best.pt").write_bytes(data)
    done = batuta("artifact", "put", T, "best.pt", "--name", "model", "--label", "epoch=3", "--ttl", "30d")
    assert (done.code, done.err) == (0, "")
    [begin] = server.shelf.begun
    assert (begin.task_id, begin.attempt, begin.name, begin.size_bytes, begin.ttl.seconds) == (
        T,
        0,
        "model",
        1 << 20,
        30 * 86400,
    )
    done = batuta("artifact", "get", T, "model", "-o", "copy.pt")
    assert "as it was stored" in done.text
    assert (here / "copy.pt").read_bytes() == data
    assert sorted(path.name for path in here.iterdir()) == ["best.pt", "copy.pt"]
    (here / "into").mkdir()
    told = json.loads(batuta("artifact", "get", T, "model", "-o", "into", "--json").out)
    assert (told["file"], told["artifact"]["name"]) == ("into/model", "model")


def test_a_cut_upload_goes_on_and_so_does_one_whose_program_was_ended(batuta: Any, server: Any, here: Path) -> None:
    data = os.urandom(3 << 20)
    (here / "best.pt").write_bytes(data)
    server.shelf.cut_upload_after = [1 << 20, 2 << 20]
    assert batuta("artifact", "put", T, "best.pt").code == 0
    assert len(server.shelf.begun) == 3
    assert list(server.shelf.data.values()) == [data]
    server.shelf.refuse = errors.DiskFull("the server's disk has no room for the bytes.", retry_delay=30)
    (here / "other.pt").write_bytes(data)
    done = batuta("artifact", "put", T, "other.pt")
    assert (done.code, done.err) == (1, "batuta: the server's disk has no room for the bytes.\n")
    server.shelf.refuse = None
    assert batuta("artifact", "put", T, "other.pt").code == 0
    assert len({each.upload_id for each in server.shelf.begun}) == 2


def test_a_cut_download_goes_on_where_it_was(batuta: Any, server: Any, here: Path) -> None:
    data = os.urandom(5000)
    server.shelf.put("model", data)
    server.shelf.cut_read_after = [2000, 3000]
    assert batuta("artifact", "get", T, "model").code == 0
    assert server.shelf.offsets == [0, 2000, 3000]
    assert (here / "model").read_bytes() == data


def test_a_server_that_stays_away_is_one_error_after_a_bounded_number_of_tries(
    batuta: Any, server: Any, here: Path
) -> None:
    server.shelf.put("model", os.urandom(5000))
    server.shelf.cut_read_after = [0] * 1000
    done = batuta("artifact", "get", T, "model")
    assert (done.code, done.err) == (1, "batuta: this process is going down.\n")
    assert 60 <= len(server.shelf.offsets) <= 62
    assert not (here / "model").exists()


def test_nothing_that_is_there_is_written_over_unless_it_is_asked_for(batuta: Any, server: Any, here: Path) -> None:
    server.shelf.put("model", b"new")
    (here / "model").write_bytes(b"mine")
    done = batuta("artifact", "get", T, "model")
    assert (done.code, done.err) == (
        1,
        "batuta: model is there already. `--force` writes over it, `-o` chooses another file.\n",
    )
    assert (here / "model").read_bytes() == b"mine"
    assert batuta("artifact", "get", T, "model", "--force").code == 0
    assert (here / "model").read_bytes() == b"new"


def test_bytes_that_are_not_those_that_were_stored_are_not_kept(batuta: Any, server: Any, here: Path) -> None:
    made = server.shelf.put("model", b"weights")
    server.shelf.data[made.id] = b"heights"
    done = batuta("artifact", "get", T, "model")
    assert done.code == 1
    assert "nothing was kept" in done.err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("../../.ssh/authorized_keys", "_.._.ssh_authorized_keys"),
        ("/etc/passwd", "_etc_passwd"),
        ("..", "artifact"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("a\x1b[31m", "a__31m"),
        ("C:\\x", "C__x"),
        ("modèle (2).pt", "modèle (2).pt"),
        ("x" * 4096, "x" * 120),
    ],
)
def test_s15_a_name_that_a_hostile_server_sends_stays_in_this_folder(name: str, file: str) -> None:
    assert file_name(artifacts.Artifact(id="0" * 32, name=name)) == file


def test_deleting_asks_first(batuta: Any, server: Any) -> None:
    server.shelf.put("model", b"x")
    refused = batuta("artifact", "delete", T, "model")
    assert (refused.code, len(server.shelf.kept)) == (1, 1)
    assert "nothing was deleted" in refused.err
    assert batuta("artifact", "delete", T, "model", "--yes").text.startswith("Deleted artifact 'model'")
    assert server.shelf.kept == {}


def test_what_is_no_file_is_refused_in_one_line(batuta: Any, here: Path) -> None:
    assert "is a folder" in batuta("artifact", "put", T, str(here)).err
    assert batuta("artifact", "put", T, "missing").err == "batuta: missing: No such file or directory.\n"
    (here / "x").write_bytes(b"")
    assert batuta("artifact", "put", T, "x", "--label", "k").err == "batuta: --label takes KEY=VALUE, not 'k'.\n"
