from batuta_proto.tasks.v1 import task_pb2 as _task_pb2
from batuta_proto.tasks.v1 import task_query_pb2 as _task_query_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchTaskRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class WatchTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class WatchTasksRequest(_message.Message):
    __slots__ = ("filter", "resume_token")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    filter: _task_query_pb2.ListTasksRequest.Filter
    resume_token: str
    def __init__(self, filter: _Optional[_Union[_task_query_pb2.ListTasksRequest.Filter, _Mapping]] = ..., resume_token: _Optional[str] = ...) -> None: ...

class WatchTasksResponse(_message.Message):
    __slots__ = ("task", "gone_task_id", "synced", "restarted", "resume_token")
    TASK_FIELD_NUMBER: _ClassVar[int]
    GONE_TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    RESTARTED_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    gone_task_id: str
    synced: bool
    restarted: bool
    resume_token: str
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ..., gone_task_id: _Optional[str] = ..., synced: bool = ..., restarted: bool = ..., resume_token: _Optional[str] = ...) -> None: ...
