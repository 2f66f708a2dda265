"""Scripted dialogues over a real stream, one for each rule of the agent stream."""

from __future__ import annotations

import asyncio
from typing import Any

from batuta_proto.agents import v1 as agents
from batuta_proto.types import v1 as types
from batuta_rpc.errors import (
    AgentNameTaken,
    FieldViolation,
    ProtocolViolation,
    QueueNotFound,
    RateLimited,
    RoleMissing,
    SessionSuperseded,
)

OFFERED = types.ATTEMPT_PHASE_OFFERED
ACCEPTED = types.ATTEMPT_PHASE_ACCEPTED
RUNNING = types.ATTEMPT_PHASE_RUNNING
SUCCEEDED = types.ATTEMPT_PHASE_SUCCEEDED


async def test_the_first_message_must_be_hello(house: Any) -> None:
    agent = house.agent()
    agent.open()
    await agent.send(agents.SessionRequest(heartbeat=agents.Heartbeat(heartbeat_number=1)))
    error = await agent.end()
    assert isinstance(error, ProtocolViolation)
    assert "not heartbeat" in error.message


async def test_a_stream_that_says_nothing_is_ended_after_ten_seconds(house: Any) -> None:
    agent = house.agent()
    timers = house.clock.sleepers
    agent.open()
    ending = asyncio.ensure_future(agent.end())
    while house.clock.sleepers == timers:  # noqa: ASYNC110  the clock has no event for it
        await asyncio.sleep(0.001)
    await house.clock.run_for(11)
    error = await ending
    assert isinstance(error, ProtocolViolation)
    assert "within 10 s" in error.message


async def test_a_second_hello_on_one_stream_ends_it(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await agent.say_hello()
    assert isinstance(await agent.end(), ProtocolViolation)


async def test_a_message_of_an_unknown_kind_is_ignored(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await agent.send(agents.SessionRequest.FromString(b"\xba\x06\x02\x08\x01"))
    assert (await agent.beat()).heartbeat_number == 1


async def test_a_message_that_breaks_a_rule_names_the_field(house: Any) -> None:
    agent = house.agent()
    agent.open()
    await agent.say_hello(max_assignments=0)
    error = await agent.end()
    assert isinstance(error, FieldViolation)
    assert error.field_violations[0][0] == "hello.max_assignments"


async def test_a_hello_for_an_unknown_queue_lists_the_queues(house: Any) -> None:
    agent = house.agent(queue_ids=["nowhere"])
    agent.open()
    await agent.say_hello()
    error = await agent.end()
    assert isinstance(error, QueueNotFound)
    assert error.metadata["queues"] == "default, services"


async def test_people_may_not_open_a_session(house: Any) -> None:
    from batuta_queue.testing_agent import FakeAgent

    agent = FakeAgent(house.service.channel("admin"), [house.queue_id])
    agent.open()
    assert isinstance(await agent.end(), RoleMissing)


async def test_welcome_says_how_often_and_how_much(house: Any) -> None:
    welcome = await house.agent().connect()
    assert 4.5 <= welcome.heartbeat_period.ToTimedelta().total_seconds() <= 5.5
    assert welcome.session_id
    assert not welcome.resumed
    assert welcome.max_message_bytes == 16 * 1024 * 1024
    assert list(welcome.expected) == []


async def test_a_task_goes_to_a_waiting_agent_and_ends(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await house.submit("e1", attempt_floor=4)
    assignment = await agent.next("assignment")
    assert (assignment.ref.task_id, assignment.ref.attempt) == ("task-of-e1", 5)
    assert assignment.payload == b"payload of e1"
    assert assignment.lease.kill_when_lost
    assert assignment.lease.lost_after.seconds == 1800
    await agent.accept(assignment)
    await agent.report(assignment.ref, RUNNING)
    await agent.report(assignment.ref, SUCCEEDED, exit_code=0)
    assert await house.story("DONE", "SUCCEEDED") == [
        ("WAITING", 0, "UNSPECIFIED", ""),
        ("OFFERED", 5, "OFFERED", ""),
        ("RUNNING", 5, "ACCEPTED", ""),
        ("RUNNING", 5, "RUNNING", ""),
        ("DONE", 5, "SUCCEEDED", ""),
    ]


async def test_a_queue_waits_for_its_first_agent(house: Any) -> None:
    await house.submit("e1")
    await house.submit("e2")
    agent = house.agent()
    await agent.connect()
    first = await agent.next("assignment")
    assert first.ref.task_id == "task-of-e1"
    assert await agent.nothing("assignment"), "an agent with one place gets one assignment"
    await agent.accept(first)
    await agent.report(first.ref, SUCCEEDED)
    assert (await agent.next("assignment")).ref.task_id == "task-of-e2"


async def test_an_agent_gets_as_many_assignments_as_it_has_places(house: Any) -> None:
    for number in range(5):
        await house.submit(f"e{number}")
    agent = house.agent(max_assignments=3)
    await agent.connect()
    got = [(await agent.next("assignment")).ref.task_id for _ in range(3)]
    assert got == ["task-of-e0", "task-of-e1", "task-of-e2"]
    assert await agent.nothing("assignment")


async def test_the_order_of_an_agents_queues_is_their_priority(house: Any) -> None:
    from batuta_proto.queues import v1 as queues

    second = (await house.stub.GetQueue(queues.GetQueueRequest(display_name="services"))).queue.id
    await house.submit("low", priority=5)
    await house.submit("high", queue_id=second)
    agent = house.agent(queue_ids=[second, house.queue_id], max_assignments=2)
    await agent.connect()
    assert [(await agent.next("assignment")).ref.task_id for _ in range(2)] == ["task-of-high", "task-of-low"]


async def test_greater_priority_goes_first_and_equals_in_their_order(house: Any) -> None:
    for name, priority in (("a", 0), ("b", 0), ("c", 7), ("d", -1), ("e", 7)):
        await house.submit(name, priority=priority)
    agent = house.agent(max_assignments=5)
    await agent.connect()
    got = [(await agent.next("assignment")).ref.task_id[-1] for _ in range(5)]
    assert got == ["c", "e", "a", "b", "d"]


async def test_an_offer_nobody_answers_returns_to_the_head_of_the_queue(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await house.submit("e1")
    first = await agent.next("assignment")
    await house.submit("e2")
    await house.clock.run_for(11)
    assert (await house.story("WAITING", "REJECTED"))[-1] == ("WAITING", 1, "REJECTED", "OFFER_RETURNED")
    # Who ignored an offer gets the next one after its next heartbeat.
    await agent.beat()
    again = await agent.next("assignment")
    assert (again.ref.task_id, again.ref.attempt) == (first.ref.task_id, 2)


async def test_an_accepted_that_comes_too_late_is_acknowledged_and_told_lost(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await house.submit("e1")
    late = await agent.next("assignment")
    await house.clock.run_for(11)
    await house.story("WAITING", "REJECTED")
    await agent.accept(late)
    ack = await agent.beat(free=0)
    assert [ref.attempt for ref in ack.lost] == [1]


async def test_an_accepted_that_comes_too_late_is_told_lost_before_it_is_acknowledged(house: Any) -> None:
    # The acknowledgement is what lets user code start, and the task may be another agent's by now.
    agent = house.agent()
    await agent.connect()
    await house.submit("e1")
    late = await agent.next("assignment")
    await house.clock.run_for(11)
    await house.story("WAITING", "REJECTED")
    await agent.send_report(1, late.ref, ACCEPTED)
    kinds: list[str] = []
    while "report_ack" not in kinds:
        message = await agent.next_of_any_kind()
        kinds.append(message.WhichOneof("message"))
        if kinds[-1] == "heartbeat_ack":
            assert [ref.attempt for ref in message.heartbeat_ack.lost] == [1]
            assert message.heartbeat_ack.heartbeat_number == 0
    assert kinds == ["heartbeat_ack", "report_ack"]


async def test_an_agent_that_refuses_everything_is_asked_again_after_some_heartbeats(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await house.submit("e1")
    for attempt in (1, 2, 3):
        offered = await agent.next("assignment")
        assert offered.ref.attempt == attempt
        await agent.report(offered.ref, types.ATTEMPT_PHASE_REJECTED)
        while await agent.nothing("assignment"):
            pass


async def test_an_offer_on_a_stream_that_breaks_goes_to_the_next_agent_at_once(house: Any) -> None:
    first, second = house.agent("agent-1"), house.agent("agent-2")
    await first.connect()
    await house.submit("e1")
    await first.next("assignment")
    await second.connect()
    first.cut()
    again = await second.next("assignment")
    assert (again.ref.task_id, again.ref.attempt) == ("task-of-e1", 2)


async def test_a_rejected_assignment_goes_to_another_agent_and_costs_nothing(house: Any) -> None:
    first, second = house.agent("agent-1"), house.agent("agent-2")
    await first.connect()
    await house.submit("e1", retry=types.RetryPolicy(max_infrastructure_losses=0))
    offered = await first.next("assignment")
    await second.connect()
    await first.report(offered.ref, types.ATTEMPT_PHASE_REJECTED)
    again = await second.next("assignment")
    assert again.ref.attempt == 2


async def test_a_report_is_acknowledged_by_the_highest_number_and_has_one_effect(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    assignment = await house.running_task(agent)
    for _ in range(2):
        await agent.send_report(2, assignment.ref, RUNNING)
        assert (await agent.next("report_ack")).report_number == 2
    await agent.send_report(1, assignment.ref, ACCEPTED)
    assert (await agent.next("report_ack")).report_number == 2
    agent.report_number = 2
    await agent.report(assignment.ref, SUCCEEDED)
    phases = [phase for _, _, phase, _ in await house.story("DONE", "SUCCEEDED")]
    assert phases == ["UNSPECIFIED", "OFFERED", "ACCEPTED", "RUNNING", "SUCCEEDED"]


async def test_phases_only_grow(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    assignment = await house.running_task(agent)
    await agent.report(assignment.ref, RUNNING)
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_PREPARING)
    await agent.report(assignment.ref, types.ATTEMPT_PHASE_FAILED, exit_code=3)
    told = await house.story("DONE", "FAILED")
    assert [phase for _, _, phase, _ in told][3:] == ["RUNNING", "FAILED"]


async def test_a_heartbeat_names_what_the_agent_must_kill(house: Any) -> None:
    agent = house.agent(max_assignments=2)
    await agent.connect()
    mine = await house.running_task(agent)
    agent.held[("task-of-nobody", 7)] = RUNNING
    ack = await agent.beat()
    assert [(ref.task_id, ref.attempt) for ref in ack.lost] == [("task-of-nobody", 7)]
    assert (mine.ref.task_id, mine.ref.attempt) in agent.held


async def test_an_accepted_attempt_missing_from_a_heartbeat_is_lost_at_once(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await house.running_task(agent)
    agent.held.clear()
    await agent.beat(free=0)
    assert (await house.story("WAITING", "LOST"))[-1] == ("WAITING", 1, "LOST", "ATTEMPT_VANISHED")


async def test_a_broken_session_goes_on_under_its_id(house: Any) -> None:
    agent = house.agent()
    first = await agent.connect()
    assignment = await house.running_task(agent)
    agent.cut()
    again = await agent.connect(resume_session_id=first.session_id)
    assert again.resumed
    assert again.session_id == first.session_id
    assert [each.ref for each in again.expected] == [assignment.ref]
    assert again.expected[0].payload == b"payload of e1"
    assert again.expected[0].attempt_token
    assert again.report_number == 1
    await agent.report(assignment.ref, SUCCEEDED)


async def test_a_restarted_agent_takes_over_and_the_old_process_is_told_to_exit(house: Any) -> None:
    old = house.agent(instance_id="old")
    await old.connect()
    assignment = await house.running_task(old)
    new = house.agent(instance_id="new")
    new.held = dict(old.held)
    welcome = await new.connect()
    assert not welcome.resumed
    assert [each.ref for each in welcome.expected] == [assignment.ref]
    assert isinstance(await old.end(), SessionSuperseded)
    await new.report(assignment.ref, SUCCEEDED)
    assert (await house.story("DONE", "SUCCEEDED"))[-1][1] == 1


async def test_a_late_hello_of_an_older_process_does_not_end_the_newer_one(house: Any) -> None:
    old = house.agent(instance_id="old")
    await old.connect()
    old.cut()
    new = house.agent(instance_id="new")
    await new.connect()
    old.open()
    await old.say_hello()
    assert isinstance(await old.end(), SessionSuperseded)
    assert (await new.beat()).heartbeat_number == 1


async def test_a_late_hello_of_an_older_process_that_nobody_knew_does_not_end_the_newer_one(house: Any) -> None:
    new = house.agent(instance_id="third")
    new.open()
    await new.say_hello(start_number=3)
    await new.next("welcome")
    late = house.agent(instance_id="second")  # died before its Hello arrived
    late.open()
    await late.say_hello(start_number=2)
    assert isinstance(await late.end(), SessionSuperseded)
    assert (await new.beat()).heartbeat_number == 1


async def test_a_stream_that_its_own_process_replaced_says_whose_the_newer_one_is(house: Any) -> None:
    first, second = house.agent(), house.agent()
    await first.connect()
    await second.connect()
    error = await first.end()
    assert isinstance(error, SessionSuperseded)
    assert error.metadata["instance_id"] == first.instance_id


async def test_another_machine_under_a_live_name_is_refused_with_what_to_do(house: Any) -> None:
    await house.agent("agent-1").connect()
    clone = house.agent("agent-1", journal_id="another-folder")
    clone.open()
    await clone.say_hello()
    error = await clone.end()
    assert isinstance(error, AgentNameTaken)
    assert "--name" in error.message


async def test_another_machine_gets_the_name_when_the_first_is_silent(house: Any) -> None:
    silent = house.agent("agent-1")
    await silent.connect()
    await house.clock.run_for(20)
    await house.agent("agent-1", journal_id="another-folder").connect()
    assert isinstance(await silent.end(), SessionSuperseded)


async def test_a_fourth_registration_within_eight_seconds_is_refused_with_the_time_to_wait(house: Any) -> None:
    agent = house.agent()
    for _ in range(3):
        await agent.connect()
        agent.cut()
    agent.open()
    await agent.say_hello()
    error = await agent.end()
    assert isinstance(error, RateLimited)
    assert error.retry_delay is not None
    assert 7 < error.retry_delay <= 8
    house.clock.advance(8.1)
    await agent.connect()


async def test_a_host_that_was_started_again_loses_its_attempts_at_once(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await house.running_task(agent)
    agent.cut()
    after = house.agent(boot_id="boot-2", instance_id="instance-2")
    after.held = dict(agent.held)
    assert list((await after.connect()).expected) == []
    assert (await house.story("WAITING", "LOST"))[-1] == ("WAITING", 1, "LOST", "HOST_RESTARTED")
    # It has stopped what was extra, and says so; the back-off is over; the same agent may have it again.
    after.held.clear()
    await after.beat()
    await house.clock.run_for(2)
    assert (await after.next("assignment")).ref.attempt == 2


async def test_a_goodbye_that_keeps_leases_changes_nothing(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    assignment = await house.running_task(agent)
    await agent.say_goodbye(keep_leases=True)
    assert [each.ref for each in (await agent.connect()).expected] == [assignment.ref]


async def test_a_goodbye_that_gives_up_returns_the_work_without_cost(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await house.running_task(agent, retry=types.RetryPolicy(max_infrastructure_losses=0))
    await agent.say_goodbye(keep_leases=False)
    assert (await house.story("WAITING", "LOST"))[-1] == ("WAITING", 1, "LOST", "AGENT_LEFT")
    other = house.agent("agent-2")
    await other.connect()
    assert (await other.next("assignment")).ref.attempt == 2


async def test_a_draining_agent_gets_nothing_until_it_says_otherwise(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await agent.beat(draining=True)
    await house.submit("e1")
    assert await _nothing_while_draining(agent)
    await agent.beat()
    assert (await agent.next("assignment")).ref.task_id == "task-of-e1"


async def _nothing_while_draining(agent: Any) -> bool:
    await agent.beat(draining=True)
    return all(message.WhichOneof("message") != "assignment" for message in agent._skipped)


async def test_an_agent_without_free_places_gets_nothing(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await agent.beat(free=0)
    await house.submit("e1")
    await agent.beat(free=0)
    assert all(message.WhichOneof("message") != "assignment" for message in agent._skipped)
    await agent.beat(free=1)
    await agent.next("assignment")


async def test_an_assignment_carries_a_token_for_this_attempt_only(house: Any) -> None:
    from batuta_chassis.tokens import Verifier

    agent = house.agent()
    await agent.connect()
    await house.submit("e1")
    assignment = await agent.next("assignment")
    caller = Verifier(house.service.settings.keys_dir, house.clock).verify(assignment.attempt_token)
    assert (caller.task_id, caller.attempt, caller.roles) == ("task-of-e1", 1, frozenset({"attempt"}))


async def test_nothing_in_the_database_tells_a_token(house: Any, tmp_path: Any) -> None:
    agent = house.agent()
    await agent.connect()
    assignment = await house.running_task(agent)
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("queue.db*"))
    assert assignment.attempt_token.encode() not in stored


async def test_a_goodbye_or_a_cut_leaves_no_session_behind(house: Any) -> None:
    agent = house.agent()
    await agent.connect()
    await agent.say_goodbye(keep_leases=True)
    shown = await house.listed("agent-1")
    assert shown.state == agents.AGENT_STATE_OFFLINE


async def test_an_agents_own_credential_registers_no_other_agent(house: Any) -> None:
    thief = house.agent("gpu2:0", own="gpu1:0")
    thief.open()
    await thief.say_hello()
    error = await thief.end()
    assert isinstance(error, RoleMissing)
    assert "gpu1:0" in error.message
    own = house.agent("gpu1:0", own="gpu1:0")
    await own.connect()
    await house.agent("gpu2:0").connect()  # a credential that is nobody's own runs any
