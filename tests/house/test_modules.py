"""How modules are cut: size, names, docstrings."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

LARGEST_MODULE = 600
LARGEST_FUNCTION = 50
LARGEST_SERVICER_METHOD = 10

# Modules that may be larger, each with its reason.
LARGE_MODULES: dict[str, str] = {}
# Functions that may be longer ("path:name"), each with its reason.
LONG_FUNCTIONS: dict[str, str] = {}

NAMELESS = {"common", "util", "utils", "helper", "helpers", "misc", "shared", "base", "stuff"}


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Every function with the name of the class around it, if any."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, Function):
                    yield node.name, inner
    methods = {inner for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for inner in node.body}
    for node in ast.walk(tree):
        if isinstance(node, Function) and node not in methods:
            yield "", node


def lines_of_body(function: Function) -> int:
    """Lines of the body, docstring left out."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_no_module_is_larger_than_six_hundred_lines(texts: dict[str, str]) -> None:
    large = {path: text.count("\n") for path, text in texts.items() if text.count("\n") > LARGEST_MODULE}
    assert large.keys() <= LARGE_MODULES.keys(), large
    assert large.keys() >= LARGE_MODULES.keys(), "exceptions no longer needed"


def test_functions_fit_on_a_page(trees: dict[str, ast.Module]) -> None:
    long = {
        f"{path}:{function.name}": lines_of_body(function)
        for path, tree in trees.items()
        for _, function in functions(tree)
        if lines_of_body(function) > LARGEST_FUNCTION
    }
    assert long.keys() <= LONG_FUNCTIONS.keys(), long
    assert long.keys() >= LONG_FUNCTIONS.keys(), "exceptions no longer needed"


def test_servicer_methods_parse_call_and_render_only(trees: dict[str, ast.Module]) -> None:
    long = {
        f"{path}:{owner}.{function.name}": lines_of_body(function)
        for path, tree in trees.items()
        for owner, function in functions(tree)
        if owner.endswith(("Servicer", "Service")) and function.name[0].isupper()
        if lines_of_body(function) >= LARGEST_SERVICER_METHOD
    }
    assert not long


def test_no_module_is_named_like_a_drawer_for_everything(texts: dict[str, str]) -> None:
    assert not [path for path in texts if {part.strip("_") for part in Path(path).with_suffix("").parts} & NAMELESS]


def test_nothing_importable_is_named_like_the_standard_library(root: Path) -> None:
    # Folders on the import path; what lies in them becomes a top-level name.
    parents = ("protos/gen/python", "protos/python", "sdk", "agent", "services/chassis", "services/api")
    parents += ("services/queue", "services/autoscaler")
    names = {child.stem for parent in parents for child in (root / parent).iterdir() if child.name != "__pycache__"}
    assert not names & sys.stdlib_module_names
    # A folder with an __init__.py beside a package would become importable by accident.
    assert not [parent for parent in parents if (root / parent / "__init__.py").exists()]


def test_every_module_says_its_charter_and_postpones_annotations(
    texts: dict[str, str], trees: dict[str, ast.Module]
) -> None:
    assert not [path for path, tree in trees.items() if not ast.get_docstring(tree)]
    assert not [path for path, text in texts.items() if "from __future__ import annotations" not in text]


def test_packages_are_marked_as_typed(root: Path, texts: dict[str, str]) -> None:
    tops = {"/".join(path.split("/")[: 3 if path.startswith(("protos", "services")) else 2]) for path in texts}
    assert not [top for top in tops if not (root / top / "py.typed").exists()]


def test_nothing_is_left_to_do_later(texts: dict[str, str]) -> None:
    assert not [path for path, text in texts.items() if "TO" + "DO" in text or "FIX" + "ME" in text]
