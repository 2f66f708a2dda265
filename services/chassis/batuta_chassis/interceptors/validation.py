"""The rules of the contract, checked once for each request message."""

from __future__ import annotations

from typing import Any

import protovalidate
from google.protobuf.message import DecodeError, Message

from batuta_chassis.contract import Rule
from batuta_rpc.errors import FieldViolation

_validator = protovalidate.Validator()

PATTERNS = {
    r"^[^/\x00-\x1f]+(/[^/\x00-\x1f]+)*$": "no part between the slashes may be empty or hold control characters",
    r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$": (
        "must not begin or end with a blank, or hold control characters"
    ),
    r"^[^\x00-\x1f\x7f]+$": "must not hold control characters",
    r"^[A-Za-z0-9][A-Za-z0-9._@+-]*$": "must begin with a letter or digit and hold only these and . _ @ + -",
    r"^[0-9a-f]*$": "must be hexadecimal, in small letters",
    r"^([A-Za-z0-9._+-]+/[A-Za-z0-9._+-]+)?$": "must be a media type, as in text/csv",
    r"^([0-9]+\.[0-9]+(\.[0-9]+)?)?$": "must be a version, as in 3.11",
}
"""What the patterns of the contract mean."""


def check(rule: Rule, raw: bytes) -> None:
    """Check one serialized request against the rules of its fields.

    Raises `FieldViolation`, which names each field that breaks a rule.
    """
    try:
        message = rule.parse(raw)
    except DecodeError as error:
        raise unreadable(rule) from error
    found = violations(message)
    if found:
        text = "; ".join(f"{field}: {description}" for field, description in found[:3])
        more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
        fields = ",".join(field for field, _ in found[:10])
        raise FieldViolation(f"the request breaks a rule: {text}{more}", field_violations=found, fields=fields)


def unreadable(rule: Rule) -> FieldViolation:
    """The error of bytes that are no message."""
    return FieldViolation(f"the request of {rule.name} cannot be read: it is not such a message", method=rule.name)


def violations(message: Message) -> list[tuple[str, str]]:
    """(field path, what is wrong) for each field that breaks a rule; of several rules, the first."""
    found: dict[str, str] = {}
    for violation in _validator.collect_violations(message):
        found.setdefault(*_describe(violation.proto))
    return list(found.items())


def _describe(violation: Any) -> tuple[str, str]:
    path = ".".join(_element(element) for element in violation.field.elements) if violation.field else ""
    return path or "(request)", _words(violation.message) or violation.rule_id


def _words(message: str) -> str:
    """The validator's message for people: no "1 characters", no regular expressions."""
    if message == "must be at least 1 characters":
        return "must not be empty"
    before, _, pattern = message.partition("does not match regex pattern `")
    return PATTERNS.get(pattern[:-1], message) if not before and pattern else message


def _element(element: Any) -> str:
    subscript = element.subscript
    return element.field_name if subscript is None else f"{element.field_name}[{subscript.value!r}]"
