"""`UserService`."""

from __future__ import annotations

from batuta_api import pages
from batuta_api.calls import Calls, Context
from batuta_api.moments import stamp
from batuta_api.users import convert, convert_people, credentials, people
from batuta_api.users.agent_certificates import AgentCertificates
from batuta_api.users.logins import Logins
from batuta_api.users.password_logins import PasswordLogins
from batuta_api.work import Work
from batuta_chassis.caller import Caller, current_caller
from batuta_chassis.peer import peer_of
from batuta_proto.users import v1 as users
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids

SERVICE = "batuta.users.v1.UserService"


class UserServicer(users.UserServiceServicer):
    """People and machines: parse, call, render."""

    def __init__(
        self,
        calls: Calls,
        logins: Logins,
        passwords: PasswordLogins,
        certificates: AgentCertificates,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._calls = calls
        self._logins = logins
        self._certificates = certificates
        self._passwords = passwords
        self._clock = clock
        self._ids = ids

    async def IssueToken(self, request: users.IssueTokenRequest, context: Context) -> users.IssueTokenResponse:
        """A token for a credential."""
        token, expires = await self._logins.issue(request.access_key, request.secret_key, peer_of(context))
        return users.IssueTokenResponse(token=token, expire_time=stamp(expires))

    async def LogIn(self, request: users.LogInRequest, context: Context) -> users.LogInResponse:
        """A token for a password."""
        token, expires = await self._passwords.issue(request.user_name, request.password, peer_of(context))
        return users.LogInResponse(token=token, expire_time=stamp(expires))

    async def IssueCertificate(
        self, request: users.IssueCertificateRequest, context: Context
    ) -> users.IssueCertificateResponse:
        """A certificate for an agent."""
        keys = request.access_key, request.secret_key
        chain, expires = await self._certificates.issue(*keys, request.certificate_request, context.peer())
        return users.IssueCertificateResponse(certificate_chain=chain, expire_time=stamp(expires))

    async def GetCaller(self, request: users.GetCallerRequest, context: Context) -> users.GetCallerResponse:
        """Who calls."""
        return convert.render_caller(current_caller())

    async def CreateUser(self, request: users.CreateUserRequest, context: Context) -> users.CreateUserResponse:
        """Make a user."""
        role, now = convert_people.role(request.role), self._clock.now()

        def create(work: Work, _caller: Caller) -> users.CreateUserResponse:
            made = people.create(work, request.user_name, role, request.display_name, now)
            return users.CreateUserResponse(user=convert_people.render(made))

        return await self._calls.change("CreateUser", request, create)

    async def GetUser(self, request: users.GetUserRequest, context: Context) -> users.GetUserResponse:
        """One user."""
        found = await self._calls.ask("GetUser", lambda work, _: people.find(work, request.user_name))
        return users.GetUserResponse(user=convert_people.render(found))

    async def ListUsers(self, request: users.ListUsersRequest, context: Context) -> users.ListUsersResponse:
        """One page of users."""
        after, size = convert_people.place(request), pages.size(request.page_size)
        found = await self._calls.ask("ListUsers", lambda work, _: work.people.page(after, size + 1))
        return convert_people.render_page(found, size)

    async def UpdateUser(self, request: users.UpdateUserRequest, context: Context) -> users.UpdateUserResponse:
        """Change a user."""
        name, role = convert_people.edits(request)

        def edit(work: Work, _caller: Caller) -> users.UpdateUserResponse:
            changed = people.edit(work, request.user_name, request.etag, name, role, self._clock.now())
            return users.UpdateUserResponse(user=convert_people.render(changed))

        return await self._calls.change("UpdateUser", request, edit)

    async def DisableUser(self, request: users.DisableUserRequest, context: Context) -> users.DisableUserResponse:
        """Take a user's access away."""

        def disable(work: Work, _caller: Caller) -> users.DisableUserResponse:
            changed = people.disable(work, request.user_name, self._clock.now())
            return users.DisableUserResponse(user=convert_people.render(changed))

        return await self._calls.change("DisableUser", request, disable)

    async def EnableUser(self, request: users.EnableUserRequest, context: Context) -> users.EnableUserResponse:
        """Give a user's access back."""

        def enable(work: Work, _caller: Caller) -> users.EnableUserResponse:
            return users.EnableUserResponse(user=convert_people.render(people.enable(work, request.user_name)))

        return await self._calls.change("EnableUser", request, enable)

    async def SetPassword(self, request: users.SetPasswordRequest, context: Context) -> users.SetPasswordResponse:
        """Set a password."""
        caller = current_caller()
        name, current = request.user_name or caller.subject, request.current_password
        changed = await self._passwords.set(
            caller, name, request.password, current, peer_of(context), self._calls.noting("SetPassword", request)
        )
        return users.SetPasswordResponse(user=convert_people.render(changed))

    async def CreateCredential(
        self, request: users.CreateCredentialRequest, context: Context
    ) -> users.CreateCredentialResponse:
        """Make a credential."""

        def create(work: Work, caller: Caller) -> users.CreateCredentialResponse:
            wanted = convert.wanted(request, caller)
            made, secret = credentials.create_for(work, caller, wanted, self._clock.now(), self._ids)
            return users.CreateCredentialResponse(credential=convert.render(made), secret_key=secret)

        return await self._calls.change("CreateCredential", request, create)

    async def ListCredentials(
        self, request: users.ListCredentialsRequest, context: Context
    ) -> users.ListCredentialsResponse:
        """One page of credentials."""
        after, size = convert.place(request), pages.size(request.page_size)
        found = await self._calls.ask(
            "ListCredentials",
            lambda work, caller: credentials.page(work, caller, after, size + 1, request.subject),
        )
        return convert.render_page(found, size, request.subject)

    async def RevokeCredential(
        self, request: users.RevokeCredentialRequest, context: Context
    ) -> users.RevokeCredentialResponse:
        """End a credential."""

        def revoke(work: Work, caller: Caller) -> users.RevokeCredentialResponse:
            ended = credentials.revoke(work, caller, request.access_key, self._clock.now())
            return users.RevokeCredentialResponse(credential=convert.render(ended))

        return await self._calls.change("RevokeCredential", request, revoke)

    async def CreateJoinToken(
        self, request: users.CreateJoinTokenRequest, context: Context
    ) -> users.CreateJoinTokenResponse:
        """Make a join token."""
        ttl, now = convert.join_ttl(request), self._clock.now()

        def create(work: Work, _caller: Caller) -> users.CreateJoinTokenResponse:
            secret, expires = credentials.create_join_token(work, ttl, request.comment, now, self._ids)
            return users.CreateJoinTokenResponse(join_token=secret, expire_time=stamp(expires))

        return await self._calls.change("CreateJoinToken", request, create)

    async def RedeemJoinToken(
        self, request: users.RedeemJoinTokenRequest, context: Context
    ) -> users.RedeemJoinTokenResponse:
        """Spend a join token."""
        made, secret = await self._logins.join(
            request.join_token, request.agent_id, peer_of(context), self._calls.noting("RedeemJoinToken", request)
        )
        return users.RedeemJoinTokenResponse(credential=convert.render(made), secret_key=secret)
