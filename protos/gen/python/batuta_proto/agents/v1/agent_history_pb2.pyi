from batuta_proto.agents.v1 import agent_pb2 as _agent_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetAgentHistoryRequest(_message.Message):
    __slots__ = ("agent_id", "start_time", "end_time", "max_points")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    MAX_POINTS_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    max_points: int
    def __init__(self, agent_id: _Optional[str] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., max_points: _Optional[int] = ...) -> None: ...

class GetAgentHistoryResponse(_message.Message):
    __slots__ = ("resolution", "points")
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    resolution: _duration_pb2.Duration
    points: _containers.RepeatedCompositeFieldContainer[AgentPoint]
    def __init__(self, resolution: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., points: _Optional[_Iterable[_Union[AgentPoint, _Mapping]]] = ...) -> None: ...

class AgentPoint(_message.Message):
    __slots__ = ("time_unix_millis", "sample_count", "mean", "max", "gpus")
    TIME_UNIX_MILLIS_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    time_unix_millis: int
    sample_count: int
    mean: _agent_pb2.HostSample
    max: _agent_pb2.HostSample
    gpus: _containers.RepeatedCompositeFieldContainer[GpuPoint]
    def __init__(self, time_unix_millis: _Optional[int] = ..., sample_count: _Optional[int] = ..., mean: _Optional[_Union[_agent_pb2.HostSample, _Mapping]] = ..., max: _Optional[_Union[_agent_pb2.HostSample, _Mapping]] = ..., gpus: _Optional[_Iterable[_Union[GpuPoint, _Mapping]]] = ...) -> None: ...

class GpuPoint(_message.Message):
    __slots__ = ("mean", "max")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    mean: _agent_pb2.GpuSample
    max: _agent_pb2.GpuSample
    def __init__(self, mean: _Optional[_Union[_agent_pb2.GpuSample, _Mapping]] = ..., max: _Optional[_Union[_agent_pb2.GpuSample, _Mapping]] = ...) -> None: ...
