"""Where the token of a call comes from.

A `TokenSource` may block (sync channels); an `AioTokenSource` never blocks the event loop. A source caches: asking
is cheap. `rejected` tells it that a server no longer takes a token, so that the next answer is a new one.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from batuta_rpc.clock import Clock
from batuta_rpc.trust import PUBLIC, Trust

if TYPE_CHECKING:
    from batuta_proto.users import v1 as users

_EARLY = 60.0
"""Seconds before its end at which a token is replaced."""


class TokenSource(Protocol):
    """Gives a token, waiting for the network where it must."""

    def token(self) -> str:
        """A token that is good now. Raises `RpcError` when none can be had."""
        ...


@runtime_checkable
class AioTokenSource(Protocol):
    """Gives a token without ever holding the event loop."""

    def ready(self) -> str | None:
        """A good token if one is at hand, at once."""
        ...

    async def fetch(self) -> str:
        """A token that is good now. Raises `RpcError` when none can be had."""
        ...


def rejected(source: object, token: str) -> bool:
    """Tell a source that a server no longer takes `token`. False when the source has no other."""
    forget = getattr(source, "rejected", None)
    if forget is None:
        return False
    forget(token)
    return True


def is_about_token(error: Exception) -> bool:
    """Whether a new token may help: this one is too old, or the server has changed its key since."""
    from batuta_rpc.errors import TokenExpired, TokenInvalid

    return isinstance(error, (TokenExpired, TokenInvalid))


class StaticToken:
    """One token for ever, such as an attempt's. Serves both kinds of channel."""

    def __init__(self, token: str) -> None:
        self._token = token

    def token(self) -> str:
        """The token."""
        return self._token

    def ready(self) -> str | None:
        """The token."""
        return self._token

    async def fetch(self) -> str:
        """The token."""
        return self._token


class _Cache:
    """The last token, and until when it is good by this machine's monotonic clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._token: str | None = None
        self._until = 0.0

    def get(self) -> str | None:
        return self._token if self._token is not None and self._clock.monotonic() < self._until else None

    def put(self, answer: users.IssueTokenResponse, asked: float) -> str:
        """Keep the token. Its age counts from when it was asked for, so a slow answer errs to the safe side."""
        seconds = lifetime(answer.token)
        if seconds is None:
            seconds = answer.expire_time.seconds - self._clock.unix_millis() / 1000
        # A short-lived token is still used for half its time: better than asking anew before every call.
        self._until = asked + max(seconds - _EARLY, seconds / 2)
        self._token = answer.token
        return answer.token

    def drop(self, token: str) -> None:
        if self._token == token:
            self._token = None


class CredentialTokens:
    """Tokens for an access key and its secret, by `UserService.IssueToken` over a channel of its own. Thread-safe."""

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        clock: Clock,
        client_name: str = "sdk-python",
        trust: Trust = PUBLIC,
    ) -> None:
        self._endpoint = endpoint
        self._trust = trust
        self._keys = (access_key, secret_key)
        self._client_name = client_name
        self._clock = clock
        self._cache = _Cache(clock)
        self._lock = threading.Lock()

    def token(self) -> str:
        """A token that is good for at least a minute, asking the server when the cached one is not.

        Raises `CredentialInvalid` for a wrong credential and `Unavailable` when the server cannot be reached.
        """
        cached = self._cache.get()
        if cached is not None:
            return cached
        with self._lock:
            cached = self._cache.get()
            return self._issue() if cached is None else cached

    def rejected(self, token: str) -> None:
        """Forget `token`: a server no longer takes it."""
        self._cache.drop(token)

    def _issue(self) -> str:
        from batuta_proto.users import v1 as users
        from batuta_rpc.channel import open_sync

        asked = self._clock.monotonic()
        # A channel per token (every ten minutes or so) rather than an idle connection beside the caller's own.
        channel = open_sync(self._endpoint, None, self._client_name, trust=self._trust)
        try:
            request = users.IssueTokenRequest(access_key=self._keys[0], secret_key=self._keys[1])
            return self._cache.put(users.UserServiceStub(channel).IssueToken(request), asked)
        finally:
            channel.close()


class AioCredentialTokens:
    """Tokens for an access key and its secret, for one event loop. Callers that wait share one request."""

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        clock: Clock,
        client_name: str = "sdk-python",
        trust: Trust = PUBLIC,
    ) -> None:
        self._endpoint = endpoint
        self._trust = trust
        self._keys = (access_key, secret_key)
        self._client_name = client_name
        self._clock = clock
        self._cache = _Cache(clock)
        self._lock: asyncio.Lock | None = None

    def ready(self) -> str | None:
        """The cached token, if it is good for at least a minute."""
        return self._cache.get()

    async def fetch(self) -> str:
        """A token that is good for at least a minute. Raises `CredentialInvalid` or `Unavailable`."""
        if self._lock is None:  # made here: on Python 3.9 a Lock belongs to the loop that runs when it is made
            self._lock = asyncio.Lock()
        async with self._lock:
            cached = self._cache.get()
            return await self._issue() if cached is None else cached

    def rejected(self, token: str) -> None:
        """Forget `token`: a server no longer takes it."""
        self._cache.drop(token)

    async def _issue(self) -> str:
        from batuta_proto.users import v1 as users
        from batuta_rpc.channel import open_aio

        asked = self._clock.monotonic()
        channel = open_aio(self._endpoint, None, self._client_name, trust=self._trust)
        try:
            request = users.IssueTokenRequest(access_key=self._keys[0], secret_key=self._keys[1])
            return self._cache.put(await users.UserServiceStub(channel).IssueToken(request), asked)
        finally:
            await channel.close()


def lifetime(token: str) -> float | None:
    """Seconds from the making of a token to its end, by the server's own clock; None if it does not say.

    Nothing is verified here: this only tells the holder when to ask for the next one, whatever the wall clock of
    this machine believes.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"]) - float(claims["iat"])
    except (ValueError, KeyError, IndexError, TypeError):
        return None
