from batuta_proto.types.v1 import access_pb2 as _access_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProjectMember(_message.Message):
    __slots__ = ("user_name", "role")
    USER_NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    user_name: str
    role: _access_pb2.Role
    def __init__(self, user_name: _Optional[str] = ..., role: _Optional[_Union[_access_pb2.Role, str]] = ...) -> None: ...

class ProjectAccess(_message.Message):
    __slots__ = ("closed", "members", "closed_above")
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    CLOSED_ABOVE_FIELD_NUMBER: _ClassVar[int]
    closed: bool
    members: _containers.RepeatedCompositeFieldContainer[ProjectMember]
    closed_above: str
    def __init__(self, closed: bool = ..., members: _Optional[_Iterable[_Union[ProjectMember, _Mapping]]] = ..., closed_above: _Optional[str] = ...) -> None: ...

class GetProjectAccessRequest(_message.Message):
    __slots__ = ("project_id",)
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    def __init__(self, project_id: _Optional[str] = ...) -> None: ...

class GetProjectAccessResponse(_message.Message):
    __slots__ = ("access",)
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    access: ProjectAccess
    def __init__(self, access: _Optional[_Union[ProjectAccess, _Mapping]] = ...) -> None: ...

class SetProjectAccessRequest(_message.Message):
    __slots__ = ("project_id", "closed", "members", "etag", "request_id")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    closed: bool
    members: _containers.RepeatedCompositeFieldContainer[ProjectMember]
    etag: str
    request_id: str
    def __init__(self, project_id: _Optional[str] = ..., closed: bool = ..., members: _Optional[_Iterable[_Union[ProjectMember, _Mapping]]] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class SetProjectAccessResponse(_message.Message):
    __slots__ = ("access",)
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    access: ProjectAccess
    def __init__(self, access: _Optional[_Union[ProjectAccess, _Mapping]] = ...) -> None: ...
