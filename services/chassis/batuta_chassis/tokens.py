"""Tokens: Ed25519-signed JWTs. Each issuer signs with its own key; the public keys lie in one folder.

`api` signs for people, agents and services; `queue` signs for attempts, because it assigns them. A verifier enforces
that division, so that a stolen key of one cannot speak for the other.
"""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from jwt.types import Options

from batuta_chassis.caller import Caller
from batuta_rpc.clock import Clock, SystemClock
from batuta_rpc.errors import TokenExpired, TokenInvalid
from batuta_rpc.ids import Ids, SystemIds

AUDIENCE = "batuta"
ATTEMPT_ISSUER = "queue"
PEOPLE_ISSUER = "api"
USER_TTL = timedelta(minutes=15)
"""The longest life of a token that is not an attempt's."""
_SKEW = 60.0
"""Seconds by which the clocks of two services may differ."""


class Signer:
    """Holds the private key of one issuer."""

    def __init__(self, key: Ed25519PrivateKey, issuer: str, clock: Clock, ids: Ids) -> None:
        self._key = key
        self._issuer = issuer
        self._clock = clock
        self._ids = ids
        self._kid = key_id(key.public_key())

    @classmethod
    def load_or_create(cls, keys_dir: Path, issuer: str, clock: Clock | None = None, ids: Ids | None = None) -> Signer:
        """The signer of `<keys>/<issuer>.key`, made at the first start; its public key is beside it as `.pub`."""
        keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        private = keys_dir / f"{issuer}.key"
        if not private.exists():
            made = Ed25519PrivateKey.generate()
            pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            write_private(private, pem)
        key = load_pem_private_key(private.read_bytes(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{private} is not an Ed25519 key; move it away and a new one is made")
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        published = keys_dir / f"{issuer}.pub"
        if not published.exists() or published.read_bytes() != public:
            write_private(published, public)
        return cls(key, issuer, clock or SystemClock(), ids or SystemIds())

    def sign_user(
        self,
        subject: str,
        roles: frozenset[str],
        ttl: timedelta = USER_TTL,
        *,
        access_key: str = "",
        epoch: int = 0,
        agent_id: str = "",
    ) -> tuple[str, datetime]:
        """A token for a person, an agent or a service, and when it ends. `ttl` is at most 15 minutes.

        `access_key` and `epoch` are what a `Gate` takes it back by, and `agent_id` is the only agent that it runs.
        """
        if ttl > USER_TTL:
            raise ValueError(f"a token lives at most {USER_TTL}, not {ttl}")
        expires = self._clock.now() + ttl
        claims = {"sub": subject, "roles": sorted(roles), "key": access_key, "epoch": epoch}
        if agent_id:
            claims["agent"] = agent_id
        return self._sign(claims, expires), expires

    def sign_attempt(self, task_id: str, attempt: int, expires: datetime) -> str:
        """A token for the run of one attempt: it opens that task under that attempt and nothing else."""
        claims = {"sub": f"attempt:{task_id}/{attempt}", "roles": ["attempt"], "task": task_id, "attempt": attempt}
        return self._sign(claims, expires)

    def _sign(self, claims: dict[str, Any], expires: datetime) -> str:
        now = int(self._clock.now().timestamp())
        claims |= {"iss": self._issuer, "aud": AUDIENCE, "iat": now, "exp": int(expires.timestamp())}
        claims["jti"] = self._ids.new_id()
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self._kid})


class Verifier:
    """Checks tokens by the public keys in a folder, and remembers those it has checked."""

    def __init__(self, keys_dir: Path, clock: Clock | None = None, *, remembered: int = 8192) -> None:
        self._keys_dir = keys_dir
        self._clock = clock or SystemClock()
        self._keys: dict[str, tuple[str, Ed25519PublicKey]] = {}
        self._read_at: tuple[float, int] | None = None
        # Checking a signature costs 50 times a look-up, and a client sends the same token for minutes.
        self._known: dict[str, tuple[Caller, float]] = {}
        self._remembered = remembered

    def verify(self, token: str) -> Caller:
        """Who holds `token`. Raises `TokenExpired` or `TokenInvalid`."""
        known = self._known.get(token)
        if known is None:
            caller = self._check(token)
            known = (caller, caller.token_expire.timestamp())
            if len(self._known) >= self._remembered:
                del self._known[next(iter(self._known))]
            self._known[token] = known
        if known[1] <= self._clock.unix_millis() / 1000:
            self._known.pop(token, None)
            raise TokenExpired("the token is past its time; get a new one (IssueToken)")
        return known[0]

    def _check(self, token: str) -> Caller:
        try:
            kid = jwt.get_unverified_header(token).get("kid", "")
            issuer, key = self._key(str(kid))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=AUDIENCE,
                issuer=issuer,
                # Times are checked below, by our own clock.
                options=_CHECKS,
            )
            if claims["iat"] > self._clock.unix_millis() / 1000 + _SKEW:
                raise TokenInvalid("the token was issued in the future: the clocks of two machines differ by a minute")
            return _caller(claims, issuer)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, OverflowError) as error:
            raise TokenInvalid("the token is not one of this deployment; log in again") from error

    def _key(self, kid: str) -> tuple[str, Ed25519PublicKey]:
        if kid not in self._keys:
            self._reread()
        try:
            return self._keys[kid]
        except KeyError:
            raise TokenInvalid("the token is signed by a key that this service does not know; log in again") from None

    def _reread(self) -> None:
        """Read the folder when it has changed, else at most once a second: made-up key ids must cost nothing."""
        now = self._clock.monotonic()
        changed = self._keys_dir.stat().st_mtime_ns if self._keys_dir.is_dir() else 0
        if self._read_at is None or changed != self._read_at[1] or now - self._read_at[0] >= 1.0:
            self._read_at = (now, changed)
            self._keys = _read_keys(self._keys_dir)


_CHECKS: Options = {
    "require": ["iss", "aud", "iat", "exp", "sub", "jti"],
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


def _caller(claims: dict[str, Any], issuer: str) -> Caller:
    roles = frozenset(str(role) for role in claims["roles"])
    for_attempt = "attempt" in roles
    if (issuer == ATTEMPT_ISSUER) != for_attempt or (not for_attempt and issuer != PEOPLE_ISSUER):
        raise TokenInvalid(f"the issuer {issuer} may not give such tokens")
    return Caller(
        subject=str(claims["sub"]),
        roles=roles,
        task_id=str(claims["task"]) if for_attempt else None,
        attempt=int(claims["attempt"]) if for_attempt else None,
        token_expire=datetime.fromtimestamp(claims["exp"], UTC),
        access_key=str(claims.get("key", "")),
        epoch=int(claims.get("epoch", 0)),
        agent_id=str(claims.get("agent", "")),
    )


def _read_keys(keys_dir: Path) -> dict[str, tuple[str, Ed25519PublicKey]]:
    keys: dict[str, tuple[str, Ed25519PublicKey]] = {}
    for path in sorted(keys_dir.glob("*.pub")):
        key = load_pem_public_key(path.read_bytes())
        if isinstance(key, Ed25519PublicKey):
            keys[key_id(key)] = (path.stem, key)
    return keys


def key_id(key: Ed25519PublicKey) -> str:
    """The name of a key: the beginning of its SHA-256."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(scratch, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
        _sync_folder(path.parent)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Make the new name durable: what is written next may rely on the file, and a power cut must not take it back."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
