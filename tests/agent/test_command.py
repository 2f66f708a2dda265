from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from batuta_agent.command import add_arguments
from batuta_agent.folders import StateFolder, StateInUse, folder_name, free_slot
from batuta_agent.model import Ref
from batuta_agent.testing import ScriptedBroker, until
from batuta_rpc.config import Connection, load_connection, save_connection

from .conftest import AgentProcess


def test_a_state_folder_has_one_agent_at_a_time(tmp_path: Path) -> None:
    first = StateFolder(tmp_path / "a")
    with pytest.raises(StateInUse, match="in use by an agent with pid"):
        StateFolder(tmp_path / "a")
    first.close()
    StateFolder(tmp_path / "a").close()
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


def test_a_second_agent_on_a_host_takes_the_next_slot(tmp_path: Path) -> None:
    first_name, first = free_slot(tmp_path, "box")
    second_name, second = free_slot(tmp_path, "box")
    assert (first_name, second_name) == ("box:0", "box:1")
    first.close()
    assert free_slot(tmp_path, "box")[0] == "box:0"
    second.close()


@pytest.mark.parametrize("name", ["box:0", "Bücher", "../../etc", ".", "..", "a/b", "a b"])
def test_any_name_is_a_folder_inside_its_parent(tmp_path: Path, name: str) -> None:
    path = (tmp_path / folder_name(name)).resolve()
    assert path.parent == tmp_path.resolve()


def test_folders_of_attempts_are_named_by_task_and_attempt(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "a")
    folder = state.attempt(Ref("t" * 32, 3))
    folder.make()
    assert [each.path.name for each in state.attempts()] == ["t" * 32 + ".3"]
    folder.remove()
    assert state.attempts() == []
    state.close()


def test_a_number_of_slots_below_one_is_refused() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--queue", "q", "--slots", "0"])


def test_warm_interpreters_are_off_unless_asked_for_and_bounded() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert parser.parse_args(["--queue", "q"]).warm_interpreters == 0
    assert parser.parse_args(["--queue", "q", "--warm-interpreters", "64"]).warm_interpreters == 64
    with pytest.raises(SystemExit):
        parser.parse_args(["--queue", "q", "--warm-interpreters", "65"])


@pytest.mark.e2e
async def test_a_join_token_becomes_a_private_credential_that_is_used_again(
    broker: ScriptedBroker, tmp_path: Path
) -> None:
    process = AgentProcess(tmp_path, broker.address)
    await process.start("--queue", "default", "--api", broker.address, "--join-token", "join", credentials=False)
    await (await broker.session()).take("hello")
    await process.kill()
    kept = process.state / "credentials"
    assert kept.stat().st_mode & 0o777 == 0o600
    found = load_connection({}, kept)
    assert found is not None
    assert found.access_key == "key"
    await process.start("--queue", "default", credentials=False)
    await (await broker.session()).take("hello")
    await process.kill()


@pytest.mark.e2e
async def test_an_admin_who_starts_an_agent_gives_it_a_credential_of_its_own(
    broker: ScriptedBroker, tmp_path: Path
) -> None:
    broker.role = "ROLE_ADMIN"
    process = AgentProcess(tmp_path, broker.address)
    for _start in range(2):
        await process.start("--queue", "default")
        await (await broker.session()).take("hello")
        await process.kill()
    assert broker.join_tokens == ["agent tester"]
    assert (process.state / "credentials").stat().st_mode & 0o777 == 0o600


@pytest.mark.e2e
async def test_one_who_may_not_start_agents_is_told_to_ask_for_a_join_token(
    broker: ScriptedBroker, tmp_path: Path
) -> None:
    broker.role = "ROLE_MEMBER"
    process = AgentProcess(tmp_path, broker.address)
    await process.start("--queue", "default")
    assert await process.wait() == 1
    assert "ask an admin for a token of `batuta agent join-token`" in process.messages


@pytest.mark.e2e
async def test_a_kept_credential_that_is_refused_is_named(broker: ScriptedBroker, tmp_path: Path) -> None:
    process = AgentProcess(tmp_path, broker.address)
    kept = process.state / "credentials"
    save_connection(kept, Connection(broker.address, "key", "old"))
    await process.start("--queue", "default", credentials=False)
    assert await process.wait() == 1
    assert f"refuses the credential in {kept}: delete that file" in process.messages


@pytest.mark.e2e
async def test_a_folder_that_cannot_be_used_is_one_clear_error(broker: ScriptedBroker, tmp_path: Path) -> None:
    process = AgentProcess(tmp_path, broker.address)
    process.state = tmp_path / "file" / "state"
    (tmp_path / "file").touch()
    await process.start("--queue", "default")
    assert await process.wait() == 1
    assert f"cannot use the folder {process.state}" in process.messages
    assert "--data" in process.messages


@pytest.mark.e2e
async def test_without_any_credential_the_agent_says_what_to_do(broker: ScriptedBroker, tmp_path: Path) -> None:
    process = AgentProcess(tmp_path, broker.address)
    await process.start("--queue", "default", credentials=False)
    assert await process.wait() == 1
    assert "run `batuta init`" in process.messages


@pytest.mark.e2e
async def test_a_server_that_does_not_answer_is_one_clear_error(tmp_path: Path) -> None:
    process = AgentProcess(tmp_path, "127.0.0.1:9")
    await process.start("--queue", "default")
    assert await process.wait() == 1
    assert "127.0.0.1:9" in process.messages
    assert "Traceback" not in process.messages


@pytest.mark.e2e
async def test_two_agents_on_one_state_folder_are_one_too_many(broker: ScriptedBroker, tmp_path: Path) -> None:
    first, second = AgentProcess(tmp_path, broker.address), AgentProcess(tmp_path, broker.address)
    await first.start()
    await (await broker.session()).take("hello")
    await second.start()
    assert await second.wait() == 1
    assert "in use by an agent" in second.messages
    await first.kill()


@pytest.mark.e2e
async def test_an_agent_that_was_here_before_waits_for_a_server_that_is_away(
    broker: ScriptedBroker, agent: AgentProcess
) -> None:
    await agent.start("--queue", "default")
    await (await broker.session()).take("hello")
    await agent.kill()
    await broker.stop()
    await agent.start("--queue", "default")
    await until(lambda: "does not answer" in agent.messages)
    await broker.start(int(broker.address.rpartition(":")[2]))
    await (await broker.session()).take("hello")


@pytest.mark.e2e
async def test_the_first_start_of_an_agent_fails_at_once_when_the_server_is_away(
    broker: ScriptedBroker, agent: AgentProcess
) -> None:
    await broker.stop()
    await agent.start("--queue", "default")
    assert await agent.wait() == 1
    assert "does not answer: is `batuta up` running there" in agent.messages
