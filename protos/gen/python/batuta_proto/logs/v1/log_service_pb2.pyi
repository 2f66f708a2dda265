from batuta_proto.types.v1 import access_pb2 as _access_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AppendLogRequest(_message.Message):
    __slots__ = ("task_id", "attempt", "producer", "offset", "data", "time_unix_millis")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MILLIS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    producer: str
    offset: int
    data: bytes
    time_unix_millis: int
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., producer: _Optional[str] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., time_unix_millis: _Optional[int] = ...) -> None: ...

class AppendLogResponse(_message.Message):
    __slots__ = ("committed_offset", "flush_interval")
    COMMITTED_OFFSET_FIELD_NUMBER: _ClassVar[int]
    FLUSH_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    committed_offset: int
    flush_interval: _duration_pb2.Duration
    def __init__(self, committed_offset: _Optional[int] = ..., flush_interval: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ReadLogRequest(_message.Message):
    __slots__ = ("task_id", "attempt", "follow", "after_position", "tail_bytes")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    AFTER_POSITION_FIELD_NUMBER: _ClassVar[int]
    TAIL_BYTES_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    follow: bool
    after_position: int
    tail_bytes: int
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., follow: bool = ..., after_position: _Optional[int] = ..., tail_bytes: _Optional[int] = ...) -> None: ...

class ReadLogResponse(_message.Message):
    __slots__ = ("chunks", "position", "synced")
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    chunks: _containers.RepeatedCompositeFieldContainer[LogChunk]
    position: int
    synced: bool
    def __init__(self, chunks: _Optional[_Iterable[_Union[LogChunk, _Mapping]]] = ..., position: _Optional[int] = ..., synced: bool = ...) -> None: ...

class LogChunk(_message.Message):
    __slots__ = ("attempt", "producer", "offset", "data", "time_unix_millis")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MILLIS_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    producer: str
    offset: int
    data: bytes
    time_unix_millis: int
    def __init__(self, attempt: _Optional[int] = ..., producer: _Optional[str] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., time_unix_millis: _Optional[int] = ...) -> None: ...
