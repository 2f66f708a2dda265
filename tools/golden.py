"""Writes tests/contract/golden/<version>.json: one serialized message per type of this release, every field filled.

Run once for a release, before its tag: `python tools/golden.py`. The file of a released version never changes;
tests parse every file of every release for ever, so a change of the contract that breaks old bytes fails.
"""

from __future__ import annotations

import importlib
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

ROOT = Path(__file__).resolve().parent.parent
STUBS = ROOT / "protos/gen/python"
DEEPEST = 6

# protobuf's type stubs tell the C and the Python descriptors apart, which are one class at run time.
AnyDescriptor = Any

NUMBERS = {
    FieldDescriptor.TYPE_DOUBLE: 1.5,
    FieldDescriptor.TYPE_FLOAT: 0.25,
    FieldDescriptor.TYPE_INT64: 1 << 40,
    FieldDescriptor.TYPE_UINT64: 1 << 41,
    FieldDescriptor.TYPE_INT32: 7,
    FieldDescriptor.TYPE_UINT32: 8,
    FieldDescriptor.TYPE_FIXED64: 1 << 42,
    FieldDescriptor.TYPE_FIXED32: 9,
    FieldDescriptor.TYPE_SFIXED64: -(1 << 42),
    FieldDescriptor.TYPE_SFIXED32: -9,
    FieldDescriptor.TYPE_SINT64: -(1 << 40),
    FieldDescriptor.TYPE_SINT32: -7,
    FieldDescriptor.TYPE_BOOL: True,
}


def scalar(field: AnyDescriptor) -> object:
    """A value that is not the default of the field's type."""
    if field.type == FieldDescriptor.TYPE_ENUM:
        values = field.enum_type.values
        return values[min(1, len(values) - 1)].number
    if field.type == FieldDescriptor.TYPE_STRING:
        return f"{field.name} é"
    if field.type == FieldDescriptor.TYPE_BYTES:
        return field.name.encode() + b"\x00\xff"
    return NUMBERS[field.type]


def fill(message: Message, depth: int = 0) -> Message:
    """Sets every field of a message, the last member of each oneof, and one element of each repeated field."""
    fields: list[AnyDescriptor] = list(message.DESCRIPTOR.fields)
    for field in fields:
        if field.message_type is None:
            value = scalar(field)
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
        elif depth < DEEPEST:
            if field.message_type.GetOptions().map_entry:
                fill_map(message, field, depth)
            elif field.is_repeated:
                fill(getattr(message, field.name).add(), depth + 1)
            else:
                inner = getattr(message, field.name)
                inner.SetInParent()
                fill(inner, depth + 1)
    return message


def fill_map(message: Message, field: AnyDescriptor, depth: int) -> None:
    """Sets one entry of a map field."""
    key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
    entries = getattr(message, field.name)
    if value.message_type is None:
        entries[scalar(key)] = scalar(value)
    else:
        fill(entries[scalar(key)], depth + 1)


def described(parent: AnyDescriptor) -> list[AnyDescriptor]:
    """The messages of a file or in a message, nested ones included."""
    nested = getattr(parent, "nested_types_by_name", None) or getattr(parent, "message_types_by_name", {})
    found: list[AnyDescriptor] = []
    for message in nested.values():
        if not message.GetOptions().map_entry:
            found += [message, *described(message)]
    return found


def golden() -> dict[str, str]:
    """Full name of each message type → its bytes in hexadecimal."""
    sys.path.insert(0, str(STUBS))
    files: list[AnyDescriptor] = [
        importlib.import_module(".".join(path.relative_to(STUBS).with_suffix("").parts)).DESCRIPTOR
        for path in sorted(STUBS.rglob("*_pb2.py"))
    ]
    types = [message for file in files for message in described(file)]
    return {t.full_name: fill(GetMessageClass(t)()).SerializeToString(deterministic=True).hex() for t in types}


if __name__ == "__main__":
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    target = ROOT / "tests/contract/golden" / f"{version}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(golden(), indent=0, sort_keys=True) + "\n")
    print(f"{target.relative_to(ROOT)}: {len(json.loads(target.read_text()))} types")
