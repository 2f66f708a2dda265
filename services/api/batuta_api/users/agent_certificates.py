"""Certificates for agents: what their connections to the broker show."""

from __future__ import annotations

from datetime import datetime

from batuta_api.users.logins import Logins
from batuta_chassis.authority import Authority
from batuta_rpc.errors import CapabilityMissing, RoleMissing

CAPABILITY = "agent_certificates"
"""Of GetServerInfo: agents get in with a certificate of their own only."""
_AGENT = "agent:"


class AgentCertificates:
    """Signs them for holders of an agent's credential."""

    def __init__(self, logins: Logins, authority: Authority | None, why_none: str) -> None:
        """Without an `authority` nothing is signed, and `why_none` is said."""
        self._logins = logins
        self._authority = authority
        self._why_none = why_none

    async def issue(self, access_key: str, secret: str, request: bytes, peer: str) -> tuple[str, datetime]:
        """A certificate (PEM) and its end.

        Raises `CredentialInvalid`, `RateLimited`, `RoleMissing`, `CapabilityMissing`, `FieldViolation`.
        """
        credential, roles, _epoch = await self._logins.check(access_key, secret, peer)
        if "agent" not in roles or not credential.subject.startswith(_AGENT):
            raise RoleMissing(f"certificates are for agents; this credential is {credential.subject}'s")
        if self._authority is None:
            raise CapabilityMissing(self._why_none)
        pem, expires = self._authority.agent(credential.subject.removeprefix(_AGENT), request)
        return pem.decode(), expires
