"""The error table: one class per reason, under one class per gRPC code, under `RpcError`.

The classes are the table; `TABLE` shows it as a mapping. The values of `batuta.errors.v1.ErrorReason` are the same
reasons for other languages. To add one: a value there, a class here.
"""

from __future__ import annotations

import grpc

from batuta_rpc.error_base import RpcError


class InvalidArgument(RpcError):
    """The request is wrong in itself; correct it before sending it again."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class FieldViolation(InvalidArgument):
    """A field breaks a rule; `field_violations` names each field and what to do."""

    reason = "FIELD_VIOLATION"


class RequestIdReused(InvalidArgument):
    """A request_id came again with other contents."""

    reason = "REQUEST_ID_REUSED"


class DeadlineMissing(InvalidArgument):
    """A unary call came without a deadline."""

    reason = "DEADLINE_MISSING"


class ProtocolViolation(InvalidArgument):
    """A stream broke the order of its messages."""

    reason = "PROTOCOL_VIOLATION"


class ContentMismatch(InvalidArgument):
    """The bytes that were stored are not those that were announced."""

    reason = "CONTENT_MISMATCH"


class NotFound(RpcError):
    """What was asked for does not exist; `resource` names it."""

    code = grpc.StatusCode.NOT_FOUND


class TaskNotFound(NotFound):
    """No such task."""

    reason = "TASK_NOT_FOUND"


class ProjectNotFound(NotFound):
    """No such project."""

    reason = "PROJECT_NOT_FOUND"


class QueueNotFound(NotFound):
    """No such queue; the message lists those that exist."""

    reason = "QUEUE_NOT_FOUND"


class AgentNotFound(NotFound):
    """No such agent."""

    reason = "AGENT_NOT_FOUND"


class CredentialNotFound(NotFound):
    """No such credential."""

    reason = "CREDENTIAL_NOT_FOUND"


class EntryNotFound(NotFound):
    """No such entry in any queue."""

    reason = "ENTRY_NOT_FOUND"


class UserNotFound(NotFound):
    """No such user."""

    reason = "USER_NOT_FOUND"


class ArtifactNotFound(NotFound):
    """No such artifact."""

    reason = "ARTIFACT_NOT_FOUND"


class AlreadyExists(RpcError):
    """Something of that name is there already; `resource` carries its id."""

    code = grpc.StatusCode.ALREADY_EXISTS


class QueueNameTaken(AlreadyExists):
    """A queue has this name."""

    reason = "QUEUE_NAME_TAKEN"


class ProjectNameTaken(AlreadyExists):
    """A project has this name."""

    reason = "PROJECT_NAME_TAKEN"


class AgentNameTaken(AlreadyExists):
    """Another machine is connected under this agent id."""

    reason = "AGENT_NAME_TAKEN"


class UserNameTaken(AlreadyExists):
    """A user has this name."""

    reason = "USER_NAME_TAKEN"


class FailedPrecondition(RpcError):
    """The state of things forbids the call; the same call will not succeed later by itself."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class TaskNotDraft(FailedPrecondition):
    """Only a draft may be edited, or by its own run."""

    reason = "TASK_NOT_DRAFT"


class IllegalTransition(FailedPrecondition):
    """The task cannot go from its state to the one asked for."""

    reason = "ILLEGAL_TRANSITION"


class StaleAttempt(FailedPrecondition):
    """The attempt is not the current one, or is closed: stop, and never report on it again."""

    reason = "STALE_ATTEMPT"


class SessionSuperseded(FailedPrecondition):
    """A newer session of the same agent took over: exit, do not reconnect."""

    reason = "SESSION_SUPERSEDED"


class AgentOnline(FailedPrecondition):
    """The agent is connected, so it is not lost: drain it instead."""

    reason = "AGENT_ONLINE"


class ProjectNotEmpty(FailedPrecondition):
    """Tasks stand in the project or below it."""

    reason = "PROJECT_NOT_EMPTY"


class QueueNotEmpty(FailedPrecondition):
    """Entries wait or run in the queue."""

    reason = "QUEUE_NOT_EMPTY"


class LastAdmin(FailedPrecondition):
    """Without this user there would be no admin."""

    reason = "LAST_ADMIN"


class Aborted(RpcError):
    """Somebody else was faster; read again and redo."""

    code = grpc.StatusCode.ABORTED


class EtagMismatch(Aborted):
    """The resource changed since it was read."""

    reason = "ETAG_MISMATCH"


class ResourceExhausted(RpcError):
    """A limit is reached; `retry_delay` says when to come again, if that helps."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class QueueFull(ResourceExhausted):
    """The queue holds as many entries as it may."""

    reason = "QUEUE_FULL"


class RateLimited(ResourceExhausted):
    """Too many calls."""

    reason = "RATE_LIMITED"


class SlowConsumer(ResourceExhausted):
    """The peer reads slower than the server writes: reconnect for a snapshot."""

    reason = "SLOW_CONSUMER"


class TooLarge(ResourceExhausted):
    """A message or a field is larger than the server takes."""

    reason = "TOO_LARGE"


class LogQuota(ResourceExhausted):
    """The attempt has written as much log as it may; the rest is not stored."""

    reason = "LOG_QUOTA"


class ArtifactQuota(ResourceExhausted):
    """The artifact is too large, or its task has too many; metadata `limit` says which limit."""

    reason = "ARTIFACT_QUOTA"


class DiskFull(ResourceExhausted):
    """The server's disk has no room for the bytes; what was stored of them stays."""

    reason = "DISK_FULL"


class Unavailable(RpcError):
    """The server does not answer now; try again later."""

    code = grpc.StatusCode.UNAVAILABLE


class ShuttingDown(Unavailable):
    """The process is going down: reconnect elsewhere or later."""

    reason = "SHUTTING_DOWN"


class UpstreamUnavailable(Unavailable):
    """A service behind this one does not answer."""

    reason = "UPSTREAM_UNAVAILABLE"


class StorageFailed(Unavailable):
    """The service cannot write to its disk now; nothing was changed."""

    reason = "STORAGE_FAILED"


class Unimplemented(RpcError):
    """The peer cannot do this."""

    code = grpc.StatusCode.UNIMPLEMENTED


class CapabilityMissing(Unimplemented):
    """The peer lacks a capability that the call needs."""

    reason = "CAPABILITY_MISSING"


class MethodUnknown(Unimplemented):
    """No such method on this address."""

    reason = "METHOD_UNKNOWN"


class Unauthenticated(RpcError):
    """The server does not know who calls; log in again."""

    code = grpc.StatusCode.UNAUTHENTICATED


class TokenMissing(Unauthenticated):
    """The call carries no token."""

    reason = "TOKEN_MISSING"


class TokenExpired(Unauthenticated):
    """The token is past its time: get a new one."""

    reason = "TOKEN_EXPIRED"


class TokenInvalid(Unauthenticated):
    """The token is not one of ours."""

    reason = "TOKEN_INVALID"


class CredentialInvalid(Unauthenticated):
    """Unknown, revoked or expired access key, or a wrong secret key."""

    reason = "CREDENTIAL_INVALID"


class JoinTokenInvalid(Unauthenticated):
    """Unknown, used or expired join token."""

    reason = "JOIN_TOKEN_INVALID"


class PermissionDenied(RpcError):
    """The caller is known and may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class RoleMissing(PermissionDenied):
    """The caller has none of the roles that the method admits."""

    reason = "ROLE_MISSING"


class OtherTask(PermissionDenied):
    """An attempt token was used for another task."""

    reason = "OTHER_TASK"


class CertificateMismatch(PermissionDenied):
    """An agent's token came over a connection that is not that agent's."""

    reason = "CERTIFICATE_MISMATCH"


class OutOfRange(RpcError):
    """A position lies outside of what is there."""

    code = grpc.StatusCode.OUT_OF_RANGE


class LogGap(OutOfRange):
    """A log chunk begins after the end of what is stored; metadata `committed_offset` says where to resume."""

    reason = "LOG_GAP"


class CursorExpired(OutOfRange):
    """The cursor is of another log or of a part that is gone: begin again without one."""

    reason = "CURSOR_EXPIRED"


class UploadGap(OutOfRange):
    """A chunk of an upload begins after the end of what is stored; metadata `committed_offset` says where to resume."""

    reason = "UPLOAD_GAP"


class Internal(RpcError):
    """A fault of the server."""

    code = grpc.StatusCode.INTERNAL


class Bug(Internal):
    """A fault of ours; metadata `incident` finds it in the server's log."""

    reason = "BUG"


class DeadlineExceeded(RpcError):
    """No answer came in the time allowed; the call may or may not have had its effect."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Cancelled(RpcError):
    """The call was given up before it ended."""

    code = grpc.StatusCode.CANCELLED


class Unknown(RpcError):
    """The peer failed and did not say how."""

    code = grpc.StatusCode.UNKNOWN


class DataLoss(RpcError):
    """Stored data cannot be read back."""

    code = grpc.StatusCode.DATA_LOSS


class ContentLost(DataLoss):
    """The bytes of an artifact are gone from where they were stored."""

    reason = "CONTENT_LOST"
