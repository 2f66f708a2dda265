from batuta_proto.queues.v1 import queue_pb2 as _queue_pb2
from batuta_proto.queues.v1 import queue_care_pb2 as _queue_care_pb2
from batuta_proto.queues.v1 import queue_entries_pb2 as _queue_entries_pb2
from batuta_proto.queues.v1 import queue_history_pb2 as _queue_history_pb2
from batuta_proto.queues.v1 import queue_order_pb2 as _queue_order_pb2
from batuta_proto.queues.v1 import queue_pause_pb2 as _queue_pause_pb2
from batuta_proto.types.v1 import access_pb2 as _access_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateQueueRequest(_message.Message):
    __slots__ = ("display_name", "spec", "description", "request_id")
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    display_name: str
    spec: _queue_pb2.QueueSpec
    description: str
    request_id: str
    def __init__(self, display_name: _Optional[str] = ..., spec: _Optional[_Union[_queue_pb2.QueueSpec, _Mapping]] = ..., description: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateQueueResponse(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: _queue_pb2.Queue
    def __init__(self, queue: _Optional[_Union[_queue_pb2.Queue, _Mapping]] = ...) -> None: ...

class GetQueueRequest(_message.Message):
    __slots__ = ("queue_id", "display_name")
    QUEUE_ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    queue_id: str
    display_name: str
    def __init__(self, queue_id: _Optional[str] = ..., display_name: _Optional[str] = ...) -> None: ...

class GetQueueResponse(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: _queue_pb2.Queue
    def __init__(self, queue: _Optional[_Union[_queue_pb2.Queue, _Mapping]] = ...) -> None: ...

class ListQueuesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListQueuesResponse(_message.Message):
    __slots__ = ("queues", "next_page_token")
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    queues: _containers.RepeatedCompositeFieldContainer[_queue_pb2.Queue]
    next_page_token: str
    def __init__(self, queues: _Optional[_Iterable[_Union[_queue_pb2.Queue, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListEntriesRequest(_message.Message):
    __slots__ = ("queue_id", "page_size", "page_token", "states")
    QUEUE_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    queue_id: str
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[_queue_pb2.EntryState]
    def __init__(self, queue_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_queue_pb2.EntryState, str]]] = ...) -> None: ...

class ListEntriesResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_queue_pb2.Entry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[_queue_pb2.Entry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchAttemptsRequest(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: _queue_pb2.Cursor
    def __init__(self, after: _Optional[_Union[_queue_pb2.Cursor, _Mapping]] = ...) -> None: ...

class WatchAttemptsResponse(_message.Message):
    __slots__ = ("events", "cursor", "snapshot", "synced")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_queue_pb2.EntryEvent]
    cursor: _queue_pb2.Cursor
    snapshot: bool
    synced: bool
    def __init__(self, events: _Optional[_Iterable[_Union[_queue_pb2.EntryEvent, _Mapping]]] = ..., cursor: _Optional[_Union[_queue_pb2.Cursor, _Mapping]] = ..., snapshot: bool = ..., synced: bool = ...) -> None: ...
