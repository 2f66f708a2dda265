"""Tokens: who signs what, and what is refused."""

from __future__ import annotations

import base64
import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from batuta_chassis.tokens import Signer, Verifier
from batuta_rpc.errors import OtherTask, StaleAttempt, TokenExpired, TokenInvalid
from batuta_rpc.testing import FakeClock, SeededIds


@pytest.fixture
def signer(tmp_path: Path, clock: FakeClock) -> Signer:
    return Signer.load_or_create(tmp_path, "api", clock, SeededIds())


@pytest.fixture
def queue_signer(tmp_path: Path, clock: FakeClock) -> Signer:
    return Signer.load_or_create(tmp_path, "queue", clock, SeededIds(1))


@pytest.fixture
def verifier(tmp_path: Path, clock: FakeClock) -> Verifier:
    return Verifier(tmp_path, clock)


def test_a_token_says_who_holds_it_until_it_ends(signer: Signer, verifier: Verifier, clock: FakeClock) -> None:
    token, expires = signer.sign_user("ada", frozenset({"member", "viewer"}), timedelta(minutes=5))
    caller = verifier.verify(token)
    assert (caller.subject, caller.roles, caller.token_expire) == ("ada", {"member", "viewer"}, expires)
    clock.advance(299)
    assert verifier.verify(token) == caller
    clock.advance(1)
    with pytest.raises(TokenExpired):
        verifier.verify(token)


def test_an_attempt_token_names_its_task_and_attempt(
    queue_signer: Signer, verifier: Verifier, clock: FakeClock
) -> None:
    caller = verifier.verify(queue_signer.sign_attempt("t1", 3, clock.now() + timedelta(days=30)))
    assert (caller.roles, caller.task_id, caller.attempt) == ({"attempt"}, "t1", 3)
    caller.require_task("t1", 3)
    with pytest.raises(OtherTask):
        caller.require_task("t2")
    with pytest.raises(StaleAttempt):
        caller.require_task("t1", 2)


def test_people_may_touch_every_task(signer: Signer, verifier: Verifier) -> None:
    verifier.verify(signer.sign_user("ada", frozenset({"member"}))[0]).require_task("any", 1)


def test_each_issuer_signs_its_own_kind_only(
    signer: Signer, queue_signer: Signer, verifier: Verifier, clock: FakeClock
) -> None:
    with pytest.raises(TokenInvalid):
        verifier.verify(queue_signer.sign_user("mallory", frozenset({"admin"}))[0])
    with pytest.raises(TokenInvalid):
        verifier.verify(signer.sign_attempt("t1", 1, clock.now() + timedelta(hours=1)))


def test_an_issuer_whose_key_somebody_dropped_into_the_folder_may_sign_nothing(
    tmp_path: Path, verifier: Verifier, clock: FakeClock
) -> None:
    stranger = Signer.load_or_create(tmp_path, "autoscaler", clock, SeededIds())
    with pytest.raises(TokenInvalid):
        verifier.verify(stranger.sign_user("x", frozenset({"admin"}))[0])


def test_no_token_lives_longer_than_a_quarter_of_an_hour(signer: Signer) -> None:
    with pytest.raises(ValueError, match="at most"):
        signer.sign_user("ada", frozenset({"admin"}), timedelta(hours=1))


def test_a_key_made_later_is_found_at_its_first_token(
    signer: Signer, verifier: Verifier, tmp_path: Path, clock: FakeClock
) -> None:
    verifier.verify(signer.sign_user("ada", frozenset({"viewer"}))[0])
    later = Signer.load_or_create(tmp_path, "queue", clock, SeededIds(2))
    token = later.sign_attempt("t", 1, clock.now() + timedelta(days=1))
    assert verifier.verify(token).task_id == "t"


def test_the_key_stays_the_same_over_starts(tmp_path: Path, verifier: Verifier, clock: FakeClock) -> None:
    first = Signer.load_or_create(tmp_path, "api", clock, SeededIds())
    (tmp_path / "api.pub").unlink()
    Signer.load_or_create(tmp_path, "api", clock, SeededIds())
    assert verifier.verify(first.sign_user("ada", frozenset({"viewer"}))[0]).subject == "ada"


def test_keys_are_readable_by_their_owner_only(tmp_path: Path, clock: FakeClock) -> None:
    Signer.load_or_create(tmp_path / "keys", "api", clock, SeededIds())
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()} == {0o600}


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_every_forgery_is_refused(tmp_path: Path, signer: Signer, verifier: Verifier, clock: FakeClock) -> None:
    good = signer.sign_user("ada", frozenset({"viewer"}))[0]
    header = jwt.get_unverified_header(good)
    claims: dict[str, Any] = jwt.decode(good, options={"verify_signature": False})
    now = int(clock.now().timestamp())
    key: Any = load_pem_private_key((tmp_path / "api.key").read_bytes(), None)
    public = (tmp_path / "api.pub").read_bytes().decode()

    def signed(change: dict[str, Any], **extra: Any) -> str:
        kept = {name: value for name, value in {**claims, **change}.items() if value is not None}
        return jwt.encode(kept, key, "EdDSA", headers={"kid": header["kid"], **extra})

    hs256 = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': header['kid']})}.{_part(claims)}"
    import hashlib
    import hmac

    mac = base64.urlsafe_b64encode(hmac.new(public.encode(), hs256.encode(), hashlib.sha256).digest()).decode()
    forgeries = [
        "",
        "x",
        "a.b.c",
        good[:-4] + "AAAA",
        f"{_part({'alg': 'none', 'kid': header['kid']})}.{_part(claims)}.",
        f"{hs256}.{mac.rstrip('=')}",
        good.replace(good.split(".")[1], _part({**claims, "roles": ["admin"]})),
        signed({"aud": "other"}),
        signed({"iss": "queue"}),
        signed({"exp": None}),
        signed({"jti": None}),
        signed({"roles": None}),
        signed({"roles": 7}),
        signed({"exp": "soon"}),
        signed({"exp": 10**30}),
        signed({"iat": now + 120}),
        jwt.encode(claims, key, "EdDSA", headers={"kid": "unknown"}),
        jwt.encode(claims, key, "EdDSA"),
        jwt.encode(claims, key, "EdDSA", headers={"kid": header["kid"], "crit": ["x"], "x": 1}),
    ]
    for forged in forgeries:
        with pytest.raises(TokenInvalid):
            verifier.verify(forged)
    assert verifier.verify(signed({})).subject == "ada"


def test_clocks_that_differ_by_less_than_a_minute_do_not_matter(
    tmp_path: Path, signer: Signer, clock: FakeClock
) -> None:
    behind = FakeClock()
    behind.jump(-59)
    assert Verifier(tmp_path, behind).verify(signer.sign_user("ada", frozenset({"viewer"}))[0]).subject == "ada"


def test_a_verifier_that_forgot_a_token_checks_it_again(tmp_path: Path, signer: Signer, clock: FakeClock) -> None:
    forgetful = Verifier(tmp_path, clock, remembered=2)
    tokens = [signer.sign_user(f"user{number}", frozenset({"viewer"}))[0] for number in range(10)]
    for _ in range(2):
        assert [forgetful.verify(token).subject for token in tokens] == [f"user{number}" for number in range(10)]
