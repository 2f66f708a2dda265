"""What the trail keeps of a request: enough to see what was asked, without secrets, and bounded."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

LONGEST = 4_000
_TEXT, _ITEMS, _DEPTH = 200, 20, 6
_KEYS = ("id", "access_key", "name", "agent_id", "entry_id")
_NAMED = (
    ("task", "task_id"),
    ("project", "project_id"),
    ("queue", "queue_id"),
    ("agent", "agent_id"),
    ("entry", "entry_id"),
    ("credential", "access_key"),
    ("user", "user_name"),
    ("queue", "display_name"),
)
"""Kinds of things, and the fields that name one in a request; a field of the kind's own name holds one whole."""
_NOT_SHOWN = frozenset({"request_id"})


def request_text(request: Message) -> str:
    """The request as JSON: fields marked `debug_redact` as `"***"`, bytes as their number, long texts and lists cut."""
    text = json.dumps(_message(request, _DEPTH), ensure_ascii=False, separators=(", ", ": "))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def resource(request: Message, response: Message) -> tuple[str, str]:
    """(kind, id) of the one thing that a call is about; empty where it names none."""
    for field, value in response.ListFields():
        if field.message_type is not None and not field.is_repeated:
            for key in _KEYS:
                if key in value.DESCRIPTOR.fields_by_name and getattr(value, key):
                    return field.name, str(getattr(value, key))
    return named(request)


def named(request: Message) -> tuple[str, str]:
    """(kind, id) of the thing that a request names."""
    fields = request.DESCRIPTOR.fields_by_name
    for kind, key in _NAMED:
        if key in fields and getattr(request, key):
            return kind, str(getattr(request, key))
        if kind in fields and fields[kind].message_type is not None and getattr(request, kind).id:
            return kind, str(getattr(request, kind).id)
    return "", ""


def _message(message: Message, depth: int) -> dict[str, Any]:
    return {
        field.name: "***" if _secret(field) else _value(field, value, depth)
        for field, value in message.ListFields()
        if field.name not in _NOT_SHOWN
    }


@functools.cache
def _secret(field: FieldDescriptor) -> bool:
    return bool(field.GetOptions().debug_redact)


def _value(field: FieldDescriptor, value: Any, depth: int) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return _cut_map({str(key): _one(inner, each, depth) for key, each in _some(value.items())}, value)
    if field.is_repeated:
        items = [_one(field, each, depth) for each in _some(value)]
        return items if len(value) <= _ITEMS else [*items, f"… {len(value) - _ITEMS} more"]
    return _one(field, value, depth)


def _some(items: Iterable[Any]) -> list[Any]:
    return [each for each, _ in zip(items, range(_ITEMS), strict=False)]


def _cut_map(shown: dict[str, Any], whole: Mapping[Any, Any]) -> dict[str, Any]:
    return shown if len(whole) <= _ITEMS else {**shown, "…": f"{len(whole) - _ITEMS} more"}


def _one(field: FieldDescriptor, value: Any, depth: int) -> Any:
    if isinstance(value, Message):
        return _message(value, depth - 1) if depth else "…"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, str):
        return value if len(value) <= _TEXT else value[: _TEXT - 1] + "…"
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else known.name
    return value
