"""The base of all errors that a call can end with, and the register of its subclasses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

REASON_CLASSES: dict[str, type[RpcError]] = {}
CODE_CLASSES: dict[grpc.StatusCode, type[RpcError]] = {}


class RpcError(Exception):
    """A call failed, and the peer said why.

    `reason`     name of a value of `ErrorReason` without its prefix; the code's name when the peer gave none.
    `code`       the gRPC status code.
    `message`    one or two sentences for a person: what is wrong, and what to do next.
    `metadata`   every value that the message mentions, as text.
    `retry_delay`       seconds after which the same call may succeed; None where waiting does not help.
    `field_violations`  (field path, what is wrong with it), for INVALID_ARGUMENT.
    `resource`          (type, name or id) of what is missing or in the way.
    """

    reason: str = ""
    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        retry_delay: float | None = None,
        field_violations: Sequence[tuple[str, str]] = (),
        resource: tuple[str, str] | None = None,
        **metadata: object,
    ) -> None:
        """Keywords beyond the three named ones become `metadata`, as text."""
        super().__init__(message)
        self.message = message
        self.reason = self.reason or self.code.name
        self.metadata = {key: str(value) for key, value in metadata.items()}
        self.retry_delay = retry_delay
        self.field_violations = list(field_violations)
        self.resource = resource

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Enter the class into the table: by its reason, or else as the class of its code."""
        super().__init_subclass__(**kwargs)
        if "reason" in cls.__dict__:
            if cls.reason in REASON_CLASSES:
                raise TypeError(f"two classes claim the reason {cls.reason}")
            REASON_CLASSES[cls.reason] = cls
        elif "code" in cls.__dict__:
            CODE_CLASSES[cls.code] = cls

    @classmethod
    def for_reason(
        cls,
        reason: str,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        retry_delay: float | None = None,
        field_violations: Sequence[tuple[str, str]] = (),
        resource: tuple[str, str] | None = None,
        **metadata: object,
    ) -> RpcError:
        """Build the error of the class that `reason` stands for.

        An unknown reason (a newer peer's) gives the class of `code`, or `RpcError` itself, and keeps the reason.
        """
        chosen = REASON_CLASSES.get(reason)
        if chosen is None:
            chosen = RpcError if code is None else CODE_CLASSES.get(code, RpcError)
        error = chosen(
            message, retry_delay=retry_delay, field_violations=field_violations, resource=resource, **metadata
        )
        if reason:
            error.reason = reason
        if code is not None:
            error.code = code
        return error
