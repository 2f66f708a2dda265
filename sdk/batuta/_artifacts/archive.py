"""A folder as a zip archive, and back: nothing of an archive lands outside its folder, and none fills the disk."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path, PurePosixPath

_ENTRIES = 200_000
_RATIO = 200
_FREE = 1 << 30
"""An archive may hold so many bytes whatever its size, and else _RATIO times its size."""
_READ = 1 << 20


class UnsafeArchive(ValueError):
    """An archive that would write where it must not, or more than it may."""


def pack(folder: Path, target: Path) -> int:
    """Write all files of a folder into a new archive; how many. Raises `ValueError` for a link that leads out of it."""
    root, count = folder.resolve(), 0
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, allowZip64=True, strict_timestamps=False) as archive:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink() and root not in path.resolve().parents:
                raise ValueError(f"{path} is a link that leads out of {folder}; an archive cannot hold it")
            if path.is_dir():
                archive.write(path, f"{name}/")
            elif path.is_file():
                archive.write(path, name)
                count += 1
    return count


def unpack(source: Path, folder: Path) -> None:
    """Write what an archive holds into a folder that is there. Raises `UnsafeArchive`, before or after some of it."""
    with zipfile.ZipFile(source) as archive:
        entries = archive.infolist()
        _check_sizes(entries, source.stat().st_size)
        seen: set[str] = set()
        for entry in entries:
            parts = _parts(entry)
            name = "/".join(parts)
            if name in seen:
                raise UnsafeArchive(f"the archive has {name!r} twice")
            seen.add(name)
            target = folder.joinpath(*parts)
            if entry.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                _write(archive, entry, target)


def _check_sizes(entries: list[zipfile.ZipInfo], size: int) -> None:
    if len(entries) > _ENTRIES:
        raise UnsafeArchive(f"the archive has {len(entries)} entries; {_ENTRIES} is the most")
    total, most = sum(entry.file_size for entry in entries), max(_FREE, _RATIO * size)
    if total > most:
        raise UnsafeArchive(f"the archive of {size} bytes would become {total}; {most} is the most")


def _parts(entry: zipfile.ZipInfo) -> tuple[str, ...]:
    name = entry.filename
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UnsafeArchive(f"the archive has {name!r}, which is a link or a device")
    path = PurePosixPath(name)
    bad = "\\" in name or "\0" in name or ":" in name or path.is_absolute() or not path.parts or ".." in path.parts
    if bad:
        raise UnsafeArchive(f"the archive has {name!r}, which does not stay in its folder")
    return path.parts


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    left = entry.file_size
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
    with archive.open(entry) as data, os.fdopen(os.open(target, flags, 0o666), "wb") as file:
        while piece := data.read(_READ):
            left -= len(piece)
            if left < 0:
                raise UnsafeArchive(f"{entry.filename!r} is larger than its archive says")
            file.write(piece)
