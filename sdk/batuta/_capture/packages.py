"""From the names a program imports to the packages an environment needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from importlib import metadata
from typing import Any, NamedTuple

# Packages whose import name is not theirs and that many scripts use: known without reading every package's files.
_KNOWN = {
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "cv2": "opencv-python",
    "yaml": "PyYAML",
    "skimage": "scikit-image",
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
}
_OURS = frozenset({"batuta", "batuta_courier", "batuta_rpc", "batuta_proto"})


class Packages(NamedTuple):
    """Requirement lines, and the packages that are installed here in a way that no agent can repeat."""

    requirements: tuple[str, ...]
    local_only: tuple[str, ...]


def requirements_of(names: Iterable[str], own_version: str) -> Packages:
    """The packages behind these import names with the versions installed here; `batuta` is always among them.

    Names that no installed package explains are left out: an import that fails here may be meant to.
    """
    lines = {"batuta": f"batuta=={own_version}"}
    local_only: list[str] = []
    unexplained: list[str] = []
    for name in sorted(set(names) - _OURS):
        found = _distribution(_KNOWN.get(name, name))
        if found is None:
            unexplained.append(name)
        else:
            _add(found, lines, local_only)
    for found in _by_reading(unexplained):
        _add(found, lines, local_only)
    return Packages(tuple(lines[key] for key in sorted(lines)), tuple(sorted(set(local_only))))


def _add(found: metadata.Distribution, lines: dict[str, str], local_only: list[str]) -> None:
    name = str(found.metadata["Name"] or "")
    key = re.sub(r"[-_.]+", "-", name).lower()
    if not name or key in lines:
        return
    line = _line(name, found)
    if line is None:
        local_only.append(name)
    else:
        lines[key] = line


def _line(name: str, found: metadata.Distribution) -> str | None:
    """A requirement line; None for what was installed from a folder or a file of this machine."""
    direct = found.read_text("direct_url.json")
    if direct:
        try:
            origin: Any = json.loads(direct)
            url = str(origin["url"])
            vcs: Any = origin.get("vcs_info")
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        if vcs:
            return f"{name} @ {vcs['vcs']}+{_without_credentials(url)}@{vcs['commit_id']}"
        if url.startswith(("https://", "http://")):
            return f"{name} @ {_without_credentials(url)}"
        return None
    # `2.1.0+cu121`: the part behind the plus is a build that the public index does not have.
    return f"{name}=={found.version.partition('+')[0]}"


def _without_credentials(url: str) -> str:
    return re.sub(r"://[^/@]*@", "://", url)


def _distribution(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        return None


def _by_reading(names: list[str]) -> list[metadata.Distribution]:
    """The packages that say they bring these import names. Reads every package's list of files, which is slow."""
    if not names:
        return []
    wanted = set(names)
    return [each for each in metadata.distributions() if wanted & _top_level(each)]


def _top_level(each: metadata.Distribution) -> set[str]:
    listed = each.read_text("top_level.txt")
    if listed is not None:
        return set(listed.split())
    record = each.read_text("RECORD") or ""
    tops: set[str] = set()
    for line in record.splitlines():
        path = line.partition(",")[0]
        top, slash, _ = path.partition("/")
        if slash or top.endswith(".py"):
            tops.add(top[:-3] if top.endswith(".py") else top)
    return tops
