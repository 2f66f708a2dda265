from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LeasePolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEASE_POLICY_UNSPECIFIED: _ClassVar[LeasePolicy]
    LEASE_POLICY_STRICT: _ClassVar[LeasePolicy]
    LEASE_POLICY_FAST: _ClassVar[LeasePolicy]
    LEASE_POLICY_KEEP: _ClassVar[LeasePolicy]
LEASE_POLICY_UNSPECIFIED: LeasePolicy
LEASE_POLICY_STRICT: LeasePolicy
LEASE_POLICY_FAST: LeasePolicy
LEASE_POLICY_KEEP: LeasePolicy

class RetryPolicy(_message.Message):
    __slots__ = ("lease_policy", "max_infrastructure_losses", "max_failures", "time_limit")
    LEASE_POLICY_FIELD_NUMBER: _ClassVar[int]
    MAX_INFRASTRUCTURE_LOSSES_FIELD_NUMBER: _ClassVar[int]
    MAX_FAILURES_FIELD_NUMBER: _ClassVar[int]
    TIME_LIMIT_FIELD_NUMBER: _ClassVar[int]
    lease_policy: LeasePolicy
    max_infrastructure_losses: int
    max_failures: int
    time_limit: _duration_pb2.Duration
    def __init__(self, lease_policy: _Optional[_Union[LeasePolicy, str]] = ..., max_infrastructure_losses: _Optional[int] = ..., max_failures: _Optional[int] = ..., time_limit: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...
