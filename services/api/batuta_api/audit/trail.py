"""Writes changes down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from batuta_api.audit.changes import Change
from batuta_api.audit.rendering import named, request_text, resource
from batuta_api.work import Work, Works
from batuta_chassis.caller import Caller, current_caller
from batuta_chassis.forward import Failed
from batuta_chassis.peer import current_origin
from batuta_rpc.clock import Clock

_UNTOLD = frozenset({"attempt", "service"})
"""Roles whose changes the history of tasks and entries tells: runs of tasks, and services among each other."""


class Entry:
    """The line of one call. Made where the call is served, since transactions run elsewhere."""

    def __init__(self, clock: Clock, method: str, request: Message) -> None:
        """`method` is the full name."""
        self._clock = clock
        self._method = method
        self._request = request
        self._caller = current_caller()
        self._origin = current_origin()

    def write(self, work: Work, response: Message | None = None) -> None:
        """Write it down in the transaction of the change, if whoever calls belongs into the trail."""
        if _told(self._caller):
            about = named(self._request) if response is None else resource(self._request, response)
            subject = self._caller.subject or f"agent:{about[1]}"  # whoever joins is nobody before
            work.changes.add(self._line(subject, about))

    def line(self) -> Change:
        """What it says before there is an answer."""
        return self._line(self._caller.subject, named(self._request))

    def _line(self, subject: str, about: tuple[str, str]) -> Change:
        return Change(
            time=self._clock.now(),
            subject=subject,
            access_key=self._caller.access_key,
            peer=self._origin.peer[:256],
            client=self._origin.client[:256],
            method=self._method,
            resource_type=about[0],
            resource_id=about[1][:1024],
            request=request_text(self._request),
            request_id=str(getattr(self._request, "request_id", ""))[:64],
        )


def _told(caller: Caller) -> bool:
    return not (caller.roles & _UNTOLD)


class PassedOn:
    """Writes down what is passed on to another service: before, and once more if it failed there."""

    def __init__(self, works: Works, clock: Clock, check: Callable[[Message], Awaitable[None]]) -> None:
        """`check` raises for what the caller may not ask for; that is not written down."""
        self._works = works
        self._check = check
        self._clock = clock

    async def __call__(self, method: str, raw: bytes) -> Failed | None:
        """Note a call. Returns what takes the reason if it fails; None for a call that is not noted.

        Raises as `check` and `Works.write` do: what cannot be written down is not done.
        """
        if not _told(current_caller()):
            return None
        method = method.lstrip("/")
        try:
            request = _request_type(method).FromString(raw)
        except DecodeError:
            return None  # whoever answers it refuses it
        await self._check(request)
        change = Entry(self._clock, method, request).line()
        await self._works.write(lambda work: work.changes.add(change))
        return lambda outcome: self._works.write(
            lambda work: work.changes.add(replace(change, time=self._clock.now(), outcome=outcome))
        )


def _request_type(method: str) -> type[Message]:
    service, _, name = method.rpartition("/")
    described = descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
    return message_factory.GetMessageClass(described.input_type)
