"""The API's own token, with which it speaks to the other services: signed here, for nobody else."""

from __future__ import annotations

from datetime import timedelta

from batuta_chassis.tokens import Signer
from batuta_rpc.clock import Clock

SUBJECT = "service:api"
_TTL = timedelta(minutes=15)
_EARLY = 120.0


class ServiceTokens:
    """An `AioTokenSource` that never waits."""

    def __init__(self, signer: Signer, clock: Clock) -> None:
        self._signer = signer
        self._clock = clock
        self._token: str | None = None
        self._until = 0.0

    def ready(self) -> str | None:
        """A token that is good for at least two minutes."""
        if self._token is None or self._clock.monotonic() >= self._until:
            self._token, _ = self._signer.sign_user(SUBJECT, frozenset({"service"}), _TTL)
            self._until = self._clock.monotonic() + _TTL.total_seconds() - _EARLY
        return self._token

    async def fetch(self) -> str:
        """The same."""
        token = self.ready()
        assert token is not None
        return token

    def rejected(self, token: str) -> None:
        """Forget `token`: a service called it expired."""
        if self._token == token:
            self._token = None
