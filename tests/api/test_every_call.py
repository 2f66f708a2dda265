"""Every call of the contract that is served, one by one: what all of them refuse, they refuse with the right word."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message

from batuta_api.__main__ import build as build_api
from batuta_chassis.contract import ROLES, Rule, contract
from batuta_chassis.interceptors.validation import violations
from batuta_chassis.testing import Running, running
from batuta_proto.queues import v1 as queues
from batuta_queue.__main__ import build as build_queue
from batuta_rpc.errors import RpcError, from_grpc

AREAS = ("agents", "artifacts", "audit", "logs", "metrics", "projects", "queues", "system", "tasks", "users")
for _area in AREAS:
    # A name in it is asked for, so that the stubs load and fill the default pool.
    assert vars(importlib.import_module(f"batuta_proto.{_area}.v1"))
RULES = contract().rules
UNARY = [rule for rule in RULES if not (rule.client_streaming or rule.server_streaming)]
NOBODY = "f" * 32
# What a call does about an id that nobody knows, where that is not NOT_FOUND.
KNOWN_TO_NOBODY = {
    "BatchGetEntries": "an event with nothing in it",
    "BatchGetTasks": "each is told in its place",
    "RedeemJoinToken": "it is public, and tells nobody what there is",
    "SubmitEntry": "it brings a new entry, with all that belongs to it",
    "WithdrawEntry": "an entry that is to come is WITHDRAWN from the start",
}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """Both services."""
    keys = tmp_path / "keys"
    async with running(build_queue, tmp_path / "queue", service="queue", keys_dir=keys) as queue:
        settings: dict[str, Any] = {"queue_endpoint": queue.settings.endpoint, "keys_dir": keys}
        async with running(build_api, tmp_path / "api", service="api", **settings) as api:
            made = Served(api, queue)
            yield made
            await made.close()


class Served:
    """The services, called with bytes, as other languages do."""

    def __init__(self, api: Running, queue: Running) -> None:
        self.tokens = api.tokens
        self._channels = {
            "api": grpc.aio.insecure_channel(api.address),
            "queue": grpc.aio.insecure_channel(queue.address),
        }

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()

    def token(self, role: str) -> str:
        """A token of a role, or of the run of a task that nobody knows."""
        return self.tokens.of_attempt(NOBODY, 1) if role == "attempt" else self.tokens.of(role)

    async def default_queue(self) -> str:
        """The id of the queue that is there from the start."""
        stub = queues.QueueServiceStub(self._channels["api"])
        request = queues.GetQueueRequest(display_name="default")
        metadata = (("authorization", f"Bearer {self.token('viewer')}"),)
        return str((await stub.GetQueue(request, metadata=metadata, timeout=20)).queue.id)

    def some_token(self, rule: Rule) -> str | None:
        """A token that a method admits; None for a public one."""
        roles = [role for role in ("admin", "service", "agent", "attempt") if role in rule.admitted]
        return self.token(roles[0]) if roles else None

    async def refusal(
        self, rule: Rule, raw: bytes = b"", token: str | None = None, timeout: float | None = 20
    ) -> RpcError | None:
        """Why the call is refused; None when it is answered."""
        channel = self._channels["queue" if "DispatchService" in rule.name else "api"]
        metadata = () if token is None else (("authorization", f"Bearer {token}"),)
        kind = f"{'stream' if rule.client_streaming else 'unary'}_{'stream' if rule.server_streaming else 'unary'}"
        method: Any = getattr(channel, kind)(rule.name)
        call: Any = method(iter([raw]) if rule.client_streaming else raw, metadata=metadata, timeout=timeout)
        try:
            if rule.server_streaming:
                await call.read()
            else:
                await call
        except grpc.aio.AioRpcError as error:
            return from_grpc(error)
        finally:
            call.cancel()
        return None


def asked(rule: Rule) -> type[Message]:
    """The class of a method's requests."""
    service, method = rule.name[1:].split("/")
    return message_factory.GetMessageClass(Default().FindServiceByName(service).FindMethodByName(method).input_type)


def names_somebody(field: Any) -> bool:
    """Whether a field is the id of something."""
    return field.name.endswith(("_id", "_ids")) and field.name != "request_id" and field.type == field.TYPE_STRING


def filled(kind: type[Message]) -> Message:
    """A request about things that nobody knows, as small as the rules allow."""
    made: Any = kind()
    for field in kind.DESCRIPTOR.fields:
        if field.containing_oneof is not None and made.WhichOneof(field.containing_oneof.name):
            continue
        if names_somebody(field):
            if field.name.endswith("_ids"):
                getattr(made, field.name).append(NOBODY)
            else:
                setattr(made, field.name, NOBODY)
        elif field.name in ("display_name", "project_name", "queue_name", "producer", "name", "to"):
            setattr(made, field.name, "x")
        elif field.name in ("task", "project", "queue", "user"):
            getattr(made, field.name).id = NOBODY
            getattr(made, field.name).display_name = "x"
        elif field.name == "update_mask":
            made.update_mask.paths.append("display_name")
        elif field.name in ("attempt", "first_sequence", "last_sequence"):
            setattr(made, field.name, 1)
        elif field.name == "state" and field.enum_type is not None:
            made.state = 50
    return made


async def test_s1_no_call_but_a_public_one_is_answered_without_a_token(served: Served) -> None:
    for rule in RULES:
        refused = await served.refusal(rule)
        if not rule.public:
            assert refused is not None, rule.name
            assert (refused.code, refused.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING"), rule.name


async def test_no_role_but_those_that_the_contract_names_is_admitted(served: Served) -> None:
    for rule in RULES:
        for role in set(ROLES.values()) - rule.admitted:
            if not rule.public:
                refused = await served.refusal(rule, token=served.token(role))
                assert refused is not None, (rule.name, role)
                assert refused.code is grpc.StatusCode.PERMISSION_DENIED, (rule.name, role, refused)


async def test_s26_no_unary_call_is_taken_without_a_deadline(served: Served) -> None:
    for rule in UNARY:
        refused = await served.refusal(rule, token=served.some_token(rule), timeout=None)
        assert refused is not None, rule.name
        assert refused.reason == "DEADLINE_MISSING", (rule.name, refused)


async def test_a_message_that_breaks_a_rule_is_refused_with_the_name_of_its_field(served: Served) -> None:
    broken = 0
    for rule in UNARY:
        expected = violations(rule.parse(b""))
        if not expected:
            continue
        broken += 1
        refused = await served.refusal(rule, token=served.some_token(rule))
        assert refused is not None, rule.name
        assert refused.reason == "FIELD_VIOLATION", (rule.name, refused)
        assert {field for field, _ in refused.field_violations} == {field for field, _ in expected}, rule.name
    assert broken > 30


async def test_an_id_that_nobody_knows_is_not_found(served: Served) -> None:
    odd: dict[str, str] = {}
    for rule in RULES:
        kind = asked(rule)
        known = [field for field in kind.DESCRIPTOR.fields if names_somebody(field)]
        if not known and not {"task", "project", "queue", "user"} & set(kind.DESCRIPTOR.fields_by_name):
            continue
        refused = await served.refusal(rule, filled(kind).SerializeToString(), served.some_token(rule))
        if refused is None or refused.code is not grpc.StatusCode.NOT_FOUND:
            odd[rule.name.partition("/")[2].partition("/")[2]] = repr(refused)
    assert odd.keys() == KNOWN_TO_NOBODY.keys(), odd


async def test_a_page_token_that_is_none_of_a_list_is_refused_by_name(served: Served) -> None:
    lists = [rule for rule in UNARY if "page_token" in asked(rule).DESCRIPTOR.fields_by_name]
    assert len(lists) >= 6
    default = await served.default_queue()
    for rule in lists:
        request: Any = asked(rule)(page_token="bm9uc2Vuc2U")
        for field in request.DESCRIPTOR.fields:
            if names_somebody(field):
                setattr(request, field.name, default if field.name == "queue_id" else NOBODY)
        refused = await served.refusal(rule, request.SerializeToString(), served.some_token(rule))
        assert refused is not None, rule.name
        assert [field for field, _ in refused.field_violations] == ["page_token"], (rule.name, refused)


async def test_s24_a_message_beyond_the_limit_is_refused_and_the_connection_lives(served: Served) -> None:
    for rule in UNARY[:: len(UNARY) // 4]:
        refused = await served.refusal(rule, bytes(17 << 20), served.some_token(rule))
        assert refused is not None
        assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        again = await served.refusal(rule, b"\xff", served.some_token(rule))
        assert again is not None
        assert again.code is grpc.StatusCode.INVALID_ARGUMENT
