"""The whole contract as descriptors and as text."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FileDescriptor, MethodDescriptor

ROOT = Path(__file__).resolve().parents[2]
STUBS = ROOT / "protos/gen/python"


def messages_of(parent: FileDescriptor | Descriptor) -> list[Descriptor]:
    """The messages of a file or in a message, nested ones included, map entries left out."""
    nested = parent.message_types_by_name if isinstance(parent, FileDescriptor) else parent.nested_types_by_name
    found: list[Descriptor] = []
    for message in nested.values():
        if not message.GetOptions().map_entry:
            found += [message, *messages_of(message)]
    return found


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository root."""
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[FileDescriptor]:
    """Every file of the contract."""
    names = [path.relative_to(STUBS).with_suffix("") for path in sorted(STUBS.rglob("*_pb2.py"))]
    return [importlib.import_module(".".join(name.parts)).DESCRIPTOR for name in names]


@pytest.fixture(scope="session")
def methods(files: list[FileDescriptor]) -> list[MethodDescriptor]:
    """Every method of every service."""
    services = [service for file in files for service in file.services_by_name.values()]
    return [method for service in services for method in service.methods]


@pytest.fixture(scope="session")
def messages(files: list[FileDescriptor]) -> dict[str, Descriptor]:
    """Every message by its full name."""
    return {message.full_name: message for file in files for message in messages_of(file)}


@pytest.fixture(scope="session")
def comments() -> dict[str, str]:
    """The comment above every method, by the method's full name."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "protos/batuta").rglob("*.proto")):
        package, service, above = "", "", [""]
        for line in path.read_text().splitlines():
            text = line.strip()
            if match := re.match(r"package ([\w.]+);", text):
                package = match.group(1)
            elif match := re.match(r"service (\w+)", text):
                service = match.group(1)
            elif match := re.match(r"rpc (\w+)", text):
                found[f"{package}.{service}.{match.group(1)}"] = " ".join(above)
            above = [*above, text.lstrip("/ ")] if text.startswith("//") else []
    return found
