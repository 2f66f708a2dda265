from batuta_proto.types.v1 import attempt_pb2 as _attempt_pb2
from batuta_proto.types.v1 import lease_pb2 as _lease_pb2
from batuta_proto.types.v1 import resources_pb2 as _resources_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EntryState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENTRY_STATE_UNSPECIFIED: _ClassVar[EntryState]
    ENTRY_STATE_WAITING: _ClassVar[EntryState]
    ENTRY_STATE_OFFERED: _ClassVar[EntryState]
    ENTRY_STATE_HELD: _ClassVar[EntryState]
    ENTRY_STATE_RUNNING: _ClassVar[EntryState]
    ENTRY_STATE_DONE: _ClassVar[EntryState]
    ENTRY_STATE_WITHDRAWN: _ClassVar[EntryState]
ENTRY_STATE_UNSPECIFIED: EntryState
ENTRY_STATE_WAITING: EntryState
ENTRY_STATE_OFFERED: EntryState
ENTRY_STATE_HELD: EntryState
ENTRY_STATE_RUNNING: EntryState
ENTRY_STATE_DONE: EntryState
ENTRY_STATE_WITHDRAWN: EntryState

class Queue(_message.Message):
    __slots__ = ("id", "etag", "display_name", "spec", "status", "create_time", "description")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    display_name: str
    spec: QueueSpec
    status: QueueStatus
    create_time: _timestamp_pb2.Timestamp
    description: str
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ..., display_name: _Optional[str] = ..., spec: _Optional[_Union[QueueSpec, _Mapping]] = ..., status: _Optional[_Union[QueueStatus, _Mapping]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., description: _Optional[str] = ...) -> None: ...

class QueueSpec(_message.Message):
    __slots__ = ("lease_policy",)
    LEASE_POLICY_FIELD_NUMBER: _ClassVar[int]
    lease_policy: _lease_pb2.LeasePolicy
    def __init__(self, lease_policy: _Optional[_Union[_lease_pb2.LeasePolicy, str]] = ...) -> None: ...

class QueueStatus(_message.Message):
    __slots__ = ("waiting_count", "running_count", "agent_count", "held_count", "pause_time", "paused_by")
    WAITING_COUNT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_COUNT_FIELD_NUMBER: _ClassVar[int]
    AGENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    HELD_COUNT_FIELD_NUMBER: _ClassVar[int]
    PAUSE_TIME_FIELD_NUMBER: _ClassVar[int]
    PAUSED_BY_FIELD_NUMBER: _ClassVar[int]
    waiting_count: int
    running_count: int
    agent_count: int
    held_count: int
    pause_time: _timestamp_pb2.Timestamp
    paused_by: str
    def __init__(self, waiting_count: _Optional[int] = ..., running_count: _Optional[int] = ..., agent_count: _Optional[int] = ..., held_count: _Optional[int] = ..., pause_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., paused_by: _Optional[str] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("id", "task_id", "queue_id", "state", "hold_reason", "priority", "attempt", "agent_id", "enqueue_time", "infrastructure_losses", "failures", "preemptions", "not_before_time", "place", "wait_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    HOLD_REASON_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    ENQUEUE_TIME_FIELD_NUMBER: _ClassVar[int]
    INFRASTRUCTURE_LOSSES_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    PREEMPTIONS_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_TIME_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    WAIT_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    task_id: str
    queue_id: str
    state: EntryState
    hold_reason: str
    priority: int
    attempt: int
    agent_id: str
    enqueue_time: _timestamp_pb2.Timestamp
    infrastructure_losses: int
    failures: int
    preemptions: int
    not_before_time: _timestamp_pb2.Timestamp
    place: int
    wait_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., task_id: _Optional[str] = ..., queue_id: _Optional[str] = ..., state: _Optional[_Union[EntryState, str]] = ..., hold_reason: _Optional[str] = ..., priority: _Optional[int] = ..., attempt: _Optional[int] = ..., agent_id: _Optional[str] = ..., enqueue_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., infrastructure_losses: _Optional[int] = ..., failures: _Optional[int] = ..., preemptions: _Optional[int] = ..., not_before_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., place: _Optional[int] = ..., wait_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SchedulingEnvelope(_message.Message):
    __slots__ = ("queue_id", "task_id", "priority", "owner", "project_id", "resources", "retry", "attempt_floor")
    QUEUE_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FLOOR_FIELD_NUMBER: _ClassVar[int]
    queue_id: str
    task_id: str
    priority: int
    owner: str
    project_id: str
    resources: _resources_pb2.Resources
    retry: _lease_pb2.RetryPolicy
    attempt_floor: int
    def __init__(self, queue_id: _Optional[str] = ..., task_id: _Optional[str] = ..., priority: _Optional[int] = ..., owner: _Optional[str] = ..., project_id: _Optional[str] = ..., resources: _Optional[_Union[_resources_pb2.Resources, _Mapping]] = ..., retry: _Optional[_Union[_lease_pb2.RetryPolicy, _Mapping]] = ..., attempt_floor: _Optional[int] = ...) -> None: ...

class EntryEvent(_message.Message):
    __slots__ = ("position", "entry_id", "task_id", "entry_state", "attempt", "phase", "agent_id", "host", "reason", "exit_code", "signal", "tails", "event_time", "queue_id")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ENTRY_STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    TAILS_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    QUEUE_ID_FIELD_NUMBER: _ClassVar[int]
    position: int
    entry_id: str
    task_id: str
    entry_state: EntryState
    attempt: int
    phase: _attempt_pb2.AttemptPhase
    agent_id: str
    host: str
    reason: _status_pb2.Status
    exit_code: int
    signal: int
    tails: _containers.RepeatedCompositeFieldContainer[_attempt_pb2.ProducerTail]
    event_time: _timestamp_pb2.Timestamp
    queue_id: str
    def __init__(self, position: _Optional[int] = ..., entry_id: _Optional[str] = ..., task_id: _Optional[str] = ..., entry_state: _Optional[_Union[EntryState, str]] = ..., attempt: _Optional[int] = ..., phase: _Optional[_Union[_attempt_pb2.AttemptPhase, str]] = ..., agent_id: _Optional[str] = ..., host: _Optional[str] = ..., reason: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., tails: _Optional[_Iterable[_Union[_attempt_pb2.ProducerTail, _Mapping]]] = ..., event_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., queue_id: _Optional[str] = ...) -> None: ...

class Cursor(_message.Message):
    __slots__ = ("log_epoch", "position")
    LOG_EPOCH_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    log_epoch: str
    position: int
    def __init__(self, log_epoch: _Optional[str] = ..., position: _Optional[int] = ...) -> None: ...
