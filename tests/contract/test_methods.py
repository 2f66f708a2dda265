"""Rules that every method of the contract keeps, read from the descriptors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from batuta_proto.errors import v1 as errors
from batuta_proto.types import v1 as types
from batuta_rpc.errors import TABLE

READS = ("Get", "BatchGet", "List", "Watch", "Read", "Count", "Search")
# Writes that a channel does not send twice by itself, each with its reason.
ONCE = {
    "batuta.artifacts.v1.ArtifactService.UploadArtifact": "a stream that goes on from the committed offset",
    "batuta.agents.v1.DispatchService.Session": "a stream with its own rules of resume",
    "batuta.logs.v1.LogService.AppendLog": "a stream that goes on from the committed offset",
    "batuta.tasks.v1.TaskService.AbortTask": "twice changes nothing, but the etag may have moved",
    "batuta.tasks.v1.TaskService.FinishTask": "by attempt; its caller, the courier, repeats it",
    "batuta.users.v1.UserService.CreateCredential": "keeping the answer would keep the secret",
    "batuta.users.v1.UserService.CreateJoinToken": "keeping the answer would keep the secret",
    "batuta.users.v1.UserService.RedeemJoinToken": "a join token is spent once",
    "batuta.users.v1.UserService.IssueToken": "keeping the answer would keep the token",
    "batuta.users.v1.UserService.LogIn": "keeping the answer would keep the token",
}


def reason_names() -> set[str]:
    """The reasons as they travel: names of the enum without their prefix."""
    names = {value.name.removeprefix("ERROR_REASON_") for value in errors.ErrorReason.DESCRIPTOR.values}
    return names - {"UNSPECIFIED"}


def access_of(method: MethodDescriptor) -> types.Access | None:
    """The access rule of a method, None where it has none."""
    options = method.GetOptions()
    handle: Any = types.access  # the generator of the oldest stubs types extensions as plain descriptors
    return cast("types.Access", options.Extensions[handle]) if options.HasExtension(handle) else None


def test_s5_every_method_says_who_may_call_it(methods: list[MethodDescriptor]) -> None:
    assert methods
    without = [method.full_name for method in methods if access_of(method) is None]
    assert not without, f"denied to everybody: {without}"


def test_a_method_is_public_or_has_roles_and_never_both(methods: list[MethodDescriptor]) -> None:
    rules = {method.full_name: access_of(method) for method in methods}
    assert not [name for name, rule in rules.items() if rule and rule.public == bool(rule.roles)]
    assert not [name for name, rule in rules.items() if rule and types.ROLE_UNSPECIFIED in rule.roles]


def test_reads_are_marked_free_of_side_effects_and_writes_are_not(methods: list[MethodDescriptor]) -> None:
    for method in methods:
        read = re.match(rf"({'|'.join(READS)})(?=[A-Z])", method.name) is not None
        marked = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
        assert read == marked, method.full_name


def test_every_request_and_response_is_the_methods_own(methods: list[MethodDescriptor]) -> None:
    for method in methods:
        assert method.input_type.name == f"{method.name}Request", method.full_name
        assert method.output_type.name == f"{method.name}Response", method.full_name
    types_used = [t.full_name for method in methods for t in (method.input_type, method.output_type)]
    assert len(types_used) == len(set(types_used))


def test_every_write_can_be_sent_twice_or_says_why_not(methods: list[MethodDescriptor]) -> None:
    unsafe = [
        method.full_name
        for method in methods
        if method.GetOptions().idempotency_level == MethodOptions.IDEMPOTENCY_UNKNOWN
        and "request_id" not in method.input_type.fields_by_name
        and method.full_name not in ONCE
    ]
    assert not unsafe, unsafe


def test_every_list_has_pages(methods: list[MethodDescriptor]) -> None:
    for method in methods:
        if method.name.startswith("List"):
            assert {"page_size", "page_token"} <= set(method.input_type.fields_by_name), method.full_name
            assert "next_page_token" in method.output_type.fields_by_name, method.full_name


def test_every_method_says_in_words_who_and_which_failures(
    methods: list[MethodDescriptor], comments: dict[str, str]
) -> None:
    for method in methods:
        assert "Who: " in comments[method.full_name], method.full_name
        assert "Fails with: " in comments[method.full_name], method.full_name


def test_failures_that_comments_name_exist(comments: dict[str, str]) -> None:
    known = reason_names()
    for method, comment in comments.items():
        named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", comment.partition("Fails with: ")[2]))
        assert named <= known, method


def test_the_words_of_a_comment_agree_with_the_roles(methods: list[MethodDescriptor], comments: dict[str, str]) -> None:
    # "Who:" is prose, but every admitted role is named in it.
    names = {types.ROLE_ATTEMPT: "attempt", types.ROLE_SERVICE: "service", types.ROLE_AGENT: "agent"}
    names |= {types.ROLE_VIEWER: "viewer", types.ROLE_MEMBER: "member", types.ROLE_ADMIN: "admin"}
    for method in methods:
        roles = (access_of(method) or types.Access()).roles
        who = comments[method.full_name].partition("Who: ")[2].partition("Fails with: ")[0]
        if "everybody" not in who:
            assert not [names[role] for role in roles if names[role] not in who], method.full_name


def test_every_reason_has_one_code_in_the_table() -> None:
    assert set(TABLE) == reason_names()


def test_the_table_agrees_with_the_comments_of_the_enum(root: Path) -> None:
    text = (root / "protos/batuta/errors/v1/reason.proto").read_text()
    pattern = r"// ([A-Z_]+): [^\n]*\n(?:  //[^\n]*\n)*  ERROR_REASON_(\w+) ="
    stated = {reason: code for code, reason in re.findall(pattern, text)}
    assert stated == {reason: code.name for reason, code in TABLE.items()}


def test_areas_refer_to_each_other_by_id_and_never_by_message(messages: dict[str, Descriptor]) -> None:
    shared = {"types", "errors"}
    for message in messages.values():
        area = message.full_name.split(".")[1]
        for field in message.fields:
            target = field.message_type or field.enum_type
            if target is not None and target.full_name.startswith("batuta."):
                assert target.full_name.split(".")[1] in {area, *shared}, f"{message.full_name}.{field.name}"


def test_nothing_untyped_is_in_the_contract(messages: dict[str, Descriptor]) -> None:
    untyped = {"google.protobuf.Any", "google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.Empty"}
    for message in messages.values():
        for field in message.fields:
            assert field.message_type is None or field.message_type.full_name not in untyped, message.full_name


def test_proto_files_stay_under_three_hundred_lines(root: Path) -> None:
    sizes = {path.name: path.read_text().count("\n") for path in (root / "protos/batuta").rglob("*.proto")}
    assert not {name: size for name, size in sizes.items() if size >= 300}
