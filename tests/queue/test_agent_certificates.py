"""Agents that show a certificate: who gets one, and that a token opens nothing over another agent's connection."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from batuta_api.__main__ import build as build_api
from batuta_chassis.testing import Running, running
from batuta_proto.queues import v1 as queues
from batuta_proto.system import v1 as system
from batuta_proto.types import v1 as types
from batuta_proto.users import v1 as users
from batuta_queue.__main__ import build as build_queue
from batuta_queue.testing_agent import FakeAgent
from batuta_rpc.auth import StaticToken
from batuta_rpc.channel import open_aio
from batuta_rpc.config import read_connection
from batuta_rpc.errors import (
    CapabilityMissing,
    CertificateMismatch,
    CredentialInvalid,
    FieldViolation,
    RoleMissing,
    RpcError,
    Unavailable,
)
from batuta_rpc.trust import Trust
from tests.pki import Pki

Credential = tuple[str, str]


def request(key: Any = None) -> tuple[bytes, bytes]:
    """A key and a request for a certificate of it, which claims to be somebody else."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gpu9:0")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, made.public_bytes(serialization.Encoding.DER)


class Deployment:
    """Queue and API over TLS; agents must show who they are."""

    def __init__(self, api: Running, queue: Running, stack: contextlib.AsyncExitStack, pem: bytes) -> None:
        self.api, self.queue, self.stack, self.pem = api, queue, stack, pem

    async def stub(self, kind: Any, url: str, token: str | None, shown: Trust | None = None) -> Any:
        """A stub on a connection of its own."""
        source = None if token is None else StaticToken(token)
        trust = Trust(self.pem) if shown is None else shown
        return kind(await self.stack.enter_async_context(open_aio(url, source, "test", trust=trust)))

    async def users(self, token: str | None = None) -> Any:
        return await self.stub(users.UserServiceStub, self.api.settings.endpoint, token)

    async def joined(self, name: str) -> Credential:
        """The credential of an agent that has joined."""
        people = await self.users(self.api.tokens.of("admin"))
        token = (await people.CreateJoinToken(users.CreateJoinTokenRequest())).join_token
        answer = await people.RedeemJoinToken(users.RedeemJoinTokenRequest(join_token=token, agent_id=name))
        return answer.credential.access_key, answer.secret_key

    async def certified(self, credential: Credential) -> Trust:
        """With what that agent dials the broker."""
        key, der = request()
        people = await self.users()
        asked = users.IssueCertificateRequest(
            access_key=credential[0], secret_key=credential[1], certificate_request=der
        )
        answer = await people.IssueCertificate(asked)
        return Trust(self.pem, answer.certificate_chain.encode(), key)

    async def welcomed(self, subject: str, shown: Trust | None) -> bool:
        """Whether the broker takes the session of an agent with this token over a connection with this certificate."""
        token = self.queue.tokens.of("agent", subject=subject)
        trust = Trust(self.pem) if shown is None else shown
        url = self.queue.settings.endpoint
        async with open_aio(url, StaticToken(token), "test", dispatch=True, retries=False, trust=trust) as channel:
            agent = FakeAgent(channel, [await self.default_queue()], subject.removeprefix("agent:"))
            agent.open()
            with contextlib.suppress(RpcError):  # a write knows only that it has ended; the read says why
                await agent.say_hello()
            return bool((await agent.next("welcome")).session_id)

    async def default_queue(self) -> str:
        token = self.api.tokens.of("viewer")
        stub = await self.stub(queues.QueueServiceStub, self.api.settings.endpoint, token)
        return str((await stub.GetQueue(queues.GetQueueRequest(display_name="default"))).queue.id)


@contextlib.asynccontextmanager
async def deployed(folder: Path, **settings: Any) -> AsyncGenerator[Deployment]:
    """Both services, each with a folder of its own and one of keys that they share."""
    keys = folder / "keys"
    both: dict[str, Any] = {"tls": "generated", "agent_certificates": True, "keys_dir": keys, **settings}
    async with contextlib.AsyncExitStack() as stack:
        queue = await stack.enter_async_context(running(build_queue, folder / "queue", service="queue", **both))
        url = queue.settings.endpoint
        told: dict[str, Any] = {**both, "queue_endpoint": url, "dispatch_endpoint": url}
        api = await stack.enter_async_context(running(build_api, folder / "api", service="api", **told))
        yield Deployment(api, queue, stack, (keys / "ca.pem").read_bytes())


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncGenerator[Deployment]:
    async with deployed(tmp_path) as made:
        yield made


async def test_s7_a_stolen_agent_token_opens_nothing_over_a_connection_without_that_agents_certificate(
    deployment: Deployment,
) -> None:
    mine, thief = [await deployment.certified(await deployment.joined(name)) for name in ("gpu1:0", "gpu2:0")]
    assert await deployment.welcomed("agent:gpu1:0", mine)
    with pytest.raises(CertificateMismatch, match="this token is agent:gpu1:0's, and the connection agent:gpu2:0's"):
        await deployment.welcomed("agent:gpu1:0", thief)
    with pytest.raises(Unavailable, match="hangs up before a word is said: it may want a certificate of an agent"):
        await deployment.welcomed("agent:gpu1:0", None)
    token = deployment.queue.tokens.of("agent", subject="agent:gpu1:0")
    straight = await deployment.stub(queues.QueueServiceStub, deployment.queue.settings.endpoint, token, thief)
    with pytest.raises(CertificateMismatch):
        await straight.GetQueue(queues.GetQueueRequest(display_name="default"))


async def test_what_agents_and_people_ask_the_api_is_passed_on_to_the_queue(deployment: Deployment) -> None:
    for roles, subject in (("agent", "agent:gpu1:0"), ("viewer", "ada")):
        token = deployment.api.tokens.of(roles, subject=subject)
        stub = await deployment.stub(queues.QueueServiceStub, deployment.api.settings.endpoint, token)
        found = await stub.GetQueue(queues.GetQueueRequest(display_name="default"))
        assert found.queue.display_name == "default"


async def test_agents_are_told_that_they_need_a_certificate(deployment: Deployment, tmp_path: Path) -> None:
    stub = await deployment.stub(system.SystemServiceStub, deployment.api.settings.endpoint, None)
    info = await stub.GetServerInfo(system.GetServerInfoRequest())
    assert "agent_certificates" in info.capabilities
    login = read_connection(tmp_path / "api" / "admin.credentials")
    assert login.trust.authorities == deployment.pem


async def test_a_certificate_is_for_whom_the_credential_is_whatever_the_request_says(deployment: Deployment) -> None:
    shown = await deployment.certified(await deployment.joined("gpu1:0"))
    made = x509.load_pem_x509_certificate(shown.certificate)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["batuta://agent/gpu1%3A0"]
    with pytest.raises(CertificateMismatch):
        await deployment.welcomed("agent:gpu9:0", shown)


async def test_nobody_but_an_agent_with_its_credential_gets_a_certificate(deployment: Deployment) -> None:
    people = await deployment.users(deployment.api.tokens.of("admin"))
    await people.CreateUser(users.CreateUserRequest(user_name="ada", role=types.ROLE_MEMBER))
    made = await people.CreateCredential(users.CreateCredentialRequest(subject="ada", roles=[types.ROLE_MEMBER]))
    agent = await deployment.joined("gpu1:0")
    cases: list[tuple[Credential, bytes, type[RpcError], str]] = [
        ((made.credential.access_key, made.secret_key), request()[1], RoleMissing, "certificates are for agents"),
        ((agent[0], "wrong"), request()[1], CredentialInvalid, "credential"),
        (agent, b"not a request", FieldViolation, "is no certificate request"),
        (agent, request(rsa.generate_private_key(65537, 1024))[1], FieldViolation, "weak or unknown kind of key"),
        (agent, request()[1][:-1] + b"\0", FieldViolation, "certificate_request"),
    ]
    for (access, secret), der, kind, words in cases:
        asked = users.IssueCertificateRequest(access_key=access, secret_key=secret, certificate_request=der)
        with pytest.raises(kind, match=words):
            await (await deployment.users()).IssueCertificate(asked)


async def test_an_authority_of_the_operators_own_signs_for_agents_and_never_for_services(tmp_path: Path) -> None:
    pki = Pki()
    async with deployed(tmp_path, tls_client_ca=str(pki.file(tmp_path))) as deployment:
        by_name = Trust(deployment.pem, *pki.issue("gpu1:0", names=[]))
        assert await deployment.welcomed("agent:gpu1:0", by_name)
        by_uri = Trust(deployment.pem, *pki.issue("anything", names=["batuta://agent/gpu2%3A0"]))
        assert await deployment.welcomed("agent:gpu2:0", by_uri)
        false = Trust(deployment.pem, *pki.issue("gpu3:0", names=["batuta://service/api"]))
        with pytest.raises(CertificateMismatch, match="connection agent:gpu3:0's"):
            await deployment.welcomed("agent:gpu1:0", false)
        with pytest.raises(Unavailable):
            await deployment.welcomed("agent:gpu1:0", Trust(deployment.pem, *Pki("stranger").issue("gpu1:0", names=[])))
        with pytest.raises(CapabilityMissing, match="give the agent its own with --certificate"):
            await deployment.certified(await deployment.joined("gpu1:0"))


async def test_a_server_that_asks_no_agent_for_a_certificate_signs_none(tmp_path: Path) -> None:
    async with deployed(tmp_path, agent_certificates=False) as deployment:
        assert await deployment.welcomed("agent:gpu1:0", None)
        with pytest.raises(CapabilityMissing, match="agents need no certificate here"):
            await deployment.certified(await deployment.joined("gpu1:0"))
