"""`UserService`."""

from __future__ import annotations

from batuta_api import pages
from batuta_api.calls import Calls, Context
from batuta_api.moments import stamp
from batuta_api.users import convert, credentials
from batuta_api.users.logins import Logins
from batuta_api.work import Work
from batuta_chassis.caller import Caller, current_caller
from batuta_proto.users import v1 as users
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids

SERVICE = "batuta.users.v1.UserService"


class UserServicer(users.UserServiceServicer):
    """People and machines: parse, call, render."""

    def __init__(self, calls: Calls, logins: Logins, clock: Clock, ids: Ids) -> None:
        self._calls = calls
        self._logins = logins
        self._clock = clock
        self._ids = ids

    async def IssueToken(self, request: users.IssueTokenRequest, context: Context) -> users.IssueTokenResponse:
        """A token for a credential."""
        token, expires = await self._logins.issue(request.access_key, request.secret_key, context.peer())
        return users.IssueTokenResponse(token=token, expire_time=stamp(expires))

    async def GetCaller(self, request: users.GetCallerRequest, context: Context) -> users.GetCallerResponse:
        """Who calls."""
        return convert.render_caller(current_caller())

    async def CreateCredential(
        self, request: users.CreateCredentialRequest, context: Context
    ) -> users.CreateCredentialResponse:
        """Make a credential."""
        roles, now = convert.role_names(request.roles), self._clock.now()

        def create(work: Work, caller: Caller) -> users.CreateCredentialResponse:
            subject = request.subject or caller.subject
            made, secret = credentials.create(work, subject, roles, request.comment, now, self._ids)
            return users.CreateCredentialResponse(credential=convert.render(made), secret_key=secret)

        return await self._calls.change("CreateCredential", request, create)

    async def ListCredentials(
        self, request: users.ListCredentialsRequest, context: Context
    ) -> users.ListCredentialsResponse:
        """One page of credentials."""
        after, size = convert.place(request), pages.size(request.page_size)
        found = await self._calls.ask("ListCredentials", lambda work, _: work.users.page(after, size + 1))
        return convert.render_page(found, size)

    async def RevokeCredential(
        self, request: users.RevokeCredentialRequest, context: Context
    ) -> users.RevokeCredentialResponse:
        """End a credential."""

        def revoke(work: Work, _caller: Caller) -> users.RevokeCredentialResponse:
            ended = credentials.revoke(work, request.access_key, self._clock.now())
            return users.RevokeCredentialResponse(credential=convert.render(ended))

        return await self._calls.change("RevokeCredential", request, revoke)

    async def CreateJoinToken(
        self, request: users.CreateJoinTokenRequest, context: Context
    ) -> users.CreateJoinTokenResponse:
        """Make a join token."""
        ttl, now = convert.ttl(request), self._clock.now()

        def create(work: Work, _caller: Caller) -> users.CreateJoinTokenResponse:
            secret, expires = credentials.create_join_token(work, ttl, request.comment, now, self._ids)
            return users.CreateJoinTokenResponse(join_token=secret, expire_time=stamp(expires))

        return await self._calls.change("CreateJoinToken", request, create)

    async def RedeemJoinToken(
        self, request: users.RedeemJoinTokenRequest, context: Context
    ) -> users.RedeemJoinTokenResponse:
        """Spend a join token."""
        made, secret = await self._logins.join(request.join_token, request.agent_id, context.peer())
        return users.RedeemJoinTokenResponse(credential=convert.render(made), secret_key=secret)
