from batuta_proto.types.v1 import attempt_pb2 as _attempt_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CancelReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CANCEL_REASON_UNSPECIFIED: _ClassVar[CancelReason]
    CANCEL_REASON_USER: _ClassVar[CancelReason]
    CANCEL_REASON_TIMEOUT: _ClassVar[CancelReason]
    CANCEL_REASON_PREEMPTED: _ClassVar[CancelReason]
    CANCEL_REASON_SUPERSEDED: _ClassVar[CancelReason]
CANCEL_REASON_UNSPECIFIED: CancelReason
CANCEL_REASON_USER: CancelReason
CANCEL_REASON_TIMEOUT: CancelReason
CANCEL_REASON_PREEMPTED: CancelReason
CANCEL_REASON_SUPERSEDED: CancelReason

class AssignmentRef(_message.Message):
    __slots__ = ("task_id", "attempt")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...

class HeldAssignment(_message.Message):
    __slots__ = ("ref", "phase")
    REF_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    ref: AssignmentRef
    phase: _attempt_pb2.AttemptPhase
    def __init__(self, ref: _Optional[_Union[AssignmentRef, _Mapping]] = ..., phase: _Optional[_Union[_attempt_pb2.AttemptPhase, str]] = ...) -> None: ...

class LeaseTerms(_message.Message):
    __slots__ = ("kill_when_lost", "lost_after", "kill_grace")
    KILL_WHEN_LOST_FIELD_NUMBER: _ClassVar[int]
    LOST_AFTER_FIELD_NUMBER: _ClassVar[int]
    KILL_GRACE_FIELD_NUMBER: _ClassVar[int]
    kill_when_lost: bool
    lost_after: _duration_pb2.Duration
    kill_grace: _duration_pb2.Duration
    def __init__(self, kill_when_lost: bool = ..., lost_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., kill_grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("ref", "attempt_token", "accept_within", "lease", "gpu_uuids", "payload", "payload_media_type", "time_limit", "queue_id", "traceparent")
    REF_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_WITHIN_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    GPU_UUIDS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    TIME_LIMIT_FIELD_NUMBER: _ClassVar[int]
    QUEUE_ID_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    ref: AssignmentRef
    attempt_token: str
    accept_within: _duration_pb2.Duration
    lease: LeaseTerms
    gpu_uuids: _containers.RepeatedScalarFieldContainer[str]
    payload: bytes
    payload_media_type: str
    time_limit: _duration_pb2.Duration
    queue_id: str
    traceparent: str
    def __init__(self, ref: _Optional[_Union[AssignmentRef, _Mapping]] = ..., attempt_token: _Optional[str] = ..., accept_within: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., lease: _Optional[_Union[LeaseTerms, _Mapping]] = ..., gpu_uuids: _Optional[_Iterable[str]] = ..., payload: _Optional[bytes] = ..., payload_media_type: _Optional[str] = ..., time_limit: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., queue_id: _Optional[str] = ..., traceparent: _Optional[str] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("ref", "grace", "reason")
    REF_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ref: AssignmentRef
    grace: _duration_pb2.Duration
    reason: CancelReason
    def __init__(self, ref: _Optional[_Union[AssignmentRef, _Mapping]] = ..., grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., reason: _Optional[_Union[CancelReason, str]] = ...) -> None: ...

class AssignmentReport(_message.Message):
    __slots__ = ("report_number", "ref", "phase", "exit_code", "signal", "reason", "event_time", "tails")
    REPORT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    TAILS_FIELD_NUMBER: _ClassVar[int]
    report_number: int
    ref: AssignmentRef
    phase: _attempt_pb2.AttemptPhase
    exit_code: int
    signal: int
    reason: _status_pb2.Status
    event_time: _timestamp_pb2.Timestamp
    tails: _containers.RepeatedCompositeFieldContainer[_attempt_pb2.ProducerTail]
    def __init__(self, report_number: _Optional[int] = ..., ref: _Optional[_Union[AssignmentRef, _Mapping]] = ..., phase: _Optional[_Union[_attempt_pb2.AttemptPhase, str]] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., reason: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., event_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., tails: _Optional[_Iterable[_Union[_attempt_pb2.ProducerTail, _Mapping]]] = ...) -> None: ...
