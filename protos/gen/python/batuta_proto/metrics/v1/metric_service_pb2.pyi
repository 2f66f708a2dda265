from batuta_proto.metrics.v1 import scalar_pb2 as _scalar_pb2
from batuta_proto.types.v1 import access_pb2 as _access_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AppendScalarsRequest(_message.Message):
    __slots__ = ("task_id", "attempt", "producer", "first_sequence", "last_sequence", "columns")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    producer: str
    first_sequence: int
    last_sequence: int
    columns: _containers.RepeatedCompositeFieldContainer[_scalar_pb2.ScalarColumn]
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., producer: _Optional[str] = ..., first_sequence: _Optional[int] = ..., last_sequence: _Optional[int] = ..., columns: _Optional[_Iterable[_Union[_scalar_pb2.ScalarColumn, _Mapping]]] = ...) -> None: ...

class AppendScalarsResponse(_message.Message):
    __slots__ = ("committed_sequence",)
    COMMITTED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    committed_sequence: int
    def __init__(self, committed_sequence: _Optional[int] = ...) -> None: ...

class ListScalarsRequest(_message.Message):
    __slots__ = ("task_id", "page_size", "page_token")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    page_size: int
    page_token: str
    def __init__(self, task_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListScalarsResponse(_message.Message):
    __slots__ = ("scalars", "next_page_token")
    SCALARS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    scalars: _containers.RepeatedCompositeFieldContainer[_scalar_pb2.ScalarSummary]
    next_page_token: str
    def __init__(self, scalars: _Optional[_Iterable[_Union[_scalar_pb2.ScalarSummary, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ReadScalarsRequest(_message.Message):
    __slots__ = ("task_id", "metric", "variant", "follow", "after_position")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    AFTER_POSITION_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    metric: str
    variant: str
    follow: bool
    after_position: int
    def __init__(self, task_id: _Optional[str] = ..., metric: _Optional[str] = ..., variant: _Optional[str] = ..., follow: bool = ..., after_position: _Optional[int] = ...) -> None: ...

class ReadScalarsResponse(_message.Message):
    __slots__ = ("columns", "position", "synced")
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    columns: _containers.RepeatedCompositeFieldContainer[_scalar_pb2.ScalarColumn]
    position: int
    synced: bool
    def __init__(self, columns: _Optional[_Iterable[_Union[_scalar_pb2.ScalarColumn, _Mapping]]] = ..., position: _Optional[int] = ..., synced: bool = ...) -> None: ...
