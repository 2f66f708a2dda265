"""The API by HTTP: every call of the contract, and a task's life by JSON alone."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from batuta_api.__main__ import build as build_api
from batuta_chassis.contract import Rule, contract
from batuta_chassis.testing import Running, running
from batuta_chassis.web.terms import frame
from batuta_chassis.web.testing import JSON, Answer, HttpClient
from batuta_proto.users import v1 as users
from batuta_queue.__main__ import build as build_queue
from batuta_rpc.errors import CredentialInvalid

PAGE = Path(__file__).resolve().parents[2] / "docs/http.md"
STREAM = "application/connect+json"
TASKS, QUEUES, LOGIN = (
    "/batuta.tasks.v1.TaskService",
    "/batuta.queues.v1.QueueService",
    "/batuta.users.v1.UserService/IssueToken",
)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Running]:
    """Both services; the API has an HTTP port."""
    keys = tmp_path / "keys"
    async with running(build_queue, tmp_path / "queue", service="queue", keys_dir=keys) as queue:
        settings: dict[str, Any] = {"queue_endpoint": queue.settings.endpoint, "keys_dir": keys, "http_port": 0}
        async with running(build_api, tmp_path / "api", service="api", **settings) as started:
            yield started


def http(api: Running, *roles: str) -> HttpClient:
    """A client with a token of these roles, or without one."""
    return HttpClient(api.settings.http_endpoint, api.tokens.of(*roles) if roles else None)


def streams(rule: Rule) -> bool:
    """Whether a method streams on either side."""
    return rule.client_streaming or rule.server_streaming


async def ask(client: HttpClient, rule: Rule, message: Any = None, kind: str = "") -> tuple[int, dict[str, Any]]:
    """Call a method as its kind wants it; its HTTP status, and its error or {}."""
    body = json.dumps(message or {}).encode()
    if not streams(rule):
        answer = await client.send("POST", rule.name, body, content_type=kind or JSON)
        return answer.status, {} if answer.status == 200 else answer.json
    exchange = await client.open("POST", rule.name, frame(0, body), content_type=STREAM)
    try:
        status, headers = await exchange.head()
        first = Answer(status, headers, await anext(exchange.parts())).frames[0]
        return status, json.loads(first[1]).get("error", {}) if first[0] == 2 else {}
    finally:
        exchange.leave()


async def test_s1_no_route_but_a_public_one_is_answered_without_a_token(api: Running) -> None:
    for rule in contract().rules:
        status, error = await ask(http(api), rule)
        if rule.public:
            assert error.get("code") != "unauthenticated", rule.name
        else:
            assert status == (200 if streams(rule) else 401), rule.name
            assert error["code"] == "unauthenticated", rule.name
            assert error["details"][0]["debug"]["reason"] == "TOKEN_MISSING", rule.name
        if rule.reads and not streams(rule):
            answer = await http(api).send("GET", f"{rule.name}?connect=v1&encoding=json&message=%7B%7D")
            assert (answer.status == 401) != rule.public, rule.name
    for path in ("/", "/index.html", "/metrics", "/debug", "/api"):
        assert (await http(api).send("GET", path)).status == 404
    assert (await http(api).send("GET", "/healthz")).status == 200


async def test_s2_tokens_that_are_none_are_refused(api: Running) -> None:
    good = api.tokens.of("admin")
    head, claims, signature = good.split(".")
    for token in ("x", f"{head}.{claims}.", f"{head}.{claims}.{signature[::-1]}", f"eyJhbGciOiJub25lIn0.{claims}."):
        answer = await HttpClient(api.settings.http_endpoint, token).call(f"{TASKS}/ListTasks")
        assert (answer.status, answer.reason) == (401, "TOKEN_INVALID")
    for value in ("", "Bearer", "Basic YTpi", f"Bearer {good}, Bearer {good}", f"Bearer {good}\u00e9"):
        answer = await http(api).call(f"{TASKS}/ListTasks", authorization=value)
        assert answer.status == 401, value


async def test_no_other_role_is_admitted_than_over_grpc(api: Running) -> None:
    for rule in contract().rules:
        for role in {"viewer", "agent"} - rule.admitted:
            if not rule.public:
                _, error = await ask(http(api, role), rule)
                assert error["code"] == "permission_denied", (rule.name, role, error)


async def test_every_unary_method_answers_in_json_and_in_protobuf(api: Running) -> None:
    """With an empty request each is answered or says what is missing; none is unknown, and none breaks."""
    for rule in contract().rules:
        role = next((role for role in ("admin", "service", "agent", "attempt") if role in rule.admitted), "")
        if streams(rule) or role == "attempt" or "DispatchService" in rule.name:
            continue
        client = http(api, *([role] if role else []))
        _, by_json = await ask(client, rule)
        answer = await client.send("POST", rule.name, b"", content_type="application/proto")
        codes = (by_json.get("code", ""), "" if answer.status == 200 else answer.json["code"])
        assert codes[0] == codes[1], rule.name
        assert codes[0] in ("", "invalid_argument", "not_found", "unauthenticated", "failed_precondition"), rule.name


async def test_a_task_is_made_queued_and_watched_by_json_alone(api: Running) -> None:
    client = http(api, "member")
    made = await client.call(f"{TASKS}/CreateTask", {"displayName": "by hand", "projectName": "web"})
    assert made.status == 200, made.body
    task = made.json["task"]
    queued = await client.call(f"{TASKS}/EnqueueTask", {"taskId": task["id"], "queueName": "default"})
    assert queued.status == 200, queued.body
    exchange = await client.open(
        "POST", f"{TASKS}/WatchTask", frame(0, json.dumps({"taskId": task["id"]}).encode()), content_type=STREAM
    )
    await exchange.head()
    first = Answer(200, {}, await anext(exchange.parts())).frames[0]
    assert json.loads(first[1])["task"]["status"]["state"] == "TASK_STATE_QUEUED"
    exchange.leave()


async def test_calls_for_the_queue_service_are_passed_on(api: Running) -> None:
    client = http(api, "member")
    listed = await client.call(f"{QUEUES}/ListQueues")
    assert {each["displayName"] for each in listed.json["queues"]} == {"default", "services"}
    missing = await client.call(f"{QUEUES}/GetQueue", {"displayName": "nope"})
    assert (missing.status, missing.reason) == (404, "QUEUE_NOT_FOUND")


async def test_answers_are_what_the_openapi_document_says(api: Running) -> None:
    client = http(api, "admin")
    document = (await client.send("GET", "/openapi.json")).json
    made = await client.call(f"{TASKS}/CreateTask", {"displayName": "by hand", "projectName": "web"})
    asked = {
        f"{TASKS}/GetTask": {"taskId": made.json["task"]["id"]},
        f"{TASKS}/ListTasks": {},
        f"{QUEUES}/ListQueues": {},
        "/batuta.projects.v1.ProjectService/ListProjects": {},
        "/batuta.users.v1.UserService/ListUsers": {},
        "/batuta.system.v1.SystemService/GetServerInfo": {},
    }
    for path, message in asked.items():
        answer = await client.call(path, message)
        schema = document["paths"][path]["post"]["responses"]["200"]["content"][JSON]["schema"]
        strict(document["components"]["schemas"])
        Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json)
    refused = await client.call(f"{TASKS}/GetTask", {"taskId": "f" * 32})
    schema = {"$ref": "#/components/schemas/connect.Error", "components": document["components"]}
    Draft202012Validator(schema).validate(refused.json)


def strict(schemas: dict[str, Any]) -> None:
    """No field that the document does not know."""
    for schema in schemas.values():
        if schema.get("type") == "object" and "properties" in schema:
            schema["additionalProperties"] = False


async def test_the_examples_of_the_page_do_what_the_page_says(api: Running, tmp_path: Path) -> None:
    blocks = re.findall(r"^```(sh|text)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    script = "".join(text for kind, text in blocks if kind == "sh")
    script = script.replace("http://127.0.0.1:8482", api.settings.http_endpoint)
    script = script.replace("~/.batuta/server/admin.credentials", str(api.settings.data_dir / "admin.credentials"))
    process = await asyncio.create_subprocess_exec(
        "sh", "-eu", "-c", script, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
    promised = "".join(text for kind, text in blocks if kind == "text")
    assert len(blocks) == 11
    pattern = r"\n".join(".*".join(re.escape(part) for part in line.split("…")) for line in promised.splitlines())
    assert re.fullmatch(pattern + r"\n", said), said


async def test_s11_failed_logins_count_for_the_clients_own_address(api: Running) -> None:
    wrong = {"accessKey": "bk_nobody", "secretKey": "x"}
    client = http(api)
    reasons = [(await client.call(LOGIN, wrong)).reason for _ in range(12)]
    assert reasons[0] == "CREDENTIAL_INVALID"
    assert reasons[-1] == "RATE_LIMITED"
    reader, writer = await asyncio.open_connection(client.host, client.port, local_addr=("127.0.0.2", 0))
    body = json.dumps(wrong).encode()
    writer.write(
        f"POST {LOGIN} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {JSON}\r\ncontent-length: {len(body)}\r\n"
        "x-forwarded-for: 127.0.0.1\r\nconnection: close\r\n\r\n".encode()
        + body
    )
    assert b"CREDENTIAL_INVALID" in await asyncio.wait_for(reader.read(), 10)
    writer.close()


async def test_s11_nobody_can_blame_another_address_over_grpc(api: Running) -> None:
    stub = users.UserServiceStub(api.channel())
    for _ in range(3):
        with pytest.raises(CredentialInvalid):
            await stub.IssueToken(
                users.IssueTokenRequest(access_key="bk_x", secret_key="x"),
                metadata=(("batuta-http-peer", "x ipv4:127.0.0.9:1"),),
            )
