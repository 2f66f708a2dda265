"""Parameters as text: how Python values are written down, and read back as the type they had."""

from __future__ import annotations

import contextlib
import json
from enum import Enum
from pathlib import PurePath
from typing import Any, NamedTuple

# The numbers of batuta.types.v1.ParameterType, so that nothing here needs protobuf.
UNKNOWN, STRING, INT, FLOAT, BOOL, JSON, NONE = range(7)
_TRUE = frozenset({"true", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "no", "n", "off", "0", ""})


class Parameter(NamedTuple):
    """One parameter as it is stored: text, the type it had, and a help text."""

    text: str
    type: int = STRING
    description: str = ""


class CastError(ValueError):
    """A text cannot be read as the type that the script needs."""


def encode(value: Any, description: str = "") -> Parameter:
    """Write a value down."""
    if value is None:
        return Parameter("", NONE, description)
    if isinstance(value, bool):
        return Parameter(str(value), BOOL, description)
    if isinstance(value, Enum):
        return Parameter(value.name, STRING, description)
    if isinstance(value, int):
        return Parameter(str(int(value)), INT, description)
    if isinstance(value, float):
        return Parameter(repr(float(value)), FLOAT, description)
    if _has_parts(value):
        with contextlib.suppress(TypeError, ValueError):  # keys that JSON has not, a list that holds itself
            return Parameter(json.dumps(value, default=_plain), JSON, description)
    if isinstance(value, (str, PurePath)):
        return Parameter(str(value), STRING, description)
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():  # a scalar of numpy or torch
        return encode(item(), description)
    return Parameter(str(value), STRING, description)


def _has_parts(value: object) -> bool:
    return isinstance(value, (list, tuple, dict))


def decode(parameter: Parameter) -> Any:
    """The value as the type that is stored with it. Raises CastError."""
    readers: dict[int, Any] = {INT: 0, FLOAT: 0.0, BOOL: False}
    if parameter.type == NONE:
        return parameter.text or None
    if parameter.type == JSON:
        return _structure(parameter.text)
    return cast(parameter.text, readers.get(parameter.type, ""))


def cast(text: str, like: Any) -> Any:
    """Read a text as the type of `like`, the script's own value. Raises CastError."""
    if isinstance(like, bool):
        return boolean(text)
    if isinstance(like, Enum):
        return _enum(text, like)
    if text == "" and not isinstance(like, (str, PurePath)):
        return None
    try:
        if isinstance(like, int):
            return _whole(text)
        if isinstance(like, float):
            return float(text)
    except (ValueError, OverflowError):
        kind = "whole number" if isinstance(like, int) else "number"
        raise CastError(f"{text!r} is not a {kind}") from None
    if isinstance(like, (list, tuple, dict)):
        return _like(_structure(text), like)
    if isinstance(like, PurePath):
        return type(like)(text)
    return text


def boolean(text: str) -> bool:
    """True, yes, on, 1, … or their opposites. Raises CastError."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise CastError(f"{text!r} is neither True nor False")


def _structure(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        import ast

        try:
            return ast.literal_eval(text)  # people write Python rather than JSON into forms
        except (ValueError, SyntaxError):
            raise CastError(f"{text!r:.80} is not JSON") from None


def _like(found: Any, like: Any) -> Any:
    if isinstance(like, dict):
        if not isinstance(found, dict):
            raise CastError(f"{found!r:.80} is not a dictionary")
        return cast_any(found)
    if not isinstance(found, (list, tuple)):
        raise CastError(f"{found!r:.80} is not a list")
    return tuple(cast_any(found)) if isinstance(like, tuple) else list(cast_any(found))


def cast_any(value: Any) -> Any:
    """The same value, of no declared type."""
    return value


def _enum(text: str, like: Enum) -> Enum:
    try:
        return type(like)[text]
    except KeyError:
        names = ", ".join(type(like).__members__)
        raise CastError(f"{text!r} is none of {names}") from None


def _whole(text: str) -> int:
    """`3`, `1e3`, `3.0`; not `0.5`, which a script that counts would take for nothing at all. Raises ValueError."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if number != int(number):
        raise ValueError
    return int(number)


def _plain(value: Any) -> Any:
    """What JSON does not know, as something that it does."""
    inner = encode(value)
    return decode(inner) if inner.type not in (STRING, JSON) else inner.text
