"""Artifacts in scripts: objects up, the same objects down, and no code of anybody's run on the way."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from PIL import Image

from batuta import Task, _init, _runtime
from batuta._artifacts import archive
from batuta._artifacts.archive import UnsafeArchive
from batuta._artifacts.forms import PickleRefused
from batuta_courier.testing import FakeApi
from batuta_proto.artifacts import v1 as artifacts
from batuta_rpc.errors import DiskFull, ShuttingDown
from batuta_rpc.testing import FakeClock, SeededIds


@pytest.fixture(autouse=True)
def connected(api: FakeApi, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This test process uses the fake server, has no run of its own, and waits for nothing."""
    for name in ("BATUTA_TASK_ID", "BATUTA_PARENT_SPOOL", "BATUTA_API"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(_init, "_servers", [])
    monkeypatch.setattr(_runtime.process, "run", None)
    monkeypatch.setattr(_runtime.process, "_clock", FakeClock(auto=True))
    monkeypatch.setattr(_runtime.process, "_ids", SeededIds())


@pytest.fixture
def task(api: FakeApi) -> Task:
    api.state.add_task("t")
    found = Task.get_task("t")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("some\nwords: ünit", "text"),
        ("no such file", "text"),
        (b"\x00\xff", "bytes"),
        ({"a": [1, 2.5, None, "ü"], "b": {"c": True}}, "json"),
        ([1, "x"], "json"),
        (3.5, "json"),
        (None, "json"),
    ],
)
def test_what_was_kept_comes_back_as_it_was(task: Task, value: Any, kind: str) -> None:
    assert task.upload_artifact("it", value, metadata={"epoch": 3, "by": "ada"})
    found = task.artifacts["it"]
    assert (found.get(), found.type, found.name) == (value, kind, "it")
    assert found.metadata == {"epoch": "3", "by": "ada"}
    assert (found.size > 0, len(found.hash)) == (True, 64)


def test_arrays_tables_and_images_come_back_as_they_were(task: Task) -> None:
    array = numpy.arange(12, dtype="float32").reshape(3, 4)
    task.upload_artifact("array", array)
    back = task.artifacts["array"]
    assert back.type == "array"
    assert back.preview.startswith("float32 (3, 4)")
    assert numpy.array_equal(back.get(), array)
    table = pandas.DataFrame({"a": [1, 2], "b": ["x", "ü"]}, index=["r1", "r2"])
    task.upload_artifact("table", table, preview="two rows")
    assert task.artifacts["table"].preview == "two rows"
    assert task.artifacts["table"].get().equals(table)
    image = Image.new("RGB", (4, 3), (1, 2, 3))
    task.upload_artifact("image", image)
    shown = task.artifacts["image"].get()
    assert (shown.size, shown.getpixel((0, 0)), task.artifacts["image"].type) == ((4, 3), (1, 2, 3), "image")


def test_a_file_and_a_folder_come_back_as_paths(task: Task, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.txt").write_text("a")
    (folder / "b.bin").write_bytes(b"b")
    (folder / "empty").mkdir()
    (folder / "latest").symlink_to(folder / "b.bin")
    task.upload_artifact("file", folder / "b.bin")
    task.upload_artifact("by name", str(folder / "b.bin"))
    task.upload_artifact("folder", folder)
    for name in ("file", "by name"):
        assert task.artifacts[name].get().read_bytes() == b"b"
    back = task.artifacts["folder"]
    assert back.preview == "run: 3 files"
    copy = Path(back.get_local_copy())
    assert sorted(path.relative_to(copy).as_posix() for path in copy.rglob("*")) == [
        "b.bin",
        "deep",
        "deep/a.txt",
        "empty",
        "latest",
    ]
    assert back.get() == copy
    assert zipfile.is_zipfile(back.get_local_copy(extract_archive=False))
    (folder / "out").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="leads out"):
        task.upload_artifact("folder", folder)
    with pytest.raises(FileNotFoundError):
        task.upload_artifact("gone", tmp_path / "gone")


def test_what_was_uploaded_is_deleted_here_only_when_it_is_asked_for(task: Task, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    task.upload_artifact("a", tmp_path / "a")
    assert (tmp_path / "a").exists()
    task.upload_artifact("a", tmp_path / "a", delete_after_upload=True)
    assert not (tmp_path / "a").exists()


class Evil:
    """Runs code when it is loaded."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.proof),)


def test_s12_a_pickle_is_made_and_loaded_by_who_asks_for_it_and_by_nobody_else(
    task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proof = tmp_path / "proof"
    with pytest.raises(TypeError, match="auto_pickle=True"):
        task.upload_artifact("evil", Evil(proof))
    assert task.upload_artifact("evil", Evil(proof), auto_pickle=True)
    assert "is kept as a pickle" in capsys.readouterr().err
    found = task.artifacts["evil"]
    assert found.type == "pickle"
    with pytest.raises(PickleRefused, match="allow_pickle=True"):
        found.get()
    assert (found.preview, Path(found.get_local_copy()).is_file()) == (found.preview, True)
    assert not proof.exists()
    found.get(allow_pickle=True)
    assert proof.is_dir()
    assert "runs whatever code" in capsys.readouterr().err


def test_s12_what_is_called_something_else_is_not_loaded_as_a_pickle(task: Task, shelf: Any, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    for kind in ("ARRAY", "IMAGE", "TABLE", "JSON", "TEXT", "BYTES", "FILE"):
        data = pickle.dumps(Evil(proof), protocol=0)
        shelf.put("evil", data, task_id="t", kind=f"ARTIFACT_KIND_{kind}")
        with contextlib.suppress(ValueError, OSError, UnicodeError):  # no reader of such a kind understands it
            task.artifacts["evil"].get(allow_pickle=True, force_download=True)
        assert not proof.exists(), kind


def test_s13_arrays_of_objects_are_neither_kept_nor_loaded(task: Task, shelf: Any, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    with pytest.raises(ValueError, match="auto_pickle"):
        task.upload_artifact("array", numpy.array([Evil(proof)], dtype=object))
    file = io.BytesIO()
    numpy.save(file, numpy.array([Evil(proof)], dtype=object), allow_pickle=True)
    shelf.put("array", file.getvalue(), task_id="t", kind=artifacts.ARTIFACT_KIND_ARRAY)
    with pytest.raises(ValueError, match="allow_pickle"):
        task.artifacts["array"].get()
    assert not proof.exists()


def a_zip(path: Path, *names: str, mode: int = 0, data: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name in names:
            entry = zipfile.ZipInfo(name)
            entry.external_attr, entry.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            made.writestr(entry, data)
    return path


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/x", "..\\x", "C:\\x", "C:x", "a/./../../x", "//x", "a\\..\\..\\x"]
)
def test_s14_an_archive_writes_nothing_outside_its_folder(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "outer" / "inside"
    inside.mkdir(parents=True)
    with pytest.raises(UnsafeArchive):
        archive.unpack(a_zip(tmp_path / "outer" / "z", name), inside)
    assert sorted(path.name for path in (tmp_path / "outer").rglob("*")) == ["inside", "z"]


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o666, stat.S_IFCHR | 0o666])
def test_s14_links_and_devices_are_not_unpacked(tmp_path: Path, mode: int) -> None:
    with pytest.raises(UnsafeArchive, match="link or a device"):
        archive.unpack(a_zip(tmp_path / "z", "x", mode=mode, data=b"/etc/passwd"), tmp_path)


def test_s14_bombs_and_doubles_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.warns(UserWarning, match="Duplicate"):
        doubled = a_zip(tmp_path / "double", "x", "x")
    with pytest.raises(UnsafeArchive, match="twice"):
        archive.unpack(doubled, inside)
    monkeypatch.setattr(archive, "_FREE", 1 << 20)
    with pytest.raises(UnsafeArchive, match="would become"):
        archive.unpack(a_zip(tmp_path / "bomb", "big", data=bytes(8 << 20)), inside)
    monkeypatch.setattr(archive, "_ENTRIES", 2)
    with pytest.raises(UnsafeArchive, match="entries"):
        archive.unpack(a_zip(tmp_path / "many", "1", "2", "3"), inside)
    assert not (inside / "big").exists()


def test_a_setuid_bit_does_not_come_along(tmp_path: Path) -> None:
    archive.unpack(a_zip(tmp_path / "z", "x", mode=stat.S_IFREG | 0o4777), tmp_path)
    assert (tmp_path / "x").stat().st_mode & 0o7111 == 0


def test_a_cut_upload_goes_on_and_one_whose_server_stays_away_is_one_error(task: Task, shelf: Any) -> None:
    data = os.urandom(3 << 20)
    shelf.cut_upload_after = [1 << 20, 2 << 20]
    task.upload_artifact("it", data)
    assert len(shelf.begun) == 3
    assert task.artifacts["it"].get() == data
    shelf.begun.clear()
    shelf.refuse = ShuttingDown("this process is going down", retry_delay=0.1)
    with pytest.raises(ShuttingDown):
        task.upload_artifact("it", b"x")
    assert 8 <= len(shelf.begun) <= 10
    shelf.begun.clear()
    shelf.refuse = DiskFull("no room", retry_delay=30.0)
    with pytest.raises(DiskFull):
        task.upload_artifact("it", b"x")
    assert len(shelf.begun) == 1


def test_a_local_copy_is_brought_once_and_anew_when_it_is_damaged(task: Task, shelf: Any) -> None:
    task.upload_artifact("it", b"weights")
    found = task.artifacts["it"]
    path = Path(found.get_local_copy())
    assert found.get() == b"weights"
    assert shelf.offsets == [0]
    path.write_bytes(b"heights")
    assert found.get() == b"weights"
    assert shelf.offsets == [0, 0]
    found.get(force_download=True)
    assert len(shelf.offsets) == 3
    assert path.parent.parent.stat().st_mode & 0o077 == 0
    assert found.get(deserialization_function=len) == 7
    task.upload_artifact("own", {1, 2}, serialization_function=lambda value: repr(sorted(value)).encode())
    assert task.artifacts["own"].get() == b"[1, 2]"
    assert task.delete_artifacts(["it"]) is True
    assert list(task.artifacts) == ["own"]
    assert task.delete_artifacts(["it"]) is False


def test_a_script_keeps_artifacts_with_its_attempt_and_another_one_reads_them(scripts: Any, shelf: Any) -> None:
    out = scripts.run(
        "from batuta import Task\n"
        "task = Task.init('digits', 'first')\n"
        "task.upload_artifact('report', {'accuracy': 0.5})\n"
        "print(Task.get_task(task.id).artifacts['report'].get()['accuracy'])\n"
    )
    assert "0.5" in out
    [begin] = shelf.begun
    assert (begin.attempt, begin.name) == (1, "report")


def test_an_offline_run_says_that_it_keeps_none(scripts: Any, only_task: Callable[[], Any]) -> None:
    out = scripts.run(
        "from batuta import Task\nprint(Task.init('d', 'f').upload_artifact('r', 1))\n",
        env={"BATUTA_OFFLINE_MODE": "1"},
    )
    assert "False" in out
    assert "offline runs keep no artifacts" in out


def test_an_id_that_is_a_way_leads_nowhere(task: Task, shelf: Any, home: Path) -> None:
    shelf.put("it", b"x", task_id="t", id="../../../../escaped")
    path = Path(task.artifacts["it"].get_local_copy())
    assert (home / ".batuta" / "cache" / "artifacts") in path.parents
    assert path.read_bytes() == b"x"
