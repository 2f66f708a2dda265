"""Values of the contract as text for people, and whole answers as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp


def as_dict(message: Message) -> dict[str, Any]:
    """The message with the contract's own field names, defaults included; 64-bit numbers are text (proto3 JSON)."""
    from google.protobuf import json_format

    change: Any = json_format.MessageToDict
    try:
        result: dict[str, Any] = change(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
    except TypeError:  # protobuf before 5.26
        result = change(message, preserving_proto_field_name=True, including_default_value_fields=True)
    return result


def as_json(answer: object) -> str:
    """Indented JSON, Unicode as it is."""
    return json.dumps(answer, indent=2, ensure_ascii=False)


def listed(name: str, messages: Sequence[Message]) -> str:
    """A list as JSON: one object with one field, so that more can be added beside it."""
    return as_json({name: [as_dict(message) for message in messages]})


class EnumWords(Protocol):
    """An enum of the contract: knows the name of each value."""

    def Name(self, number: int) -> str:
        """The name of a value. Raises `ValueError` when this client does not know it."""
        ...


def word(kind: EnumWords, value: int, prefix: str) -> str:
    """An enum's value without its prefix; a value newer than this client as its number."""
    try:
        name = kind.Name(value)
    except ValueError:
        return str(value)
    return "" if value == 0 else name[len(prefix) :]


def moment(stamp: Timestamp) -> str:
    """`2026-02-01 12:00:03Z`, or empty when it was never set."""
    if not stamp.seconds and not stamp.nanos:
        return ""
    return f"{stamp.ToDatetime():%Y-%m-%d %H:%M:%S}Z"


def span(seconds: float) -> str:
    """How long something takes, in two units at most: `0 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`."""
    left = max(0, round(seconds))
    days, hours, minutes, rest = left // 86400, left // 3600 % 24, left // 60 % 60, left % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{count} {unit}" for place, (count, unit) in enumerate(parts[:2]) if count or not place)


def number(value: float) -> str:
    """A value of a metric in six digits."""
    return f"{value:.6g}"


def size(count: int) -> str:
    """Bytes in the unit that reads best: `512 B`, `1.5 GiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
