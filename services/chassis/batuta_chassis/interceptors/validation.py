"""The rules of the contract, checked once for each request message."""

from __future__ import annotations

from typing import Any

import protovalidate
from google.protobuf.message import DecodeError, Message

from batuta_chassis.contract import Rule
from batuta_rpc.errors import FieldViolation

_validator = protovalidate.Validator()


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
    """(field path, what is wrong) for each rule that `message` breaks."""
    return [_describe(violation.proto) for violation in _validator.collect_violations(message)]


def _describe(violation: Any) -> tuple[str, str]:
    path = ".".join(_element(element) for element in violation.field.elements) if violation.field else ""
    return path or "(request)", violation.message or violation.rule_id


def _element(element: Any) -> str:
    subscript = element.subscript
    return element.field_name if subscript is None else f"{element.field_name}[{subscript.value!r}]"
