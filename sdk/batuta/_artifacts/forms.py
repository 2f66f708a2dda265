"""Objects as files, and files as objects. A pickle is written and read only by who asks for it, each time."""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from batuta._artifacts import archive

_PREVIEW = 8_000
"""Characters of a preview that is made."""
_PATH = 4096


class PickleRefused(RuntimeError):
    """Loading a pickle runs code that it brings, so nobody does who has not asked for it."""


@dataclass(frozen=True)
class Form:
    """A file that stands for an object. `kind` is the name of an `ArtifactKind` without its prefix."""

    path: Path
    kind: str
    media_type: str = ""
    preview: str = ""


def to_file(value: Any, folder: Path, *, pickled: bool = False, sort_keys: bool = True) -> Form:
    """Write an object into a file in `folder`; a file or folder stays where it is, or is packed.

    Raises `TypeError` for an object that has no form here, unless `pickled`; `ValueError`, `OSError`.
    """
    path = _named(value)
    if path is not None:
        return _of_path(path, folder)
    target = folder / "object"
    for fits, write in (
        (_plain, _write_plain),
        (_is_array, _write_array),
        (_is_table, _write_table),
        (_is_image, _write_image),
    ):
        if fits(value):
            try:
                return cast("Callable[..., Form]", write)(value, target, sort_keys)
            except (TypeError, ValueError) as error:
                if not pickled:
                    raise type(error)(f"{error}. auto_pickle=True pickles what has no other form") from error
    if not pickled:
        raise TypeError(
            f"an artifact is a file, folder, text, bytes, dict, list, number, numpy array, pandas DataFrame or PIL "
            f"image, not {type(value).__name__}. auto_pickle=True pickles what has no other form"
        )
    with target.open("wb") as file:
        pickle.dump(value, file)
    return Form(target, "PICKLE", "application/octet-stream", repr(value)[:_PREVIEW])


def from_file(path: Path, kind: str, media_type: str, *, pickled: bool = False) -> Any:
    """The object that a file stands for; the path itself of what is a file. Raises `PickleRefused`, `ImportError`."""
    if kind == "TEXT":
        return path.read_text(encoding="utf-8")
    if kind == "JSON":
        return json.loads(path.read_text(encoding="utf-8"))
    if kind == "BYTES":
        return path.read_bytes()
    if kind == "ARRAY":
        import numpy

        return numpy.load(path, allow_pickle=False)
    if kind == "TABLE":
        return _read_table(path, media_type)
    if kind == "IMAGE":
        from PIL import Image

        with Image.open(path) as image:
            image.load()
            return image
    if kind == "PICKLE":
        return _read_pickle(path, pickled)
    return path


def _read_pickle(path: Path, pickled: bool) -> Any:
    if not pickled:
        raise PickleRefused(
            "this artifact is a pickle, and loading it runs whatever code is in it. If you trust who made it: "
            "get(allow_pickle=True). get_local_copy() gives the file as it is"
        )
    with path.open("rb") as file:
        return pickle.load(file)


def _named(value: Any) -> Path | None:
    """The file or folder that is meant."""
    if isinstance(value, Path):
        return value
    if isinstance(value, str) and 0 < len(value) < _PATH and "\n" not in value and "\0" not in value:
        path = Path(value).expanduser()
        return path if os.path.exists(path) else None
    return None


def _of_path(path: Path, folder: Path) -> Form:
    import mimetypes

    if path.is_dir():
        target = folder / "folder.zip"
        count = archive.pack(path, target)
        return Form(target, "FOLDER", "application/zip", f"{path.name}: {count} files")
    if not path.exists():
        raise FileNotFoundError(2, "there is no such file or folder", str(path))
    return Form(path, "FILE", mimetypes.guess_type(path.name)[0] or "", path.name)


def _plain(value: Any) -> bool:
    return isinstance(value, (str, bytes, bytearray, memoryview, dict, list, tuple, int, float, type(None)))


def _write_plain(value: Any, target: Path, sort_keys: bool) -> Form:
    if isinstance(value, str):
        target.write_text(value, encoding="utf-8")
        return Form(target, "TEXT", "text/plain", value[:_PREVIEW])
    if isinstance(value, (bytes, bytearray, memoryview)):
        target.write_bytes(bytes(cast("Any", value)))
        return Form(target, "BYTES", "application/octet-stream", f"{target.stat().st_size} bytes")
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=sort_keys)
    target.write_text(text, encoding="utf-8")
    return Form(target, "JSON", "application/json", text[:_PREVIEW])


def _module(name: str) -> Any:
    """A package, if the script has loaded it: without it, the script cannot hold an object of its."""
    return sys.modules.get(name)


def _is_array(value: Any) -> bool:
    numpy = _module("numpy")
    return numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic))


def _write_array(value: Any, target: Path, _sort_keys: bool) -> Form:
    import numpy

    with target.open("wb") as file:
        numpy.save(file, numpy.asarray(value), allow_pickle=False)
    shown = f"{value.dtype} {tuple(value.shape)}\n{value!r}"
    return Form(target, "ARRAY", "application/x-npy", shown[:_PREVIEW])


def _is_table(value: Any) -> bool:
    pandas = _module("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def _write_table(value: Any, target: Path, _sort_keys: bool) -> Form:
    shown = f"{len(value)} rows\n{value.head(20).to_string()}"[:_PREVIEW]
    try:
        value.to_parquet(target)
    except (ImportError, ValueError, TypeError):  # no engine for it, or a column that it does not know
        value.to_csv(target)
        return Form(target, "TABLE", "text/csv", shown)
    return Form(target, "TABLE", "application/vnd.apache.parquet", shown)


def _read_table(path: Path, media_type: str) -> Any:
    import pandas

    reads: Any = pandas
    if media_type == "application/vnd.apache.parquet":
        return reads.read_parquet(path)
    return reads.read_csv(path, index_col=0)


def _is_image(value: Any) -> bool:
    image = _module("PIL.Image")
    return image is not None and isinstance(value, image.Image)


def _write_image(value: Any, target: Path, _sort_keys: bool) -> Form:
    value.save(target, format="PNG")
    return Form(target, "IMAGE", "image/png", f"{value.mode} {value.width} x {value.height}")
