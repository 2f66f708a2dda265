from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttemptPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTEMPT_PHASE_UNSPECIFIED: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_OFFERED: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_ACCEPTED: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_PREPARING: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_RUNNING: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_FINISHING: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_SUCCEEDED: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_FAILED: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_CANCELLED: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_REJECTED: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_LOST: _ClassVar[AttemptPhase]

class TailKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TAIL_KIND_UNSPECIFIED: _ClassVar[TailKind]
    TAIL_KIND_LOG: _ClassVar[TailKind]
    TAIL_KIND_SCALARS: _ClassVar[TailKind]
ATTEMPT_PHASE_UNSPECIFIED: AttemptPhase
ATTEMPT_PHASE_OFFERED: AttemptPhase
ATTEMPT_PHASE_ACCEPTED: AttemptPhase
ATTEMPT_PHASE_PREPARING: AttemptPhase
ATTEMPT_PHASE_RUNNING: AttemptPhase
ATTEMPT_PHASE_FINISHING: AttemptPhase
ATTEMPT_PHASE_SUCCEEDED: AttemptPhase
ATTEMPT_PHASE_FAILED: AttemptPhase
ATTEMPT_PHASE_CANCELLED: AttemptPhase
ATTEMPT_PHASE_REJECTED: AttemptPhase
ATTEMPT_PHASE_LOST: AttemptPhase
TAIL_KIND_UNSPECIFIED: TailKind
TAIL_KIND_LOG: TailKind
TAIL_KIND_SCALARS: TailKind

class ProducerTail(_message.Message):
    __slots__ = ("producer", "kind", "end")
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    producer: str
    kind: TailKind
    end: int
    def __init__(self, producer: _Optional[str] = ..., kind: _Optional[_Union[TailKind, str]] = ..., end: _Optional[int] = ...) -> None: ...
