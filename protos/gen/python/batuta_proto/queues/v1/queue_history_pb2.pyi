from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetQueueHistoryRequest(_message.Message):
    __slots__ = ("queue_id", "start_time", "end_time", "max_points")
    QUEUE_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    MAX_POINTS_FIELD_NUMBER: _ClassVar[int]
    queue_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    max_points: int
    def __init__(self, queue_id: _Optional[str] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., max_points: _Optional[int] = ...) -> None: ...

class GetQueueHistoryResponse(_message.Message):
    __slots__ = ("resolution", "points")
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    resolution: _duration_pb2.Duration
    points: _containers.RepeatedCompositeFieldContainer[QueuePoint]
    def __init__(self, resolution: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., points: _Optional[_Iterable[_Union[QueuePoint, _Mapping]]] = ...) -> None: ...

class QueuePoint(_message.Message):
    __slots__ = ("time_unix_millis", "waiting_mean", "waiting_max", "running_mean", "running_max", "held_mean", "held_max", "started_count", "wait_p50_millis", "wait_max_millis")
    TIME_UNIX_MILLIS_FIELD_NUMBER: _ClassVar[int]
    WAITING_MEAN_FIELD_NUMBER: _ClassVar[int]
    WAITING_MAX_FIELD_NUMBER: _ClassVar[int]
    RUNNING_MEAN_FIELD_NUMBER: _ClassVar[int]
    RUNNING_MAX_FIELD_NUMBER: _ClassVar[int]
    HELD_MEAN_FIELD_NUMBER: _ClassVar[int]
    HELD_MAX_FIELD_NUMBER: _ClassVar[int]
    STARTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    WAIT_P50_MILLIS_FIELD_NUMBER: _ClassVar[int]
    WAIT_MAX_MILLIS_FIELD_NUMBER: _ClassVar[int]
    time_unix_millis: int
    waiting_mean: float
    waiting_max: int
    running_mean: float
    running_max: int
    held_mean: float
    held_max: int
    started_count: int
    wait_p50_millis: int
    wait_max_millis: int
    def __init__(self, time_unix_millis: _Optional[int] = ..., waiting_mean: _Optional[float] = ..., waiting_max: _Optional[int] = ..., running_mean: _Optional[float] = ..., running_max: _Optional[int] = ..., held_mean: _Optional[float] = ..., held_max: _Optional[int] = ..., started_count: _Optional[int] = ..., wait_p50_millis: _Optional[int] = ..., wait_max_millis: _Optional[int] = ...) -> None: ...
