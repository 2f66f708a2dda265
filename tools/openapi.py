"""Writes the OpenAPI document from the contract's descriptors, comments included; `make proto` runs it.

Argument: a serialized `FileDescriptorSet` with source information; the document goes to standard output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2

from batuta_chassis.contract import Contract, Rule
from batuta_chassis.web.connect import CODES
from batuta_rpc.version import VERSION

Field = descriptor_pb2.FieldDescriptorProto
Message = descriptor_pb2.DescriptorProto
File = descriptor_pb2.FileDescriptorProto
Schema = dict[str, Any]

ABOUT = """Every method of every service, by the Connect protocol on the API's HTTP port; docs/http.md has examples.
Times are RFC 3339, numbers of 64 bits are strings, enums are names, and fields may be written in either spelling.
Methods that stream take and give frames: a byte of flags, four of length (big-endian), then a message as JSON. The
frame with flag 2 is the last one and holds `{}` or `{"error": …}`."""
ELSEWHERE = ("batuta.agents.v1.DispatchService",)
"""Services that are not behind the API's HTTP port: agents dial the broker for their session."""
SCALARS: dict[int, Schema] = {
    Field.TYPE_DOUBLE: {"type": ["number", "string"], "format": "double"},
    Field.TYPE_FLOAT: {"type": ["number", "string"], "format": "float"},
    Field.TYPE_INT64: {"type": "string", "format": "int64"},
    Field.TYPE_SINT64: {"type": "string", "format": "int64"},
    Field.TYPE_SFIXED64: {"type": "string", "format": "int64"},
    Field.TYPE_UINT64: {"type": "string", "format": "uint64"},
    Field.TYPE_FIXED64: {"type": "string", "format": "uint64"},
    Field.TYPE_INT32: {"type": "integer", "format": "int32"},
    Field.TYPE_SINT32: {"type": "integer", "format": "int32"},
    Field.TYPE_SFIXED32: {"type": "integer", "format": "int32"},
    Field.TYPE_UINT32: {"type": "integer", "minimum": 0},
    Field.TYPE_FIXED32: {"type": "integer", "minimum": 0},
    Field.TYPE_BOOL: {"type": "boolean"},
    Field.TYPE_STRING: {"type": "string"},
    Field.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
}
WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string", "description": "Field paths, separated by commas."},
    "google.protobuf.Any": {"type": "object", "properties": {"@type": {"type": "string"}}},
}
ERROR: Schema = {
    "type": "object",
    "description": "Why a call did not work out. The `ErrorInfo` among the details has the reason, for programs.",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string", "enum": [name for name, _ in CODES.values()]},
        "message": {"type": "string", "description": "For people: what is wrong, and what to do next."},
        "details": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "value"],
                "properties": {
                    "type": {"type": "string", "description": "A message of google.rpc, such as google.rpc.ErrorInfo."},
                    "value": {"type": "string", "contentEncoding": "base64"},
                    "debug": {"type": "object", "description": "The same as JSON."},
                },
            },
        },
    },
}


class Comments:
    """What stands above things in a proto file."""

    def __init__(self, file: File) -> None:
        self._found = {
            tuple(each.path): (each.leading_comments or each.trailing_comments)
            for each in file.source_code_info.location
        }

    def at(self, *path: int) -> str:
        """The comment, its lines joined where they run on."""
        return "\n".join(line.strip() for line in self._found.get(path, "").strip().splitlines())


class Document:
    """The document, as it grows."""

    def __init__(self, described: bytes) -> None:
        self._contract = Contract(described)
        self._files = descriptor_pb2.FileDescriptorSet.FromString(described).file
        self._maps: dict[str, Message] = {}
        self.schemas: dict[str, Schema] = {"connect.Error": ERROR}
        self.paths: dict[str, Any] = {}
        self.tags: list[Schema] = []

    def build(self) -> Schema:
        """The whole of it."""
        for file in self._files:
            if file.name.startswith(("batuta/", "google/rpc/status")):
                self._add(file)
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Batuta",
                "version": VERSION,
                "description": ABOUT,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "security": [{"token": []}],
            "tags": sorted(self.tags, key=lambda tag: str(tag["name"])),
            "paths": dict(sorted(self.paths.items())),
            "components": {
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer", "description": "The token that IssueToken gives."}
                },
                "schemas": dict(sorted(self.schemas.items())),
            },
        }

    def _add(self, file: File) -> None:
        comments = Comments(file)
        for place, enum in enumerate(file.enum_type):
            self._enum(f"{file.package}.{enum.name}", enum, comments, (5, place))
        for place, message in enumerate(file.message_type):
            self._message(f"{file.package}.{message.name}", message, comments, (4, place))
        for place, service in enumerate(file.service):
            name = f"{file.package}.{service.name}"
            if name in ELSEWHERE:
                continue
            self.tags.append({"name": name, "description": comments.at(6, place)})
            for number, method in enumerate(service.method):
                rule = self._contract.rule(f"/{name}/{method.name}")
                if rule is not None:
                    self.paths[rule.name] = _operations(rule, name, method, comments.at(6, place, 2, number))

    def _enum(
        self, name: str, enum: descriptor_pb2.EnumDescriptorProto, comments: Comments, path: tuple[int, ...]
    ) -> None:
        lines = [comments.at(*path)]
        for place, value in enumerate(enum.value):
            if said := comments.at(*path, 2, place):
                lines.append(f"- {value.name}: {said}")
        self.schemas[name] = _said({"type": "string", "enum": [value.name for value in enum.value]}, "\n".join(lines))

    def _message(self, name: str, message: Message, comments: Comments, path: tuple[int, ...]) -> None:
        for place, inner in enumerate(message.nested_type):
            if inner.options.map_entry:
                self._maps[f".{name}.{inner.name}"] = inner
            else:
                self._message(f"{name}.{inner.name}", inner, comments, (*path, 3, place))
        for place, enum in enumerate(message.enum_type):
            self._enum(f"{name}.{enum.name}", enum, comments, (*path, 4, place))
        properties = {
            field.json_name: _said(self._field(field), comments.at(*path, 2, place))
            for place, field in enumerate(message.field)
        }
        schema: Schema = {"type": "object", "properties": properties}
        self.schemas[name] = _said(schema, "\n".join([comments.at(*path), *_choices(message)]))

    def _field(self, field: Field) -> Schema:
        if (entry := self._maps.get(field.type_name)) is not None:
            return {"type": "object", "additionalProperties": self._one(entry.field[1])}
        one = self._one(field)
        return {"type": "array", "items": one} if field.label == Field.LABEL_REPEATED else one

    def _one(self, field: Field) -> Schema:
        if field.type in SCALARS:
            return dict(SCALARS[field.type])
        name = field.type_name.lstrip(".")
        return dict(WELL_KNOWN[name]) if name in WELL_KNOWN else _ref(name)


def _choices(message: Message) -> Iterator[str]:
    """A line for each oneof, those of `optional` left out."""
    for place, oneof in enumerate(message.oneof_decl):
        fields = [each for each in message.field if each.HasField("oneof_index") and each.oneof_index == place]
        if not all(field.proto3_optional for field in fields):
            yield f"{oneof.name}: one of {', '.join(field.json_name for field in fields)} at most."


def _operations(rule: Rule, service: str, method: descriptor_pb2.MethodDescriptorProto, comment: str) -> Schema:
    asked, answered = method.input_type.lstrip("."), method.output_type.lstrip(".")
    streams = rule.client_streaming or rule.server_streaming
    kind = "application/connect+json" if streams else "application/json"
    operation: Schema = {
        "operationId": f"{service}.{method.name}",
        "tags": [service],
        "summary": comment.split(". ")[0].split("\n")[0].rstrip("."),
        "description": comment,
        "x-roles": list(rule.roles),
        "responses": {
            "200": {"description": "The answer.", "content": {kind: {"schema": _body(answered, streams=streams)}}},
            "default": {
                "description": "Why there is none.",
                "content": {"application/json": {"schema": _ref("connect.Error")}},
            },
        },
    }
    if rule.public:
        operation["security"] = []
    posted = {"required": True, "content": {kind: {"schema": _body(asked, streams=streams)}}}
    deadline = {
        "name": "Connect-Timeout-Ms",
        "in": "header",
        "description": "How long the caller waits, in milliseconds; a unary call without it has 60 s.",
        "schema": {"type": "integer", "minimum": 0},
    }
    operations: Schema = {"parameters": [deadline], "post": {**operation, "requestBody": posted}}
    if rule.reads and not streams:
        operations["get"] = {**operation, "operationId": f"{service}.{method.name}.get", "parameters": _query(asked)}
    return operations


def _query(asked: str) -> list[Schema]:
    return [
        {"name": "connect", "in": "query", "schema": {"type": "string", "const": "v1"}},
        {"name": "encoding", "in": "query", "required": True, "schema": {"type": "string", "const": "json"}},
        {"name": "message", "in": "query", "required": True, "content": {"application/json": {"schema": _ref(asked)}}},
    ]


def _body(name: str, *, streams: bool) -> Schema:
    if not streams:
        return _ref(name)
    return {"type": "string", "format": "binary", "description": f"Frames of {name}.", "x-message": _ref(name)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _said(schema: Schema, comment: str) -> Schema:
    comment = comment.strip()
    return {**schema, "description": comment} if comment else schema


def main(argv: Sequence[str]) -> int:
    """Write the document."""
    document = Document(Path(argv[0]).read_bytes()).build()
    print(json.dumps(document, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
