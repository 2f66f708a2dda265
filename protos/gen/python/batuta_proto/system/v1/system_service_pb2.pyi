from batuta_proto.types.v1 import access_pb2 as _access_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("service", "version", "capabilities", "limits", "dispatch_endpoint")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    service: str
    version: str
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    limits: Limits
    dispatch_endpoint: str
    def __init__(self, service: _Optional[str] = ..., version: _Optional[str] = ..., capabilities: _Optional[_Iterable[str]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., dispatch_endpoint: _Optional[str] = ...) -> None: ...

class ReplaceRevocationsRequest(_message.Message):
    __slots__ = ("access_keys", "epochs")
    ACCESS_KEYS_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    access_keys: _containers.RepeatedScalarFieldContainer[str]
    epochs: _containers.RepeatedCompositeFieldContainer[UserEpoch]
    def __init__(self, access_keys: _Optional[_Iterable[str]] = ..., epochs: _Optional[_Iterable[_Union[UserEpoch, _Mapping]]] = ...) -> None: ...

class UserEpoch(_message.Message):
    __slots__ = ("user_name", "epoch")
    USER_NAME_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    user_name: str
    epoch: int
    def __init__(self, user_name: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

class ReplaceRevocationsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Limits(_message.Message):
    __slots__ = ("message_bytes", "chunk_bytes")
    MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_BYTES_FIELD_NUMBER: _ClassVar[int]
    message_bytes: int
    chunk_bytes: int
    def __init__(self, message_bytes: _Optional[int] = ..., chunk_bytes: _Optional[int] = ...) -> None: ...
