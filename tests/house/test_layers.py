"""Inside a service: the model knows nothing, the store speaks of the model, servicers know no SQL.

import-linter holds what packages may import of each other; these rules go by the name of the module.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

OURS = "batuta_"
WIRE = ("grpc", "google", "batuta_proto")
DATABASE = ("sqlalchemy", "alembic", "sqlite3")


def imported(tree: ast.Module) -> set[str]:
    """Every module that a module imports, and every name it takes from one, as dotted names."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def touches(tree: ast.Module, tops: tuple[str, ...]) -> set[str]:
    """The imports whose first part is one of `tops`."""
    return {name for name in imported(tree) if name.split(".")[0] in tops}


def in_services(trees: dict[str, ast.Module], *names: str) -> dict[str, ast.Module]:
    """The modules of queue, API and autoscaler whose file name begins with one of the names."""
    rooms = ("services/api/", "services/queue/", "services/autoscaler/")
    return {path: tree for path, tree in trees.items() if path.startswith(rooms) and Path(path).name.startswith(names)}


def test_the_model_imports_nothing_of_ours_and_no_wire_or_database(trees: dict[str, ast.Module]) -> None:
    for path, tree in in_services(trees, "model.py").items():
        assert not {name for name in imported(tree) if name.startswith(OURS)}, path
        assert not touches(tree, WIRE + DATABASE), path


@pytest.mark.parametrize("name", ["store.py", "convert", "servicer"])
def test_the_database_is_known_to_its_own_modules_only(trees: dict[str, ast.Module], name: str) -> None:
    for path, tree in in_services(trees, name).items():
        assert not touches(tree, DATABASE), path
        parts = {part for found in imported(tree) if found.startswith(OURS) for part in found.split(".")}
        assert not {part for part in parts if part == "tables" or part == "sql" or part.startswith("sql_")}, path


def test_the_store_and_its_sql_know_no_wire(trees: dict[str, ast.Module]) -> None:
    for path, tree in in_services(trees, "store.py", "sql", "tables.py").items():
        assert not touches(tree, WIRE), path


def test_the_services_own_rooms_are_looked_at(trees: dict[str, ast.Module]) -> None:
    assert in_services(trees, "model.py")
    assert in_services(trees, "sql")
