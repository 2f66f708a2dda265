from batuta_proto.queues.v1 import queue_pb2 as _queue_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MoveEntryRequest(_message.Message):
    __slots__ = ("entry_id", "queue_id", "first", "last", "before_entry_id")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    BEFORE_ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    queue_id: str
    first: bool
    last: bool
    before_entry_id: str
    def __init__(self, entry_id: _Optional[str] = ..., queue_id: _Optional[str] = ..., first: bool = ..., last: bool = ..., before_entry_id: _Optional[str] = ...) -> None: ...

class MoveEntryResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: _queue_pb2.Entry
    def __init__(self, entry: _Optional[_Union[_queue_pb2.Entry, _Mapping]] = ...) -> None: ...
