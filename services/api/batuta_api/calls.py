"""How servicers reach use cases: with the caller, once per request_id, with changes and refusals written down."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import Message

from batuta_api.audit.refusals import Refusals
from batuta_api.audit.store import Refused
from batuta_api.audit.trail import Entry
from batuta_api.work import Work, Works
from batuta_chassis.caller import Caller, current_caller
from batuta_chassis.requests import once
from batuta_rpc.clock import Clock
from batuta_rpc.errors import OtherTask, RpcError, StaleAttempt

if TYPE_CHECKING:  # generic in the type stubs only
    import grpc.aio

    Context = grpc.aio.ServicerContext[Any, Any]
else:
    Context = Any

T = TypeVar("T")
M = TypeVar("M", bound=Message)


class Calls:
    """Runs use cases for the call that is being served."""

    def __init__(self, works: Works, refusals: Refusals, clock: Clock, service: str) -> None:
        """`service` is the full name of the service whose methods these are."""
        self._works = works
        self._refusals = refusals
        self._clock = clock
        self._service = service

    async def change(self, method: str, request: Message, use_case: Callable[[Work, Caller], M], bulk: int = 0) -> M:
        """The answer of a use case that changes something, durable; the stored one for a request made before."""
        caller = current_caller()
        name = f"{self._service}/{method}"
        entry = Entry(self._clock, name, request)

        def change(work: Work) -> M:
            response = use_case(work, caller)
            entry.write(work, response)
            return response

        if "request_id" not in request.DESCRIPTOR.fields_by_name:
            return await self.guarded(method, change, bulk)
        return await self.guarded(
            method, lambda work: once(work.requests, caller.subject, name, request, lambda: change(work))
        )

    def noting(self, method: str, request: Message) -> Callable[[Work], None]:
        """What writes a change that does not go through `change` into the trail, in its transaction."""
        return Entry(self._clock, f"{self._service}/{method}", request).write

    async def guarded(self, method: str, use_case: Callable[[Work], T], bulk: int = 0, *, late: bool = False) -> T:
        """Run a writing use case; a write for a stale attempt or another task is audited, and refused.

        `bulk` and `late` are those of `Database.write`.
        """
        try:
            return await self._works.write(use_case, bulk=bulk, late=late)
        except (StaleAttempt, OtherTask) as error:
            await self._audit(method, error)
            raise

    async def ask(self, method: str, query: Callable[[Work, Caller], T]) -> T:
        """The answer of a query."""
        caller = current_caller()
        try:
            return await self._works.read(lambda work: query(work, caller))
        except (StaleAttempt, OtherTask) as error:
            await self._audit(method, error)
            raise

    async def _audit(self, method: str, error: RpcError) -> None:
        """Keep the refusal, in a transaction of its own: the one that was refused has been undone."""
        caller = current_caller()
        told = error.metadata
        refused = Refused(
            time=self._clock.now(),
            subject=caller.subject,
            method=f"{self._service}/{method}",
            reason=error.reason,
            task_id=told.get("task_id", caller.task_id or ""),
            attempt=int(told.get("attempt", caller.attempt or 0)),
            message=error.message[:1000],
        )
        await self._refusals.note(refused)
