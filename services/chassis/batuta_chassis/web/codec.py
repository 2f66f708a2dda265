"""Messages as JSON: what the protos' own mapping says, and errors that name the field."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from batuta_chassis.contract import Contract, Rule
from batuta_rpc.errors import FieldViolation

LARGE = 64 * 1024
"""Bytes from which on JSON is read and written in a thread of its own, so that other calls go on."""

_DEEPEST = 20
"""Objects in objects in which a fault is looked for."""


class Json:
    """Requests from JSON to bytes, answers from bytes to JSON."""

    def __init__(self, contract: Contract) -> None:
        self._pool = contract.pool

    async def read(self, rule: Rule, body: bytes) -> bytes:
        """The request in its binary form. Raises `FieldViolation`, which names the field."""
        return await _beside(len(body), lambda: self._read(rule, body))

    async def write(self, rule: Rule, raw: bytes) -> bytes:
        """The answer as JSON."""
        return await _beside(len(raw), lambda: self._write(rule.response.FromString(raw)))

    def plain(self, message: Message) -> dict[str, Any]:
        """A message as what JSON holds."""
        return json_format.MessageToDict(message, descriptor_pool=self._pool)

    def detail(self, kind: str, raw: bytes) -> dict[str, Any] | None:
        """A detail of an error as what JSON holds; None for one that is not known."""
        try:
            found = message_factory.GetMessageClass(self._pool.FindMessageTypeByName(kind))
            return self.plain(found.FromString(raw))
        except (KeyError, DecodeError):
            return None

    def _write(self, message: Message) -> bytes:
        return json.dumps(self.plain(message), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")

    def _read(self, rule: Rule, body: bytes) -> bytes:
        request = rule.request()
        try:
            value: Any = json.loads(body or b"{}")
        except (ValueError, RecursionError) as error:
            raise FieldViolation(f"the body is no JSON: {error}", method=rule.name) from error
        if not isinstance(value, dict):
            raise FieldViolation(f"the body of {rule.name} is one JSON object: {{…}}", method=rule.name)
        try:
            json_format.ParseDict(cast("dict[str, Any]", value), request, descriptor_pool=self._pool)
            return request.SerializeToString()
        except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
            field, text = next(
                self._faults(cast("Descriptor", request.DESCRIPTOR), value, ()), ("(request)", str(error))
            )
            raise FieldViolation(
                f"the body cannot be read: {field}: {text}", field_violations=[(field, text)], fields=field
            ) from error

    def _faults(self, kind: Descriptor, value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """(field path, what is wrong) for each field of an object that cannot be read."""
        known = {name: field for field in kind.fields for name in (field.json_name, field.name)}
        for name, inner in value.items():
            field = known.get(name)
            if field is None:
                yield ".".join((*path, name)), f"there is no such field; there are: {', '.join(_names(kind))}"
            elif fault := self._fault(kind, {name: inner}):
                here = (*path, field.name)
                deeper = None if len(path) > _DEEPEST else next(self._deeper(field, inner, here), None)
                yield deeper or (".".join(here), fault)

    def _deeper(self, field: FieldDescriptor, value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        kind = field.message_type
        if kind is None or kind.GetOptions().map_entry or kind.full_name.startswith("google.protobuf."):
            return
        for place, each in enumerate(_listed(value)):
            if isinstance(each, dict):
                where = (*path[:-1], f"{path[-1]}[{place}]") if isinstance(value, list) else path
                yield from self._faults(kind, each, where)

    def _fault(self, kind: Descriptor, value: dict[str, Any]) -> str:
        """Why an object cannot be read, in a few words; empty if it can."""
        try:
            json_format.ParseDict(value, message_factory.GetMessageClass(kind)(), descriptor_pool=self._pool)
        except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
            return str(error).rpartition(" field: ")[2].split("\n")[0].rstrip(".")[:200]
        return ""


def _listed(value: Any) -> list[Any]:
    return list(cast("Iterable[Any]", value)) if isinstance(value, list) else [value]


def _names(kind: Descriptor) -> list[str]:
    return [field.json_name for field in kind.fields]


async def _beside(size: int, work: Callable[[], bytes]) -> bytes:
    return work() if size < LARGE else await asyncio.to_thread(work)
