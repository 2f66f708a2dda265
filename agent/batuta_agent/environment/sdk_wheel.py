"""A wheel of our own SDK, made from the packages that this agent runs with.

A task's environment needs the SDK in the agent's release, whether or not a registry has it, and also when the agent
runs from a checkout. The same packages always give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import importlib.util
import io
import os
import zipfile
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path
from typing import NamedTuple

_DISTRIBUTION = "batuta"
_PACKAGES = ("batuta", "batuta_courier", "batuta_proto", "batuta_rpc")
_KEPT_HEADERS = ("Metadata-Version", "Name", "Version", "Summary", "License-Expression", "Requires-Python")
_TIME = (1980, 1, 1, 0, 0, 0)


class SdkWheel(NamedTuple):
    """A wheel on disk."""

    path: Path
    version: str
    digest: str
    """Hash of its contents; two wheels with the same one are the same."""


def make_wheel(cache: Path) -> SdkWheel:
    """The wheel of the installed SDK, from `cache` when it is there already. Raises `OSError`."""
    version = importlib.metadata.version(_DISTRIBUTION)
    files = [*_package_files(), *_info_files(version)]
    digest = hashlib.sha256(b"\0".join(name.encode() + b"\0" + data for name, data in files)).hexdigest()[:24]
    path = cache / digest / f"{_DISTRIBUTION}-{version}-py3-none-any.whl"
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        partial.write_bytes(_zip(files, version))
        os.replace(partial, path)
    return SdkWheel(path, version, digest)


def _package_files() -> Iterator[tuple[str, bytes]]:
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError(f"the package {package} is not installed beside the agent")
        root = Path(next(iter(spec.submodule_search_locations)))
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
                yield f"{package}/{path.relative_to(root).as_posix()}", path.read_bytes()


def _info_files(version: str) -> Iterator[tuple[str, bytes]]:
    info = _info(version)
    yield f"{info}/METADATA", _metadata().encode()
    yield f"{info}/WHEEL", b"Wheel-Version: 1.0\nGenerator: batuta-agent\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    yield f"{info}/entry_points.txt", _entry_points().encode()


def _info(version: str) -> str:
    return f"{_DISTRIBUTION}-{version}.dist-info"


def _metadata() -> str:
    """The installed one, less the extras: what they need is not in this wheel."""
    read = importlib.metadata.distribution(_DISTRIBUTION).read_text("METADATA") or ""
    headers = message_from_string(read)
    lines = [f"{name}: {headers[name]}" for name in _KEPT_HEADERS if headers[name]]
    needs = [str(value) for value in headers.get_all("Requires-Dist") or []]
    lines += [f"Requires-Dist: {need}" for need in needs if "extra ==" not in need]
    return "\n".join(lines) + "\n"


def _entry_points() -> str:
    points = importlib.metadata.distribution(_DISTRIBUTION).entry_points
    groups: dict[str, list[str]] = {}
    for point in sorted(points, key=lambda each: (each.group, each.name)):
        if point.value.split(":")[0].split(".")[0] in _PACKAGES:
            groups.setdefault(point.group, []).append(f"{point.name} = {point.value}")
    return "\n".join(f"[{group}]\n" + "\n".join(lines) + "\n" for group, lines in groups.items())


def _zip(files: list[tuple[str, bytes]], version: str) -> bytes:
    record = [f"{name},sha256={_record_hash(data)},{len(data)}" for name, data in files]
    name = f"{_info(version)}/RECORD"
    record.append(f"{name},,")
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as wheel:
        for each, data in [*files, (name, "\n".join(record).encode() + b"\n")]:
            entry = zipfile.ZipInfo(each, _TIME)
            entry.external_attr = 0o644 << 16
            wheel.writestr(entry, data)
    return target.getvalue()


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
