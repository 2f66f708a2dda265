from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class ScalarColumn(_message.Message):
    __slots__ = ("metric", "variant", "iterations", "time_unix_millis", "values")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MILLIS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    metric: str
    variant: str
    iterations: _containers.RepeatedScalarFieldContainer[int]
    time_unix_millis: _containers.RepeatedScalarFieldContainer[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, metric: _Optional[str] = ..., variant: _Optional[str] = ..., iterations: _Optional[_Iterable[int]] = ..., time_unix_millis: _Optional[_Iterable[int]] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class ScalarSummary(_message.Message):
    __slots__ = ("metric", "variant", "count", "last_value", "last_iteration", "min_value", "min_iteration", "max_value", "max_iteration")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_VALUE_FIELD_NUMBER: _ClassVar[int]
    LAST_ITERATION_FIELD_NUMBER: _ClassVar[int]
    MIN_VALUE_FIELD_NUMBER: _ClassVar[int]
    MIN_ITERATION_FIELD_NUMBER: _ClassVar[int]
    MAX_VALUE_FIELD_NUMBER: _ClassVar[int]
    MAX_ITERATION_FIELD_NUMBER: _ClassVar[int]
    metric: str
    variant: str
    count: int
    last_value: float
    last_iteration: int
    min_value: float
    min_iteration: int
    max_value: float
    max_iteration: int
    def __init__(self, metric: _Optional[str] = ..., variant: _Optional[str] = ..., count: _Optional[int] = ..., last_value: _Optional[float] = ..., last_iteration: _Optional[int] = ..., min_value: _Optional[float] = ..., min_iteration: _Optional[int] = ..., max_value: _Optional[float] = ..., max_iteration: _Optional[int] = ...) -> None: ...
