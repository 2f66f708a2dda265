"""Which script this process runs, and which of the user's own files it is made of."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path
from typing import NamedTuple

_FILES = 500
"""How many of the user's files are looked into for their imports."""
_FILE_BYTES = 1024 * 1024


class Entry(NamedTuple):
    """The program that runs: `script` is its file; `module` is `package.module` when it was started by `-m`."""

    script: Path
    module: str = ""


class Imports(NamedTuple):
    """What a program imports: top-level names of others' packages, and the user's own files (the entry included)."""

    names: frozenset[str]
    files: tuple[Path, ...]


def find_entry() -> Entry | None:
    """The running program; None where there is no file (interactive, `-c`)."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    file = getattr(main, "__file__", None)
    if file is None or not os.path.isfile(file):
        return None
    script = Path(os.path.abspath(file))
    if _is_installed(script):  # a runner such as cProfile or coverage: the program is what it was told to run
        told = sys.argv[0] if sys.argv else ""
        if told.endswith(".py") and os.path.isfile(told) and not _is_installed(Path(os.path.abspath(told))):
            return Entry(Path(os.path.abspath(told)))
    if spec is None:
        return Entry(script)
    name = str(spec.name)
    return Entry(script, name[: -len(".__main__")] if name.endswith(".__main__") else name)


def find_imports(entry: Entry) -> Imports:
    """Follow the imports of the program through the user's own files, without running anything."""
    roots = _roots(entry)
    names: set[str] = set()
    files: list[Path] = []
    waiting = [entry.script, *_packages_of(entry, roots)]
    seen = set(waiting)
    while waiting and len(files) < _FILES:
        path = waiting.pop(0)
        files.append(path)
        for name in _imported(path):
            own = _own_files(name, roots, path)
            if own:
                waiting += [each for each in own if each not in seen]
                seen.update(own)
            else:
                names.add(name.lstrip(".").partition(".")[0])
    return Imports(frozenset(name for name in names if name and name not in _standard_library()), tuple(files))


def _roots(entry: Entry) -> list[Path]:
    """Folders from which the user's own modules are imported."""
    first = entry.script.parent
    if entry.module:
        for _ in range(entry.module.count(".") + (entry.script.name == "__main__.py")):
            first = first.parent
    roots = [first, Path(os.getcwd())]
    return [root for at, root in enumerate(roots) if root not in roots[:at] and not _is_installed(root / "x.py")]


def _is_installed(path: Path) -> bool:
    """Whether a file belongs to Python or to an installed package rather than to the user."""
    library = Path(os.__file__).parent
    return bool({"site-packages", "dist-packages"} & set(path.parts)) or library in path.parents


def _packages_of(entry: Entry, roots: list[Path]) -> list[Path]:
    """The `__init__.py` files that run before the program does, when it was started by `-m`."""
    if not entry.module:
        return []
    parts = entry.module.split(".")
    return [path for root in roots[:1] for path in _module_files(root, parts) if path != entry.script]


def _imported(path: Path) -> set[str]:
    """Dotted names that a file imports; relative ones keep their dots."""
    try:
        if path.stat().st_size > _FILE_BYTES:
            return set()  # generated data: parsing it would take seconds
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            found.add(base)
            # `from package import module` names a file of its own when there is one.
            joint = "" if base.endswith(".") or not base else "."
            found.update(f"{base}{joint}{alias.name}" for alias in node.names if node.level or node.module)
    return found


def _own_files(name: str, roots: list[Path], importer: Path) -> list[Path]:
    dots = len(name) - len(name.lstrip("."))
    if dots:
        folder = importer.parent
        for _ in range(dots - 1):
            folder = folder.parent
        if _is_installed(importer):
            return []
        package = [folder / "__init__.py"] if (folder / "__init__.py").is_file() else []
        return package + _module_files(folder, name[dots:].split(".") if name[dots:] else [])
    for root in roots:
        found = _module_files(root, name.split("."))
        if found:
            return found
    return []


def _module_files(folder: Path, parts: list[str]) -> list[Path]:
    """The files that importing `parts` below `folder` runs; none when it is not there."""
    found: list[Path] = []
    for part in parts:
        if (folder / f"{part}.py").is_file():
            return [*found, folder / f"{part}.py"]
        folder = folder / part
        if not folder.is_dir():
            return found  # an attribute of the module before
        if (folder / "__init__.py").is_file():
            found.append(folder / "__init__.py")
    return found


def _standard_library() -> frozenset[str]:
    names = getattr(sys, "stdlib_module_names", None)  # from Python 3.10
    if names is not None:
        return frozenset(names)
    import sysconfig

    folder = sysconfig.get_paths()["stdlib"]
    found = {entry.partition(".")[0] for entry in os.listdir(folder) if not entry.startswith("_")}
    dynamic = os.path.join(folder, "lib-dynload")
    if os.path.isdir(dynamic):
        found |= {entry.partition(".")[0] for entry in os.listdir(dynamic)}
    return frozenset(found - {"site-packages"} | set(sys.builtin_module_names) | {"__future__"})
