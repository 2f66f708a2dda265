from batuta_proto.types.v1 import resources_pb2 as _resources_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AgentState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AGENT_STATE_UNSPECIFIED: _ClassVar[AgentState]
    AGENT_STATE_ONLINE: _ClassVar[AgentState]
    AGENT_STATE_OFFLINE: _ClassVar[AgentState]
AGENT_STATE_UNSPECIFIED: AgentState
AGENT_STATE_ONLINE: AgentState
AGENT_STATE_OFFLINE: AgentState

class Agent(_message.Message):
    __slots__ = ("id", "labels", "state", "queue_ids", "queue_names", "max_assignments", "assignments", "capacity", "gpus", "telemetry", "host", "version", "connect_time", "last_heartbeat_time", "drain", "draining", "unhealthy_reason", "capabilities")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_IDS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_NAMES_FIELD_NUMBER: _ClassVar[int]
    MAX_ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    TELEMETRY_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CONNECT_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_HEARTBEAT_TIME_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    UNHEALTHY_REASON_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    id: str
    labels: _containers.ScalarMap[str, str]
    state: AgentState
    queue_ids: _containers.RepeatedScalarFieldContainer[str]
    queue_names: _containers.RepeatedScalarFieldContainer[str]
    max_assignments: int
    assignments: _containers.RepeatedCompositeFieldContainer[RunningAssignment]
    capacity: _resources_pb2.Resources
    gpus: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Gpu]
    telemetry: TelemetrySample
    host: str
    version: str
    connect_time: _timestamp_pb2.Timestamp
    last_heartbeat_time: _timestamp_pb2.Timestamp
    drain: AgentDrain
    draining: bool
    unhealthy_reason: str
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., state: _Optional[_Union[AgentState, str]] = ..., queue_ids: _Optional[_Iterable[str]] = ..., queue_names: _Optional[_Iterable[str]] = ..., max_assignments: _Optional[int] = ..., assignments: _Optional[_Iterable[_Union[RunningAssignment, _Mapping]]] = ..., capacity: _Optional[_Union[_resources_pb2.Resources, _Mapping]] = ..., gpus: _Optional[_Iterable[_Union[_resources_pb2.Gpu, _Mapping]]] = ..., telemetry: _Optional[_Union[TelemetrySample, _Mapping]] = ..., host: _Optional[str] = ..., version: _Optional[str] = ..., connect_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., last_heartbeat_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., drain: _Optional[_Union[AgentDrain, _Mapping]] = ..., draining: bool = ..., unhealthy_reason: _Optional[str] = ..., capabilities: _Optional[_Iterable[str]] = ...) -> None: ...

class AgentDrain(_message.Message):
    __slots__ = ("reason", "deadline", "request_time")
    REASON_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TIME_FIELD_NUMBER: _ClassVar[int]
    reason: str
    deadline: _timestamp_pb2.Timestamp
    request_time: _timestamp_pb2.Timestamp
    def __init__(self, reason: _Optional[str] = ..., deadline: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., request_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RunningAssignment(_message.Message):
    __slots__ = ("task_id", "attempt", "accept_time")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_TIME_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    accept_time: _timestamp_pb2.Timestamp
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., accept_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TelemetrySample(_message.Message):
    __slots__ = ("time_unix_millis", "host", "gpus")
    TIME_UNIX_MILLIS_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    time_unix_millis: int
    host: HostSample
    gpus: _containers.RepeatedCompositeFieldContainer[GpuSample]
    def __init__(self, time_unix_millis: _Optional[int] = ..., host: _Optional[_Union[HostSample, _Mapping]] = ..., gpus: _Optional[_Iterable[_Union[GpuSample, _Mapping]]] = ...) -> None: ...

class HostSample(_message.Message):
    __slots__ = ("cpu_percent", "memory_used_bytes", "memory_total_bytes", "disk_free_bytes", "disk_total_bytes", "network_received_bytes_per_second", "network_sent_bytes_per_second")
    CPU_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    NETWORK_RECEIVED_BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    NETWORK_SENT_BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    cpu_percent: float
    memory_used_bytes: int
    memory_total_bytes: int
    disk_free_bytes: int
    disk_total_bytes: int
    network_received_bytes_per_second: int
    network_sent_bytes_per_second: int
    def __init__(self, cpu_percent: _Optional[float] = ..., memory_used_bytes: _Optional[int] = ..., memory_total_bytes: _Optional[int] = ..., disk_free_bytes: _Optional[int] = ..., disk_total_bytes: _Optional[int] = ..., network_received_bytes_per_second: _Optional[int] = ..., network_sent_bytes_per_second: _Optional[int] = ...) -> None: ...

class GpuSample(_message.Message):
    __slots__ = ("uuid", "mig_uuid", "utilization_percent", "memory_used_bytes", "memory_total_bytes", "power_milliwatts", "temperature_celsius")
    UUID_FIELD_NUMBER: _ClassVar[int]
    MIG_UUID_FIELD_NUMBER: _ClassVar[int]
    UTILIZATION_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    POWER_MILLIWATTS_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_CELSIUS_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    mig_uuid: str
    utilization_percent: int
    memory_used_bytes: int
    memory_total_bytes: int
    power_milliwatts: int
    temperature_celsius: int
    def __init__(self, uuid: _Optional[str] = ..., mig_uuid: _Optional[str] = ..., utilization_percent: _Optional[int] = ..., memory_used_bytes: _Optional[int] = ..., memory_total_bytes: _Optional[int] = ..., power_milliwatts: _Optional[int] = ..., temperature_celsius: _Optional[int] = ...) -> None: ...
