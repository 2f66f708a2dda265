"""The OpenAPI document: it is one, and it has every method that the API serves by HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from batuta_chassis.contract import contract


@pytest.fixture(scope="module")
def document(root: Path) -> Any:
    """The document."""
    return json.loads((root / "services/chassis/batuta_chassis/openapi.json").read_text())


def references(part: Any) -> Iterator[str]:
    """Every reference in a part of the document."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for each in part:
            yield from references(each)


def test_it_is_an_openapi_document(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()
    broken = {**document, "paths": {"/x": {"post": {"responses": 7}}}}
    assert not OpenAPIV31SpecValidator(broken).is_valid()


def test_every_reference_leads_somewhere(document: Any) -> None:
    names = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= names


def test_it_has_every_method_but_those_that_agents_alone_call_elsewhere(document: Any) -> None:
    wanted = {rule.name for rule in contract().rules if "DispatchService" not in rule.name}
    assert document["paths"].keys() == wanted


def test_each_method_says_what_it_does_and_who_may_call_it(document: Any) -> None:
    for name, path in document["paths"].items():
        rule = contract().rule(name)
        assert rule is not None
        post = path["post"]
        assert post["description"], name
        assert post["x-roles"] == list(rule.roles), name
        assert (post.get("security") == []) == rule.public, name
        assert ("get" in path) == (rule.reads and not rule.server_streaming), name


def test_every_message_and_enum_is_explained(document: Any) -> None:
    own = {name: schema for name, schema in document["components"]["schemas"].items() if name.startswith("batuta.")}
    assert len(own) > 150
    assert not [name for name, schema in own.items() if not schema.get("description")]
