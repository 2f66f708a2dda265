from batuta_proto.queues.v1 import queue_pb2 as _queue_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UpdateQueueRequest(_message.Message):
    __slots__ = ("queue", "update_mask", "request_id")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    queue: _queue_pb2.Queue
    update_mask: _field_mask_pb2.FieldMask
    request_id: str
    def __init__(self, queue: _Optional[_Union[_queue_pb2.Queue, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class UpdateQueueResponse(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: _queue_pb2.Queue
    def __init__(self, queue: _Optional[_Union[_queue_pb2.Queue, _Mapping]] = ...) -> None: ...

class DeleteQueueRequest(_message.Message):
    __slots__ = ("queue_id", "force", "etag", "request_id")
    QUEUE_ID_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    queue_id: str
    force: bool
    etag: str
    request_id: str
    def __init__(self, queue_id: _Optional[str] = ..., force: bool = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteQueueResponse(_message.Message):
    __slots__ = ("removed_count", "running_count")
    REMOVED_COUNT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_COUNT_FIELD_NUMBER: _ClassVar[int]
    removed_count: int
    running_count: int
    def __init__(self, removed_count: _Optional[int] = ..., running_count: _Optional[int] = ...) -> None: ...

class ClearQueueRequest(_message.Message):
    __slots__ = ("queue_id", "max_entries")
    QUEUE_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    queue_id: str
    max_entries: int
    def __init__(self, queue_id: _Optional[str] = ..., max_entries: _Optional[int] = ...) -> None: ...

class ClearQueueResponse(_message.Message):
    __slots__ = ("removed_count", "more")
    REMOVED_COUNT_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    removed_count: int
    more: bool
    def __init__(self, removed_count: _Optional[int] = ..., more: bool = ...) -> None: ...

class RemoveEntryRequest(_message.Message):
    __slots__ = ("entry_id",)
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    def __init__(self, entry_id: _Optional[str] = ...) -> None: ...

class RemoveEntryResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: _queue_pb2.Entry
    def __init__(self, entry: _Optional[_Union[_queue_pb2.Entry, _Mapping]] = ...) -> None: ...
