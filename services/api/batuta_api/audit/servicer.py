"""`AuditService`."""

from __future__ import annotations

from batuta_api import pages
from batuta_api.audit import convert
from batuta_api.calls import Calls, Context
from batuta_proto.audit import v1 as audit

SERVICE = "batuta.audit.v1.AuditService"


class AuditServicer(audit.AuditServiceServicer):
    """The trail: parse, call, render."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def ListChanges(self, request: audit.ListChangesRequest, context: Context) -> audit.ListChangesResponse:
        """One page of changes."""
        place = pages.unseal(request.page_token, "changes", request.filter, 1)
        size, sought = pages.size(request.page_size), convert.sought(request.filter)
        before = None if place is None else pages.number(place[0])
        found = await self._calls.ask("ListChanges", lambda work, _: work.changes.page(sought, before, size + 1))
        more = pages.seal("changes", request.filter, [found[size - 1].id]) if len(found) > size else ""
        return audit.ListChangesResponse(changes=map(convert.change, found[:size]), next_page_token=more)

    async def ListRefusals(self, request: audit.ListRefusalsRequest, context: Context) -> audit.ListRefusalsResponse:
        """One page of refusals."""
        place = pages.unseal(request.page_token, "refusals", request.filter, 1)
        size, wanted = pages.size(request.page_size), request.filter
        before = None if place is None else pages.number(place[0])
        found = await self._calls.ask(
            "ListRefusals", lambda work, _: work.audit.page(wanted.subject, wanted.task_id, before, size + 1)
        )
        more = pages.seal("refusals", request.filter, [found[size - 1][0]]) if len(found) > size else ""
        shown = [convert.refusal(each) for _, each in found[:size]]
        return audit.ListRefusalsResponse(refusals=shown, next_page_token=more)
