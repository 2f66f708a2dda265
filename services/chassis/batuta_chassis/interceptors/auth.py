"""Who calls, and may they? The answer to the second question stands in the contract; no rule means no."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from batuta_chassis.caller import ANONYMOUS, Caller
from batuta_chassis.contract import Rule
from batuta_chassis.gate import Gate
from batuta_chassis.peers import Connection, Peers
from batuta_chassis.tokens import Verifier
from batuta_rpc.errors import RoleMissing, TokenInvalid, TokenMissing


class Authenticator:
    """Turns the metadata of a call into its caller."""

    def __init__(self, verifier: Verifier, gate: Gate, peers: Peers) -> None:
        self._verifier = verifier
        self.gate = gate
        self._peers = peers

    def admit(self, rule: Rule, metadata: Iterable[Any] | None, connection: Connection) -> Caller:
        """The caller, if the method is open to them.

        Raises `TokenMissing`, `TokenInvalid`, `TokenExpired`, `RoleMissing` or `CertificateMismatch`.
        """
        if rule.public:
            return ANONYMOUS
        caller = self._verifier.verify(_token(metadata))
        self.gate.check(caller)
        self._peers.check(caller, connection)
        if caller.roles.isdisjoint(rule.admitted):
            raise RoleMissing(
                f"{rule.name.rsplit('/', 1)[1]} is for {' or '.join(rule.roles) or 'nobody'}; "
                f"{caller.subject} is {', '.join(sorted(caller.roles)) or 'without a role'}",
                method=rule.name,
                subject=caller.subject,
                needed=",".join(rule.roles),
            )
        return caller


def _token(metadata: Iterable[Any] | None) -> str:
    for key, value in metadata or ():
        if key == "authorization":
            scheme, _, token = str(value).partition(" ")
            if scheme.lower() != "bearer" or not token:
                raise TokenInvalid("the authorization of a call reads `Bearer <token>`")
            return token.strip()
    raise TokenMissing("the call carries no token; log in with `batuta init`")
