"""All of it together: what is stored with a task so that another machine can run it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

from batuta._capture import git, packages
from batuta._capture.entry import Entry, Imports, find_entry, find_imports

SCRIPT_BYTES = 8 * 1024 * 1024
"""The largest script that a task may carry."""


class Code(NamedTuple):
    """What a run is made of. `problem`: why no agent could run it. `warnings`: what an agent might miss."""

    repository_url: str = ""
    branch: str = ""
    commit: str = ""
    diff: str = ""
    entry_point: str = ""
    working_directory: str = ""
    script: str = ""
    requirements: tuple[str, ...] = ()
    problem: str = ""
    warnings: tuple[str, ...] = ()
    project: str = ""
    """Name of the repository's or the script's folder: a project's name where none is given."""
    name: str = ""
    """Name of the script without its suffix: a task's name where none is given."""


def python_version() -> str:
    """Major and minor version of this interpreter."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def capture(own_version: str) -> Code:
    """Look at the running program. Runs git; takes a tenth of a second or so."""
    entry = find_entry()
    if entry is None:
        return Code(
            requirements=(f"batuta=={own_version}",),
            problem="there is no script file to run (interactive Python or `python -c`)",
            project="interactive",
            name="interactive",
        )
    imports = find_imports(entry)
    needed = packages.requirements_of(imports.names, own_version)
    code = _with_code(entry, imports)._replace(requirements=needed.requirements)
    if needed.local_only:
        listed = ", ".join(needed.local_only)
        code = code._replace(
            warnings=(*code.warnings, f"installed from this machine's disk, an agent will not have them: {listed}")
        )
    return code


def _with_code(entry: Entry, imports: Imports) -> Code:
    root = git.find_root(entry.script.parent)
    repository = None if root is None else git.capture(root, imports.files)
    folder = (root or entry.script.parent).name or "batuta"
    base = Code(project=folder, name=entry.module or entry.script.stem)
    if repository is None:
        return _whole_script(base, entry, imports)
    name = repository.url.rstrip("/").rpartition("/")[2].rpartition(":")[2]
    return base._replace(
        project=name[:-4] if name.endswith(".git") else name,
        repository_url=repository.url,
        branch=repository.branch,
        commit=repository.commit,
        diff=repository.diff,
        entry_point=f"-m {entry.module}" if entry.module else _inside(repository.root, entry.script),
        working_directory=_inside(repository.root, Path(os.getcwd())),
        problem=repository.problem,
    )


def _whole_script(base: Code, entry: Entry, imports: Imports) -> Code:
    others = [path.name for path in imports.files if path != entry.script]
    warnings: tuple[str, ...] = ()
    if others:
        listed = ", ".join(others[:5]) + (" …" if len(others) > 5 else "")
        warnings = (
            f"no repository with a remote that an agent can reach, so only {entry.script.name} is stored; "
            f"an agent will not have {listed}",
        )
    try:
        text = entry.script.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return base._replace(problem=f"the script cannot be stored: {error}", entry_point=entry.script.name)
    if len(text.encode()) > SCRIPT_BYTES:
        return base._replace(problem="the script is larger than 8 MiB", entry_point=entry.script.name)
    return base._replace(script=text, entry_point=entry.script.name, warnings=warnings)


def _inside(root: Path, path: Path) -> str:
    """`path` relative to the repository's root; empty for the root itself and for what is outside."""
    try:
        relative = path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return ""
    return "" if relative == "." else relative
