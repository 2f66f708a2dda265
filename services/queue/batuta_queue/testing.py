"""For tests: a store in memory that keeps the promises of `QueueStore`, and builders of values."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from batuta_queue.history_store import of_agent
from batuta_queue.model import (
    Agent,
    Attempt,
    AttemptPhase,
    Drain,
    Entry,
    EntryState,
    Event,
    Holder,
    LeasePolicy,
    Pause,
    Payload,
    Queue,
    QueueCounts,
    Ref,
)
from batuta_queue.newest import newest
from batuta_queue.store import LogBounds, Outlook, QueueNameExists, QueueStore
from batuta_queue.testing_history import MemoryHistory
from batuta_queue.testing_share import MemoryShares

T = TypeVar("T")
_LIVE = tuple(state for state in EntryState if not state.ended)


class MemoryStore(MemoryHistory, MemoryShares):
    """See `QueueStore`."""

    def __init__(self) -> None:
        super().__init__()
        self._queues: dict[str, Queue] = {}
        self._entries: dict[str, Entry] = {}
        self._payloads: dict[str, Payload] = {}
        self._attempts: dict[Ref, Attempt] = {}
        self._agents: dict[str, Agent] = {}
        self._journals: dict[str, int] = {}
        self._events: list[Event] = []
        self._log = LogBounds("", 1, 0)
        self._requests: dict[tuple[str, str, str], tuple[bytes, bytes]] = {}
        self.hooks: list[Callable[[], None]] = []

    def add_queue(self, queue: Queue) -> None:
        winner = self.queue_by_name(queue.name)
        if winner is not None:
            raise QueueNameExists(winner)
        self._queues[queue.id] = queue

    def queue(self, queue_id: str) -> Queue | None:
        return self._queues.get(queue_id)

    def queue_by_name(self, name: str) -> Queue | None:
        return next((queue for queue in self._queues.values() if queue.name == name), None)

    def queues(self, after_name: str, limit: int) -> list[Queue]:
        found = sorted(
            (queue for queue in self._queues.values() if queue.name > after_name), key=lambda each: each.name
        )
        return found[:limit]

    def save_queue(self, queue: Queue) -> None:
        winner = self.queue_by_name(queue.name)
        if winner is not None and winner.id != queue.id:
            raise QueueNameExists(winner)
        self._queues[queue.id] = replace(queue, pause=self._queues[queue.id].pause)

    def drop_queue(self, queue_id: str) -> None:
        for each in self._of(queue_id):
            if not each.state.ended:
                self._entries[each.id] = replace(each, queue_id="")
        del self._queues[queue_id]

    def pause_queue(self, queue_id: str, pause: Pause | None) -> None:
        self._queues[queue_id] = replace(self._queues[queue_id], pause=pause)

    def _paused(self, queue_id: str) -> bool:
        queue = self._queues.get(queue_id)
        return queue is not None and queue.pause is not None

    def count_entries(self, queue_ids: Sequence[str] | None) -> Mapping[str, QueueCounts]:
        counts: dict[str, QueueCounts] = {}
        for entry in self._entries.values():
            wanted = bool(entry.queue_id) if queue_ids is None else entry.queue_id in queue_ids
            if wanted and not entry.state.ended:
                before = counts.get(entry.queue_id, QueueCounts())
                counts[entry.queue_id] = before.plus(entry.state, 1)
        return counts

    def entry(self, entry_id: str) -> Entry | None:
        return self._entries.get(entry_id)

    def add_entry(self, entry: Entry, payload: Payload) -> None:
        assert entry.id not in self._entries
        self._entries[entry.id] = entry
        self._payloads[entry.id] = payload

    def add_entries(self, new: Sequence[tuple[Entry, Payload]], position: int) -> None:
        for place, (entry, payload) in enumerate(new, position):
            self.add_entry(replace(entry, position=place, last_position=place), payload)

    def entry_states(self, entry_ids: Sequence[str]) -> Mapping[str, EntryState]:
        return {each: self._entries[each].state for each in entry_ids if each in self._entries}

    def save_entries(self, changed: Sequence[Entry]) -> None:
        for entry in changed:
            self._entries[entry.id] = entry

    def place_entries(self, moved: Sequence[Entry]) -> None:
        for each in moved:
            self._entries[each.id] = replace(
                self._entries[each.id], queue_id=each.queue_id, priority=each.priority, position=each.position
            )

    def make_room(self, before: Entry) -> int:
        for each in self._of(before.queue_id):
            if not each.state.ended and each.priority == before.priority and each.position < before.position:
                self._entries[each.id] = replace(each, position=each.position - 1)
        return before.position - 1

    def outlook(self, entry: Entry) -> Outlook:
        others = any(each.state is EntryState.WAITING for each in self._of(entry.queue_id))
        last = self.last_attempts([entry.task_id]).get(entry.task_id, 0)
        queue = self._queues.get(entry.queue_id)
        policy = None if queue is None else queue.lease_policy
        return Outlook(entry.id in self._entries, others, last, self._paused(entry.queue_id), policy)

    def waiting(self, queue_id: str, limit: int, now: int) -> list[tuple[Entry, Payload]]:
        if self._paused(queue_id):
            return []
        found = [
            entry
            for entry in self._of(queue_id)
            if entry.state is EntryState.WAITING and entry.not_before_millis <= now
        ]
        return [(entry, self._payloads[entry.id]) for entry in found[:limit]]

    def waiting_queues(self) -> Mapping[str, int]:
        latest: dict[str, int] = {}
        for entry in self._entries.values():
            if entry.state is EntryState.WAITING:
                latest[entry.queue_id] = max(latest.get(entry.queue_id, 0), entry.not_before_millis)
        return latest

    def live_entries(
        self, queue_id: str, after: tuple[int, int] | None, limit: int, states: Collection[EntryState] = ()
    ) -> list[Entry]:
        found = [entry for entry in self._of(queue_id) if entry.state in (states or _LIVE)]
        if after is not None:
            found = [entry for entry in found if (-entry.priority, entry.position) > (-after[0], after[1])]
        return found[:limit]

    def last_entry(self, queue_id: str) -> Entry | None:
        found = [entry for entry in self._of(queue_id) if not entry.state.ended]
        return found[-1] if found else None

    def payloads(self, entry_ids: Sequence[str]) -> Mapping[str, Payload]:
        return {entry_id: self._payloads[entry_id] for entry_id in entry_ids if entry_id in self._payloads}

    def attempt(self, ref: Ref) -> tuple[Entry, Attempt] | None:
        attempt = self._attempts.get(ref)
        return None if attempt is None else (self._entries[attempt.entry_id], attempt)

    def attempts(self, refs: Sequence[Ref]) -> Mapping[Ref, tuple[Entry, Attempt]]:
        return {ref: found for ref in refs if (found := self.attempt(ref)) is not None}

    def last_attempts(self, task_ids: Sequence[str]) -> Mapping[str, int]:
        last: dict[str, int] = {}
        for task_id, number in self._attempts:
            if task_id in task_ids:
                last[task_id] = max(last.get(task_id, 0), number)
        return last

    def add_attempts(self, new: Sequence[Attempt]) -> None:
        for attempt in new:
            assert attempt.ref not in self._attempts
            self._attempts[attempt.ref] = attempt

    def save_attempts(self, changed: Sequence[Attempt]) -> None:
        for attempt in changed:
            self._attempts[attempt.ref] = attempt

    def open_attempts(self, journal_id: str | None = None) -> list[tuple[Entry, Attempt]]:
        found = [
            attempt
            for attempt in self._attempts.values()
            if not attempt.phase.ended and journal_id in (None, attempt.holder.journal_id)
        ]
        return [(self._entries[each.entry_id], each) for each in sorted(found, key=lambda each: each.offer_millis)]

    def save_agent(self, agent: Agent) -> None:
        before = self._agents.get(agent.id)
        self._agents[agent.id] = replace(agent, drain=before.drain if before else None)

    def agent(self, agent_id: str) -> Agent | None:
        return self._agents.get(agent_id)

    def agents(self, after_id: str, limit: int) -> list[Agent]:
        found = sorted((agent for agent in self._agents.values() if agent.id > after_id), key=lambda each: each.id)
        return found[:limit]

    def drain_agent(self, agent_id: str, drain: Drain | None) -> None:
        self._agents[agent_id] = replace(self._agents[agent_id], drain=drain)

    def drained_agents(self) -> list[Agent]:
        return [agent for agent in self._agents.values() if agent.drain is not None]

    def agent_left(self, agent_id: str, millis: int) -> None:
        if agent_id in self._agents:
            self._agents[agent_id] = replace(self._agents[agent_id], leave_millis=millis)

    def heard_since(self, millis: int) -> Mapping[str, int]:
        heard = {each.id: each.heartbeat_millis for each in self._agents.values() if each.leave_millis is None}
        return {agent_id: when for agent_id, when in heard.items() if when >= millis}

    def newest_events(self, entry_ids: Sequence[str]) -> Mapping[str, Event]:
        kept = {event.position: event for event in self._events}
        found: dict[str, Event] = {}
        for entry_id in entry_ids:
            entry = self._entries.get(entry_id)
            if entry is not None:
                attempt = self._attempts.get(Ref(entry.task_id, entry.attempt))
                found[entry_id] = newest(entry, attempt if attempt and attempt.entry_id == entry_id else None, kept)
        return found

    def live_events(self, after_id: str, limit: int) -> list[Event]:
        live = sorted(each.id for each in self._entries.values() if not each.state.ended and each.id > after_id)
        return list(self.newest_events(live[:limit]).values())

    def touch_agents(self, heard: Mapping[str, int]) -> None:
        for agent_id, millis in heard.items():
            if agent_id in self._agents:
                self._agents[agent_id] = replace(self._agents[agent_id], heartbeat_millis=millis)

    def report_number(self, journal_id: str) -> int:
        return self._journals.get(journal_id, 0)

    def save_report_number(self, journal_id: str, number: int) -> None:
        self._journals[journal_id] = max(number, self._journals.get(journal_id, 0))

    def next_positions(self, count: int) -> int:
        self._log = replace(self._log, head=self._log.head + count)
        return self._log.head - count + 1

    def add_events(self, new: Sequence[Event]) -> None:
        self._events.extend(new)

    def events(self, after: int, limit: int) -> list[Event]:
        return [event for event in self._events if event.position > after][:limit]

    def log_bounds(self) -> LogBounds:
        return self._log

    def open_log(self, epoch: str) -> None:
        if not self._log.epoch:
            self._log = LogBounds(epoch, 1, 0)

    def renew_log(self, epoch: str) -> None:
        self._log = replace(self._log, epoch=epoch)

    def purge(self, before: int, limit: int) -> int:
        old = [each.id for each in self._entries.values() if each.state.ended and (each.end_millis or 0) < before][
            :limit
        ]
        for entry_id in old:
            del self._entries[entry_id]
        self._attempts = {ref: each for ref, each in self._attempts.items() if each.entry_id not in old}
        gone = 0
        while gone < min(limit, len(self._events)) and self._events[gone].event_millis < before:
            gone += 1
        if gone:
            self._log = replace(self._log, first=self._events[gone - 1].position + 1)
            del self._events[:gone]
        silent = [each.id for each in self._agents.values() if each.heartbeat_millis < before and each.drain is None][
            :limit
        ]
        for agent_id in silent:
            del self._agents[agent_id]
            self.drop_history(of_agent(agent_id))
        if silent:
            used = {each.journal_id for each in self._agents.values()}
            used |= {each.holder.journal_id for each in self._attempts.values() if not each.phase.ended}
            self._journals = {each: number for each, number in self._journals.items() if each in used}
        return len(old) + gone + len(silent)

    def find_request(self, caller: str, method: str, request_id: str) -> tuple[bytes, bytes] | None:
        return self._requests.get((caller, method, request_id))

    def keep_request(self, caller: str, method: str, request_id: str, request_hash: bytes, response: bytes) -> None:
        self._requests[(caller, method, request_id)] = (request_hash, response)

    def after_commit(self, hook: Callable[[], None]) -> None:
        self.hooks.append(hook)

    def _of(self, queue_id: str) -> list[Entry]:
        found = [entry for entry in self._entries.values() if entry.queue_id == queue_id]
        return sorted(found, key=lambda entry: (-entry.priority, entry.position))


class MemoryTransactor:
    """Use cases over one `MemoryStore`: undone when one raises, with what they promised for after the commit."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    async def write(self, fn: Callable[[QueueStore], T]) -> T:
        """Run `fn`, then its hooks."""
        before = copy.deepcopy(self.store)
        try:
            result = fn(self.store)
        except BaseException:
            self.store = before
            raise
        hooks, self.store.hooks = self.store.hooks, []
        for hook in hooks:
            hook()
        return result

    async def read(self, fn: Callable[[QueueStore], T]) -> T:
        """Run `fn` on a copy."""
        return fn(copy.deepcopy(self.store))


def make_queue(name: str = "default", **changes: Any) -> Queue:
    """A queue whose id is its name in lower case, with dashes."""
    queue = Queue(name.lower().replace(" ", "-"), name, LeasePolicy.STRICT, 1, 0)
    return replace(queue, **changes)


def make_entry(entry_id: str = "entry-1", **changes: Any) -> Entry:
    """A waiting entry of the queue `default`."""
    entry = Entry(entry_id, f"task-of-{entry_id}", "default", EntryState.WAITING, 1_000)
    return replace(entry, **changes)


def make_holder(agent_id: str = "agent-1", **changes: Any) -> Holder:
    """An agent as the holder of attempts."""
    return replace(Holder(agent_id, f"host-of-{agent_id}", f"journal-of-{agent_id}", "boot-1"), **changes)


def make_agent(agent_id: str = "agent-1", **changes: Any) -> Agent:
    """An agent that serves the queue `default`, one assignment at a time."""
    holder = make_holder(agent_id)
    agent = Agent(
        id=agent_id,
        instance_id="instance-1",
        journal_id=holder.journal_id,
        boot_id=holder.boot_id,
        host=holder.host,
        version="0.1.0",
        queue_ids=("default",),
        max_assignments=1,
        connect_millis=1_000,
        heartbeat_millis=1_000,
    )
    return replace(agent, **changes)


def make_attempt(entry: Entry, number: int = 1, agent_id: str = "agent-1", **changes: Any) -> Attempt:
    """An offered attempt of `entry`."""
    attempt = Attempt(Ref(entry.task_id, number), entry.id, make_holder(agent_id), AttemptPhase.OFFERED, 2_000)
    return replace(attempt, **changes)
