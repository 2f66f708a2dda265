from batuta_proto.tasks.v1 import task_pb2 as _task_pb2
from batuta_proto.tasks.v1 import task_lifecycle_pb2 as _task_lifecycle_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ArchiveTaskRequest(_message.Message):
    __slots__ = ("task_id", "etag", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    etag: str
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ArchiveTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class UnarchiveTaskRequest(_message.Message):
    __slots__ = ("task_id", "etag", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    etag: str
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class UnarchiveTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class DeleteTaskRequest(_message.Message):
    __slots__ = ("task_id", "etag", "force", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    etag: str
    force: bool
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., etag: _Optional[str] = ..., force: bool = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class UndeleteTaskRequest(_message.Message):
    __slots__ = ("task_id", "etag", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    etag: str
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class UndeleteTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class MoveTaskRequest(_message.Message):
    __slots__ = ("task_id", "etag", "project_name", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    PROJECT_NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    etag: str
    project_name: str
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., etag: _Optional[str] = ..., project_name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class MoveTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class TagTaskRequest(_message.Message):
    __slots__ = ("task_id", "etag", "add", "remove", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    ADD_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    etag: str
    add: _containers.RepeatedScalarFieldContainer[str]
    remove: _containers.RepeatedScalarFieldContainer[str]
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., etag: _Optional[str] = ..., add: _Optional[_Iterable[str]] = ..., remove: _Optional[_Iterable[str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class TagTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class TaskChange(_message.Message):
    __slots__ = ("enqueue", "dequeue", "reset", "abort", "publish", "archive", "unarchive", "delete", "undelete", "move", "tag")
    ENQUEUE_FIELD_NUMBER: _ClassVar[int]
    DEQUEUE_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    ABORT_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    UNARCHIVE_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    UNDELETE_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    enqueue: _task_lifecycle_pb2.EnqueueTaskRequest
    dequeue: _task_lifecycle_pb2.DequeueTaskRequest
    reset: _task_lifecycle_pb2.ResetTaskRequest
    abort: _task_lifecycle_pb2.AbortTaskRequest
    publish: _task_lifecycle_pb2.PublishTaskRequest
    archive: ArchiveTaskRequest
    unarchive: UnarchiveTaskRequest
    delete: DeleteTaskRequest
    undelete: UndeleteTaskRequest
    move: MoveTaskRequest
    tag: TagTaskRequest
    def __init__(self, enqueue: _Optional[_Union[_task_lifecycle_pb2.EnqueueTaskRequest, _Mapping]] = ..., dequeue: _Optional[_Union[_task_lifecycle_pb2.DequeueTaskRequest, _Mapping]] = ..., reset: _Optional[_Union[_task_lifecycle_pb2.ResetTaskRequest, _Mapping]] = ..., abort: _Optional[_Union[_task_lifecycle_pb2.AbortTaskRequest, _Mapping]] = ..., publish: _Optional[_Union[_task_lifecycle_pb2.PublishTaskRequest, _Mapping]] = ..., archive: _Optional[_Union[ArchiveTaskRequest, _Mapping]] = ..., unarchive: _Optional[_Union[UnarchiveTaskRequest, _Mapping]] = ..., delete: _Optional[_Union[DeleteTaskRequest, _Mapping]] = ..., undelete: _Optional[_Union[UndeleteTaskRequest, _Mapping]] = ..., move: _Optional[_Union[MoveTaskRequest, _Mapping]] = ..., tag: _Optional[_Union[TagTaskRequest, _Mapping]] = ...) -> None: ...

class BatchChangeTasksRequest(_message.Message):
    __slots__ = ("changes", "request_id")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[TaskChange]
    request_id: str
    def __init__(self, changes: _Optional[_Iterable[_Union[TaskChange, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class BatchChangeTasksResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[TaskResult]
    def __init__(self, results: _Optional[_Iterable[_Union[TaskResult, _Mapping]]] = ...) -> None: ...

class TaskResult(_message.Message):
    __slots__ = ("status", "task")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    task: _task_pb2.Task
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...
