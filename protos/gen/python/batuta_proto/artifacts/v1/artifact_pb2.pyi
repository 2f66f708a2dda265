from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ArtifactKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ARTIFACT_KIND_UNSPECIFIED: _ClassVar[ArtifactKind]
    ARTIFACT_KIND_FILE: _ClassVar[ArtifactKind]
    ARTIFACT_KIND_FOLDER: _ClassVar[ArtifactKind]
    ARTIFACT_KIND_TEXT: _ClassVar[ArtifactKind]
    ARTIFACT_KIND_JSON: _ClassVar[ArtifactKind]
    ARTIFACT_KIND_BYTES: _ClassVar[ArtifactKind]
    ARTIFACT_KIND_ARRAY: _ClassVar[ArtifactKind]
    ARTIFACT_KIND_TABLE: _ClassVar[ArtifactKind]
    ARTIFACT_KIND_IMAGE: _ClassVar[ArtifactKind]
    ARTIFACT_KIND_PICKLE: _ClassVar[ArtifactKind]
ARTIFACT_KIND_UNSPECIFIED: ArtifactKind
ARTIFACT_KIND_FILE: ArtifactKind
ARTIFACT_KIND_FOLDER: ArtifactKind
ARTIFACT_KIND_TEXT: ArtifactKind
ARTIFACT_KIND_JSON: ArtifactKind
ARTIFACT_KIND_BYTES: ArtifactKind
ARTIFACT_KIND_ARRAY: ArtifactKind
ARTIFACT_KIND_TABLE: ArtifactKind
ARTIFACT_KIND_IMAGE: ArtifactKind
ARTIFACT_KIND_PICKLE: ArtifactKind

class Artifact(_message.Message):
    __slots__ = ("id", "task_id", "attempt", "name", "kind", "media_type", "labels", "preview", "size_bytes", "sha256", "uri", "create_time", "expire_time", "creator")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATOR_FIELD_NUMBER: _ClassVar[int]
    id: str
    task_id: str
    attempt: int
    name: str
    kind: ArtifactKind
    media_type: str
    labels: _containers.ScalarMap[str, str]
    preview: str
    size_bytes: int
    sha256: str
    uri: str
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    creator: str
    def __init__(self, id: _Optional[str] = ..., task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., name: _Optional[str] = ..., kind: _Optional[_Union[ArtifactKind, str]] = ..., media_type: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., preview: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., uri: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., creator: _Optional[str] = ...) -> None: ...

class ArtifactFilter(_message.Message):
    __slots__ = ("attempt", "names", "kinds")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    names: _containers.RepeatedScalarFieldContainer[str]
    kinds: _containers.RepeatedScalarFieldContainer[ArtifactKind]
    def __init__(self, attempt: _Optional[int] = ..., names: _Optional[_Iterable[str]] = ..., kinds: _Optional[_Iterable[_Union[ArtifactKind, str]]] = ...) -> None: ...
