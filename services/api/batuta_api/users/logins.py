"""Logging in."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from batuta_api.users import credentials
from batuta_api.users.limits import Failures
from batuta_api.users.model import Credential
from batuta_api.users.user import User
from batuta_api.work import Work, Works
from batuta_chassis.peer import host_of
from batuta_chassis.tokens import USER_TTL, Signer
from batuta_rpc.clock import Clock
from batuta_rpc.errors import CredentialInvalid, JoinTokenInvalid
from batuta_rpc.ids import Ids


class Logins:
    """Gives tokens for credentials, and credentials for join tokens."""

    def __init__(self, works: Works, signer: Signer, clock: Clock, ids: Ids) -> None:
        self._works = works
        self._signer = signer
        self._clock = clock
        self._ids = ids
        self._of_key = Failures(clock)
        # Many people may share an address, so it may fail more often.
        self._of_peer = Failures(clock, burst=200, period=0.2)

    async def issue(self, access_key: str, secret: str, peer: str) -> tuple[str, datetime]:
        """A token and its end. Raises `CredentialInvalid`, `RateLimited`."""
        credential, roles, epoch = await self.check(access_key, secret, peer)
        left = USER_TTL if credential.expire_time is None else min(USER_TTL, credential.expire_time - self._clock.now())
        return self._signer.sign_user(
            credential.subject,
            frozenset(roles),
            left,
            access_key=access_key,
            epoch=epoch,
            agent_id=credential.agent_id,
        )

    async def check(self, access_key: str, secret: str, peer: str) -> tuple[Credential, Collection[str], int]:
        """Whose credential this is, its roles, and the epoch of its user. Raises `CredentialInvalid`, `RateLimited`."""
        host = host_of(peer)
        key = f"{access_key}@{host}"
        self._of_key.check(key)
        self._of_peer.check(host)
        found, user = await self._works.read(lambda work: _holder(work, access_key))
        now = self._clock.now()
        try:
            credential, roles = credentials.check_login(found, user, secret, now)
        except CredentialInvalid:
            self._of_key.add(key)
            self._of_peer.add(host)
            raise
        if credentials.use_is_due(credential, now):
            await self._works.write(lambda work: credentials.note_use(work, access_key, now))
        return credential, roles, 0 if user is None else user.epoch

    async def join(self, secret: str, agent_id: str, peer: str, note: Callable[[Work], None]) -> tuple[Credential, str]:
        """A credential of role agent and its secret; `note` writes it into the trail.

        Raises `JoinTokenInvalid`, `RateLimited`.
        """
        host = f"join@{host_of(peer)}"
        self._of_peer.check(host)
        now = self._clock.now()

        def join(work: Work) -> tuple[Credential, str]:
            joined = credentials.join(work, secret, agent_id, now, self._ids)
            note(work)
            return joined

        try:
            return await self._works.write(join)
        except JoinTokenInvalid:
            self._of_peer.add(host)
            raise


def _holder(work: Work, access_key: str) -> tuple[Credential | None, User | None]:
    """A credential and the user whose it is."""
    credential = work.users.get(access_key)
    return credential, None if credential is None else work.people.get(credential.subject)
