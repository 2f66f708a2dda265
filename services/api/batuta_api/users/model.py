"""Credentials and join tokens. Secrets are known to their holders only; here lie their hashes."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from datetime import datetime

ROLES = ("viewer", "member", "admin", "agent")
"""What a credential may carry."""
_NOBODY = hashlib.sha256(b"nobody").digest()


@dataclass(frozen=True)
class Credential:
    """An access key with its holder's roles. `subject` is a user's name or `agent:<id>`.

    `roles` are the most that its tokens may do: a user's role lowers them.
    """

    access_key: str
    secret_hash: bytes
    subject: str
    roles: tuple[str, ...]
    create_time: datetime
    comment: str = ""
    last_use_time: datetime | None = None
    revoke_time: datetime | None = None
    expire_time: datetime | None = None
    agent_id: str = ""
    """The only agent that it is good for; empty: whichever runs with it."""

    def good(self, now: datetime) -> bool:
        """Whether it still opens anything."""
        return self.revoke_time is None and (self.expire_time is None or now < self.expire_time)

    def revoked(self, now: datetime) -> Credential:
        """The credential at its end. One that is revoked stays as it is."""
        return self if self.revoke_time is not None else replace(self, revoke_time=now)


@dataclass(frozen=True)
class JoinToken:
    """A token with which one agent may join, once."""

    token_hash: bytes
    comment: str
    create_time: datetime
    expire_time: datetime
    spend_time: datetime | None = None
    agent_id: str = ""

    def good(self, now: datetime) -> bool:
        """Whether it may still be spent."""
        return self.spend_time is None and now < self.expire_time

    def spent(self, agent_id: str, now: datetime) -> JoinToken:
        """The token after its one use."""
        return replace(self, spend_time=now, agent_id=agent_id)


def fingerprint(secret: str) -> bytes:
    """What is stored of a secret.

    Plain SHA-256, on purpose: our secrets are 256 random bits, which no amount of guessing finds, and a slow hash
    would cost every login. A slow hash is for passwords that people choose.
    """
    return hashlib.sha256(secret.encode()).digest()


def opens(credential: Credential | None, secret: str, now: datetime) -> bool:
    """Whether the secret is the credential's, and the credential is good. Takes as long when there is none."""
    expected = _NOBODY if credential is None else credential.secret_hash
    right = hmac.compare_digest(expected, fingerprint(secret))
    return right and credential is not None and credential.good(now)
