"""One table, both ways: what a server raises is what its client catches."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from batuta_proto.errors import v1 as errors_proto
from batuta_rpc import errors
from batuta_rpc.error_status import from_status
from batuta_rpc.errors import RpcError, to_status


class Failed(grpc.RpcError):
    """A failure as gRPC raises it."""

    def __init__(self, code: grpc.StatusCode, details: str = "", status: status_pb2.Status | None = None) -> None:
        super().__init__(details)
        self._code, self._details = code, details
        self._trailing = () if status is None else ((errors.DETAILS_KEY, status.SerializeToString()),)

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> Any:
        return self._trailing


REASONS = [value.name.removeprefix("ERROR_REASON_") for value in errors_proto.ErrorReason.DESCRIPTOR.values][1:]


def test_the_table_holds_exactly_the_reasons_of_the_contract() -> None:
    assert sorted(errors.TABLE) == sorted(REASONS)


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_travels_and_arrives_as_its_own_class(reason: str) -> None:
    sent = RpcError.for_reason(reason, "what is wrong", task_id="t1")
    status = to_status(sent)
    got = errors.from_grpc(Failed(sent.code, status.message, status))
    assert type(got) is type(sent)
    assert (got.reason, got.code, got.message, got.metadata) == (reason, sent.code, "what is wrong", {"task_id": "t1"})


def test_fields_resource_and_delay_travel_too() -> None:
    violation = errors.FieldViolation("bad", field_violations=[("spec.name", "is empty"), ("n", "is negative")])
    assert from_status(to_status(violation)).field_violations == violation.field_violations
    taken = errors.QueueNameTaken("taken", resource=("queue", "q1"))
    assert from_status(to_status(taken)).resource == ("queue", "q1")
    limited = errors.RateLimited("slowly", retry_delay=2.5)
    assert from_status(to_status(limited)).retry_delay == 2.5


def test_the_details_are_those_that_other_languages_expect() -> None:
    def kinds(error: RpcError) -> list[str]:
        return [detail.type_url.rsplit(".", 1)[1] for detail in to_status(error).details]

    assert kinds(errors.TaskNotFound("x", resource=("task", "t1"))) == ["ErrorInfo", "ResourceInfo"]
    assert kinds(errors.FieldViolation("x", field_violations=[("a", "b")])) == ["ErrorInfo", "BadRequest"]
    assert kinds(errors.StaleAttempt("x")) == ["ErrorInfo", "PreconditionFailure"]
    assert kinds(errors.QueueFull("x")) == ["ErrorInfo", "QuotaFailure", "RetryInfo"]
    assert kinds(errors.ShuttingDown("x")) == ["ErrorInfo", "RetryInfo"]
    info = error_details_pb2.ErrorInfo()
    assert to_status(errors.EtagMismatch("x")).details[0].Unpack(info)
    assert (info.domain, info.reason) == ("batuta", "ETAG_MISMATCH")


def test_an_unknown_reason_falls_to_the_class_of_its_code_and_keeps_its_name() -> None:
    status = to_status(RpcError.for_reason("PLANET_NOT_FOUND", "no planet", code=grpc.StatusCode.NOT_FOUND))
    got = errors.from_grpc(Failed(grpc.StatusCode.NOT_FOUND, "no planet", status))
    assert type(got) is errors.NotFound
    assert got.reason == "PLANET_NOT_FOUND"


def test_a_server_that_is_not_there_is_explained_with_its_address() -> None:
    got = errors.from_grpc(Failed(grpc.StatusCode.UNAVAILABLE, "connection refused"), "127.0.0.1:8480")
    assert isinstance(got, errors.Unavailable)
    assert "127.0.0.1:8480 does not answer" in got.message
    assert "batuta up" in got.message


def test_a_deadline_that_passed_is_explained() -> None:
    got = errors.from_grpc(Failed(grpc.StatusCode.DEADLINE_EXCEEDED, ""), "h:1")
    assert isinstance(got, errors.DeadlineExceeded)
    assert "in time" in got.message


def test_an_error_larger_than_metadata_may_be_is_cut_and_still_arrives() -> None:
    many = [(f"field_{index}", "x" * 5_000) for index in range(500)]
    error = errors.FieldViolation("é" * 50_000, field_violations=many)
    error.metadata = {f"k{index}": "v" * 999 for index in range(99)}
    status = to_status(error)
    assert len(status.SerializeToString()) < 4_500
    got = from_status(status)
    assert got.reason == "FIELD_VIOLATION"
    assert got.message.endswith("…")


def test_text_that_is_no_unicode_does_not_break_the_error() -> None:
    assert to_status(errors.TaskNotFound("\udcff", task_id="\udcff")).message == "?"


def test_a_reason_cannot_be_claimed_twice() -> None:
    with pytest.raises(TypeError, match="TASK_NOT_FOUND"):
        type("Other", (RpcError,), {"reason": "TASK_NOT_FOUND"})
