from batuta_proto.agents.v1 import agent_pb2 as _agent_pb2
from batuta_proto.agents.v1 import assignment_pb2 as _assignment_pb2
from batuta_proto.types.v1 import resources_pb2 as _resources_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Hello(_message.Message):
    __slots__ = ("agent_id", "instance_id", "journal_id", "boot_id", "resume_session_id", "held", "capacity", "gpus", "max_assignments", "queue_ids", "labels", "capabilities", "version", "host", "start_number")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_ID_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    RESUME_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    MAX_ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_IDS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    START_NUMBER_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    instance_id: str
    journal_id: str
    boot_id: str
    resume_session_id: str
    held: _containers.RepeatedCompositeFieldContainer[_assignment_pb2.HeldAssignment]
    capacity: _resources_pb2.Resources
    gpus: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Gpu]
    max_assignments: int
    queue_ids: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    version: str
    host: str
    start_number: int
    def __init__(self, agent_id: _Optional[str] = ..., instance_id: _Optional[str] = ..., journal_id: _Optional[str] = ..., boot_id: _Optional[str] = ..., resume_session_id: _Optional[str] = ..., held: _Optional[_Iterable[_Union[_assignment_pb2.HeldAssignment, _Mapping]]] = ..., capacity: _Optional[_Union[_resources_pb2.Resources, _Mapping]] = ..., gpus: _Optional[_Iterable[_Union[_resources_pb2.Gpu, _Mapping]]] = ..., max_assignments: _Optional[int] = ..., queue_ids: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., capabilities: _Optional[_Iterable[str]] = ..., version: _Optional[str] = ..., host: _Optional[str] = ..., start_number: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("heartbeat_number", "held", "free_assignments", "available", "draining", "unhealthy_reason")
    HEARTBEAT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    FREE_ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    UNHEALTHY_REASON_FIELD_NUMBER: _ClassVar[int]
    heartbeat_number: int
    held: _containers.RepeatedCompositeFieldContainer[_assignment_pb2.HeldAssignment]
    free_assignments: int
    available: _resources_pb2.Resources
    draining: bool
    unhealthy_reason: str
    def __init__(self, heartbeat_number: _Optional[int] = ..., held: _Optional[_Iterable[_Union[_assignment_pb2.HeldAssignment, _Mapping]]] = ..., free_assignments: _Optional[int] = ..., available: _Optional[_Union[_resources_pb2.Resources, _Mapping]] = ..., draining: bool = ..., unhealthy_reason: _Optional[str] = ...) -> None: ...

class Telemetry(_message.Message):
    __slots__ = ("sample",)
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    sample: _agent_pb2.TelemetrySample
    def __init__(self, sample: _Optional[_Union[_agent_pb2.TelemetrySample, _Mapping]] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reason", "keep_leases")
    REASON_FIELD_NUMBER: _ClassVar[int]
    KEEP_LEASES_FIELD_NUMBER: _ClassVar[int]
    reason: str
    keep_leases: bool
    def __init__(self, reason: _Optional[str] = ..., keep_leases: bool = ...) -> None: ...

class SessionRequest(_message.Message):
    __slots__ = ("hello", "heartbeat", "report", "telemetry", "goodbye")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    TELEMETRY_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    heartbeat: Heartbeat
    report: _assignment_pb2.AssignmentReport
    telemetry: Telemetry
    goodbye: Goodbye
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., report: _Optional[_Union[_assignment_pb2.AssignmentReport, _Mapping]] = ..., telemetry: _Optional[_Union[Telemetry, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("session_id", "resumed", "heartbeat_period", "telemetry_period", "expected", "capabilities", "max_message_bytes", "server_time", "report_number")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_PERIOD_FIELD_NUMBER: _ClassVar[int]
    TELEMETRY_PERIOD_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    REPORT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    resumed: bool
    heartbeat_period: _duration_pb2.Duration
    telemetry_period: _duration_pb2.Duration
    expected: _containers.RepeatedCompositeFieldContainer[_assignment_pb2.Assignment]
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    max_message_bytes: int
    server_time: _timestamp_pb2.Timestamp
    report_number: int
    def __init__(self, session_id: _Optional[str] = ..., resumed: bool = ..., heartbeat_period: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., telemetry_period: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., expected: _Optional[_Iterable[_Union[_assignment_pb2.Assignment, _Mapping]]] = ..., capabilities: _Optional[_Iterable[str]] = ..., max_message_bytes: _Optional[int] = ..., server_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., report_number: _Optional[int] = ...) -> None: ...

class HeartbeatAck(_message.Message):
    __slots__ = ("heartbeat_number", "heartbeat_period", "lost")
    HEARTBEAT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_PERIOD_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    heartbeat_number: int
    heartbeat_period: _duration_pb2.Duration
    lost: _containers.RepeatedCompositeFieldContainer[_assignment_pb2.AssignmentRef]
    def __init__(self, heartbeat_number: _Optional[int] = ..., heartbeat_period: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., lost: _Optional[_Iterable[_Union[_assignment_pb2.AssignmentRef, _Mapping]]] = ...) -> None: ...

class ReportAck(_message.Message):
    __slots__ = ("report_number",)
    REPORT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    report_number: int
    def __init__(self, report_number: _Optional[int] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("deadline", "reason")
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    deadline: _timestamp_pb2.Timestamp
    reason: str
    def __init__(self, deadline: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class Undrain(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Resync(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Disconnect(_message.Message):
    __slots__ = ("reconnect_after", "endpoint")
    RECONNECT_AFTER_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    reconnect_after: _duration_pb2.Duration
    endpoint: str
    def __init__(self, reconnect_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., endpoint: _Optional[str] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("welcome", "assignment", "heartbeat_ack", "cancel", "report_ack", "drain", "undrain", "resync", "disconnect")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_ACK_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    REPORT_ACK_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    UNDRAIN_FIELD_NUMBER: _ClassVar[int]
    RESYNC_FIELD_NUMBER: _ClassVar[int]
    DISCONNECT_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    assignment: _assignment_pb2.Assignment
    heartbeat_ack: HeartbeatAck
    cancel: _assignment_pb2.Cancel
    report_ack: ReportAck
    drain: Drain
    undrain: Undrain
    resync: Resync
    disconnect: Disconnect
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., assignment: _Optional[_Union[_assignment_pb2.Assignment, _Mapping]] = ..., heartbeat_ack: _Optional[_Union[HeartbeatAck, _Mapping]] = ..., cancel: _Optional[_Union[_assignment_pb2.Cancel, _Mapping]] = ..., report_ack: _Optional[_Union[ReportAck, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., undrain: _Optional[_Union[Undrain, _Mapping]] = ..., resync: _Optional[_Union[Resync, _Mapping]] = ..., disconnect: _Optional[_Union[Disconnect, _Mapping]] = ...) -> None: ...
