from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Project(_message.Message):
    __slots__ = ("id", "etag", "display_name", "description", "create_time", "default_output_uri", "update_time", "closed")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_OUTPUT_URI_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    display_name: str
    description: str
    create_time: _timestamp_pb2.Timestamp
    default_output_uri: str
    update_time: _timestamp_pb2.Timestamp
    closed: bool
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ..., display_name: _Optional[str] = ..., description: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., default_output_uri: _Optional[str] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., closed: bool = ...) -> None: ...

class ProjectStatistics(_message.Message):
    __slots__ = ("task_count_by_state", "task_count", "archived_count", "subproject_count", "last_change_time")
    class TaskCountByStateEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    TASK_COUNT_BY_STATE_FIELD_NUMBER: _ClassVar[int]
    TASK_COUNT_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_COUNT_FIELD_NUMBER: _ClassVar[int]
    SUBPROJECT_COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_CHANGE_TIME_FIELD_NUMBER: _ClassVar[int]
    task_count_by_state: _containers.ScalarMap[int, int]
    task_count: int
    archived_count: int
    subproject_count: int
    last_change_time: _timestamp_pb2.Timestamp
    def __init__(self, task_count_by_state: _Optional[_Mapping[int, int]] = ..., task_count: _Optional[int] = ..., archived_count: _Optional[int] = ..., subproject_count: _Optional[int] = ..., last_change_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
