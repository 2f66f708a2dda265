"""Logging in by password, and setting one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from batuta_api.users import people
from batuta_api.users.limits import Failures
from batuta_api.users.passwords import Passwords, Turn
from batuta_api.users.user import User
from batuta_api.work import Work, Works
from batuta_chassis.caller import Caller
from batuta_chassis.peer import host_of
from batuta_chassis.tokens import Signer
from batuta_rpc.clock import Clock
from batuta_rpc.errors import CredentialInvalid, RoleMissing
from batuta_rpc.ids import Ids


class PasswordLogins:
    """Gives tokens for passwords."""

    def __init__(self, works: Works, signer: Signer, clock: Clock, ids: Ids) -> None:
        self._works = works
        self._signer = signer
        self._clock = clock
        self._passwords = Passwords(ids)
        self._of_name = Failures(clock)
        self._of_peer = Failures(clock, burst=200, period=0.2)

    async def issue(self, name: str, password: str, peer: str) -> tuple[str, datetime]:
        """A token and its end. Raises `CredentialInvalid`, `RateLimited`."""
        async with self._passwords.turn() as turn:
            user = await self._check(turn, name, password, host_of(peer))
            if self._passwords.is_old(user.password_hash):
                hashed, old = await turn.hash(password), user.password_hash
                await self._works.write(lambda work: people.rehash(work, name, old, hashed))
        return self._signer.sign_user(user.name, frozenset({user.role}), epoch=user.epoch)

    async def set(
        self, caller: Caller, name: str, password: str, current: str, peer: str, note: Callable[[Work], None]
    ) -> User:
        """Set a password; whoever is no admin only their own, by the one they have. `note` writes it into the trail.

        Raises `RoleMissing`, `UserNotFound`, `CredentialInvalid`, `RateLimited`.
        """
        admin = "admin" in caller.roles
        if name != caller.subject and not admin:
            raise RoleMissing(f"only an admin sets the password of somebody else; you are {caller.subject}")
        async with self._passwords.turn() as turn:
            user = await self._works.read(lambda work: people.find(work, name))
            if user.password_hash and not admin:
                await self._check(turn, name, current, host_of(peer))
            hashed = await turn.hash(password)

        def change(work: Work) -> User:
            changed = people.set_password(work, name, hashed, self._clock.now())
            note(work)
            return changed

        return await self._works.write(change)

    async def _check(self, turn: Turn, name: str, password: str, host: str) -> User:
        """The user whose password it is; one error for all that can be wrong."""
        keys = (f"{name}@{host}", host)
        self._of_name.check(keys[0])
        self._of_peer.check(keys[1])
        user = await self._works.read(lambda work: work.people.get(name))
        right = await turn.opens("" if user is None else user.password_hash, password)
        if user is None or not right or not user.enabled:
            self._of_name.add(keys[0])
            self._of_peer.add(keys[1])
            raise CredentialInvalid("unknown user, wrong or no password, or the user is disabled; an admin can set one")
        return user
