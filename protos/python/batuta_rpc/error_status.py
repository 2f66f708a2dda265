"""Between `RpcError` and `google.rpc.Status`, which travels in the trailing metadata `grpc-status-details-bin`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn, cast

import grpc
import grpc.aio
from google.protobuf import duration_pb2, message
from google.rpc import error_details_pb2, status_pb2

from batuta_rpc.error_base import CODE_CLASSES, RpcError

DOMAIN = "batuta"
DETAILS_KEY = "grpc-status-details-bin"
_DEFAULT_RETRY_DELAY = 1.0
# Clients of other languages take 8 KiB of metadata in all; the text travels twice, once percent-encoded.
_MESSAGE_BYTES = 1_200
_METADATA_BYTES = 1_000
_STATUS_BYTES = 4_000
_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def to_status(error: RpcError) -> status_pb2.Status:
    """The whole error as a `google.rpc.Status`, cut to what fits into metadata."""
    status = status_pb2.Status(code=_number(error.code), message=_clip(error.message, _MESSAGE_BYTES))
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    for key, value in error.metadata.items():
        if info.ByteSize() < _METADATA_BYTES:
            info.metadata[_clip(key, 60)] = _clip(value, 500)
    _pack(status, info)
    for detail in _details(error, status.message):
        _pack(status, detail)
        if status.ByteSize() > _STATUS_BYTES:
            del status.details[-1]
    return status


def _details(error: RpcError, text: str) -> Iterable[message.Message]:
    if error.field_violations:
        yield error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(field=field, description=_clip(description, 200))
                for field, description in error.field_violations[:10]
            ]
        )
    if error.resource is not None:
        kind, name = error.resource
        yield error_details_pb2.ResourceInfo(resource_type=kind, resource_name=_clip(name, 300), description="")
    subject = "" if error.resource is None else "/".join(error.resource)
    if error.code is grpc.StatusCode.FAILED_PRECONDITION:
        violation = error_details_pb2.PreconditionFailure.Violation(type=error.reason, subject=subject)
        violation.description = _clip(text, 200)
        yield error_details_pb2.PreconditionFailure(violations=[violation])
    if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        quota = error_details_pb2.QuotaFailure.Violation(subject=subject, description=_clip(text, 200))
        yield error_details_pb2.QuotaFailure(violations=[quota])
    delay = _retry_delay(error)
    if delay is not None:
        yield error_details_pb2.RetryInfo(
            retry_delay=duration_pb2.Duration(seconds=int(delay), nanos=int(delay % 1 * 1_000_000_000))
        )


def _retry_delay(error: RpcError) -> float | None:
    if error.retry_delay is not None:
        return error.retry_delay
    waiting_helps = error.code is grpc.StatusCode.UNAVAILABLE or error.reason in ("RATE_LIMITED", "QUEUE_FULL")
    return _DEFAULT_RETRY_DELAY if waiting_helps else None


def from_status(status: status_pb2.Status) -> RpcError:
    """The error that `to_status` was given, as far as it travelled."""
    reason, facts = "", cast("dict[str, Any]", {})
    for detail in status.details:
        _read_detail(detail, facts)
    reason = facts.pop("reason", "")
    metadata: dict[str, str] = facts.pop("metadata", {})
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    error = RpcError.for_reason(reason, status.message, code=code, **facts)
    error.metadata = metadata
    return error


def _read_detail(detail: Any, facts: dict[str, Any]) -> None:
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    resource = error_details_pb2.ResourceInfo()
    retry = error_details_pb2.RetryInfo()
    if detail.Unpack(info):
        facts["reason"], facts["metadata"] = info.reason, dict(info.metadata)
    elif detail.Unpack(bad):
        facts["field_violations"] = [(each.field, each.description) for each in bad.field_violations]
    elif detail.Unpack(resource):
        facts["resource"] = (resource.resource_type, resource.resource_name)
    elif detail.Unpack(retry):
        facts["retry_delay"] = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9


def from_grpc(error: grpc.RpcError, target: str = "") -> RpcError:
    """The error of a failed call, from what gRPC raised.

    `target` (host:port) makes the message of an unreachable server helpful. The result has the original as its
    `__cause__` when raised with `from`.
    """
    call = cast("Any", error)
    code: grpc.StatusCode = call.code() if hasattr(call, "code") else grpc.StatusCode.UNKNOWN
    for key, value in call.trailing_metadata() or () if hasattr(call, "trailing_metadata") else ():
        if key == DETAILS_KEY:
            return from_status(status_pb2.Status.FromString(value))
    text = str(call.details() or "") if hasattr(call, "details") else str(error)
    return CODE_CLASSES.get(code, RpcError)(_explain(code, text, target))


def _explain(code: grpc.StatusCode, text: str, target: str) -> str:
    server = f"the server at {target}" if target else "the server"
    if code is grpc.StatusCode.UNAVAILABLE:
        return _explain_transport(text, server, tls=target.startswith("https://"))
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"{server} did not answer in time; it may be overloaded or unreachable. Try again. ({text})"
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return f"{server} does not know this call: is it a Batuta server, and as new as this client? ({text})"
    return text or f"{server} ended the call with {code.name}"


def _explain_transport(text: str, server: str, *, tls: bool) -> str:
    if "WRONG_VERSION_NUMBER" in text:
        return f"{server} does not speak TLS: dial it with http:// instead of https:// ({text})"
    if "certificate has expired" in text or "certificate is not yet valid" in text:
        return (
            f"{server} has a certificate that is not valid now: its operator has to replace it, or the clock of this "
            f"machine is wrong ({text})"
        )
    if "Hostname Verification Check failed" in text:
        return (
            f"{server} has a certificate for other names than this one: dial it by a name that its certificate is for, "
            f"or have its operator add this one (tls_names) ({text})"
        )
    # The second: an authority of the same name, with another key.
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate signature failure" in text:
        return (
            f"{server} has a certificate that no authority known here has signed: name the file of its authority with "
            "BATUTA_CA_FILE (or ca_file in the configuration), or get it with `batuta init --ca-fingerprint` and the "
            f"fingerprint that its operator reads out ({text})"
        )
    if "failed to connect" in text and any(words in text for words in _HUNG_UP):
        return f"{server} hangs up before a word is said: {_WANTS_CERTIFICATE if tls else _WANTS_TLS} ({text})"
    return f"{server} does not answer: is `batuta up` running there, and is the address right? ({text})"


_HUNG_UP = ("Socket closed", "Connection reset", "Endpoint closing", "CERTIFICATE_REQUIRED", "Broken pipe")
_WANTS_TLS = "it may speak TLS, then dial it with https://"
_WANTS_CERTIFICATE = (
    "it may want a certificate of an agent (agent_certificates), then only agents dial it, with one that it signed"
)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: RpcError) -> NoReturn:
    """End the call that `context` belongs to with the status of `error`."""
    status = to_status(error)
    await context.abort(error.code, status.message, ((DETAILS_KEY, status.SerializeToString()),))
    raise AssertionError("abort always raises")


def _pack(status: status_pb2.Status, detail: message.Message) -> None:
    status.details.add().Pack(detail)


def _number(code: grpc.StatusCode) -> int:
    return code.value[0]


def _clip(text: str, limit: int) -> str:
    """Cut to `limit` bytes of UTF-8, marking the cut. Lone surrogates become question marks."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode("utf-8")
    return data[: limit - 3].decode("utf-8", "ignore") + "…"
