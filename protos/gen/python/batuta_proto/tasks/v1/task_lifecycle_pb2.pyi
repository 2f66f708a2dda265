from batuta_proto.tasks.v1 import task_pb2 as _task_pb2
from batuta_proto.types.v1 import attempt_pb2 as _attempt_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StartTaskRequest(_message.Message):
    __slots__ = ("task_id", "etag", "host", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    etag: str
    host: str
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., etag: _Optional[str] = ..., host: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class StartTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class FinishTaskRequest(_message.Message):
    __slots__ = ("task_id", "attempt", "state", "reason", "message", "exit_code", "signal", "tails")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    TAILS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    state: _task_pb2.TaskState
    reason: str
    message: str
    exit_code: int
    signal: int
    tails: _containers.RepeatedCompositeFieldContainer[_attempt_pb2.ProducerTail]
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., state: _Optional[_Union[_task_pb2.TaskState, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., tails: _Optional[_Iterable[_Union[_attempt_pb2.ProducerTail, _Mapping]]] = ...) -> None: ...

class FinishTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class EnqueueTaskRequest(_message.Message):
    __slots__ = ("task_id", "queue_id", "queue_name", "create_queue", "priority", "etag", "local_attempt", "tails", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_NAME_FIELD_NUMBER: _ClassVar[int]
    CREATE_QUEUE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    LOCAL_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TAILS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    queue_id: str
    queue_name: str
    create_queue: bool
    priority: int
    etag: str
    local_attempt: int
    tails: _containers.RepeatedCompositeFieldContainer[_attempt_pb2.ProducerTail]
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., queue_id: _Optional[str] = ..., queue_name: _Optional[str] = ..., create_queue: bool = ..., priority: _Optional[int] = ..., etag: _Optional[str] = ..., local_attempt: _Optional[int] = ..., tails: _Optional[_Iterable[_Union[_attempt_pb2.ProducerTail, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class EnqueueTaskResponse(_message.Message):
    __slots__ = ("task", "entry_id")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    entry_id: str
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ..., entry_id: _Optional[str] = ...) -> None: ...

class ResetTaskRequest(_message.Message):
    __slots__ = ("task_id", "keep_results", "etag", "local_attempt", "tails", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    KEEP_RESULTS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    LOCAL_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TAILS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    keep_results: bool
    etag: str
    local_attempt: int
    tails: _containers.RepeatedCompositeFieldContainer[_attempt_pb2.ProducerTail]
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., keep_results: bool = ..., etag: _Optional[str] = ..., local_attempt: _Optional[int] = ..., tails: _Optional[_Iterable[_Union[_attempt_pb2.ProducerTail, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class ResetTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class AbortTaskRequest(_message.Message):
    __slots__ = ("task_id", "etag", "message")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    etag: str
    message: str
    def __init__(self, task_id: _Optional[str] = ..., etag: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class AbortTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class DequeueTaskRequest(_message.Message):
    __slots__ = ("task_id", "etag", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    etag: str
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DequeueTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class PublishTaskRequest(_message.Message):
    __slots__ = ("task_id", "etag", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    etag: str
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class PublishTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...
