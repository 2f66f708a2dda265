from batuta_proto.queues.v1 import queue_pb2 as _queue_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubmitEntryRequest(_message.Message):
    __slots__ = ("entry_id", "envelope", "payload", "payload_media_type", "traceparent")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    envelope: _queue_pb2.SchedulingEnvelope
    payload: bytes
    payload_media_type: str
    traceparent: str
    def __init__(self, entry_id: _Optional[str] = ..., envelope: _Optional[_Union[_queue_pb2.SchedulingEnvelope, _Mapping]] = ..., payload: _Optional[bytes] = ..., payload_media_type: _Optional[str] = ..., traceparent: _Optional[str] = ...) -> None: ...

class SubmitEntryResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: _queue_pb2.Entry
    def __init__(self, entry: _Optional[_Union[_queue_pb2.Entry, _Mapping]] = ...) -> None: ...

class BatchSubmitEntriesRequest(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[SubmitEntryRequest]
    def __init__(self, entries: _Optional[_Iterable[_Union[SubmitEntryRequest, _Mapping]]] = ...) -> None: ...

class BatchSubmitEntriesResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SubmitResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SubmitResult, _Mapping]]] = ...) -> None: ...

class SubmitResult(_message.Message):
    __slots__ = ("status", "state")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    state: _queue_pb2.EntryState
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., state: _Optional[_Union[_queue_pb2.EntryState, str]] = ...) -> None: ...

class BatchGetEntriesRequest(_message.Message):
    __slots__ = ("entry_ids",)
    ENTRY_IDS_FIELD_NUMBER: _ClassVar[int]
    entry_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, entry_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class BatchGetEntriesResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_queue_pb2.EntryEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[_queue_pb2.EntryEvent, _Mapping]]] = ...) -> None: ...

class ReleaseEntryRequest(_message.Message):
    __slots__ = ("entry_id",)
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    def __init__(self, entry_id: _Optional[str] = ...) -> None: ...

class ReleaseEntryResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: _queue_pb2.Entry
    def __init__(self, entry: _Optional[_Union[_queue_pb2.Entry, _Mapping]] = ...) -> None: ...

class WithdrawEntryRequest(_message.Message):
    __slots__ = ("entry_id", "grace")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    grace: _duration_pb2.Duration
    def __init__(self, entry_id: _Optional[str] = ..., grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WithdrawEntryResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: _queue_pb2.Entry
    def __init__(self, entry: _Optional[_Union[_queue_pb2.Entry, _Mapping]] = ...) -> None: ...
