"""What the broker asks of its store, in its own words. A store is bound to one transaction and synchronous."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from batuta_queue.history_store import HistoryStore
from batuta_queue.model import (
    Agent,
    Attempt,
    Drain,
    Entry,
    EntryState,
    Event,
    LeasePolicy,
    Pause,
    Payload,
    Queue,
    QueueCounts,
    Ref,
)
from batuta_queue.share_store import ShareStore


class QueueNameExists(Exception):
    """Another queue has this name."""

    def __init__(self, winner: Queue) -> None:
        super().__init__(winner.name)
        self.winner = winner


@dataclass(frozen=True, slots=True)
class LogBounds:
    """The event log: its own id, the first position still kept, and the last one given (0: none yet)."""

    epoch: str
    first: int
    head: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an entry that comes in meets: itself, others that wait in its queue, the attempts of its task, a pause, and
    the queue's policy; None when there is no such queue."""

    known: bool
    others_wait: bool
    last_attempt: int
    paused: bool = False
    policy: LeasePolicy | None = None


class QueueStore(ShareStore, HistoryStore, Protocol):
    """All rows of the queue service inside one transaction."""

    # queues
    def add_queue(self, queue: Queue) -> None:
        """Store a new queue. Raises `QueueNameExists`."""
        ...

    def queue(self, queue_id: str) -> Queue | None:
        """A queue by id."""
        ...

    def queue_by_name(self, name: str) -> Queue | None:
        """A queue by its name, normalised."""
        ...

    def queues(self, after_name: str, limit: int) -> list[Queue]:
        """Queues by name, those after `after_name`."""
        ...

    def save_queue(self, queue: Queue) -> None:
        """Store name, settings and generation of a queue. Raises `QueueNameExists`."""
        ...

    def drop_queue(self, queue_id: str) -> None:
        """Forget a queue. Entries of it that have not ended have no queue any more."""
        ...

    def pause_queue(self, queue_id: str, pause: Pause | None) -> None:
        """Set or end the pause of a queue."""
        ...

    def count_entries(self, queue_ids: Sequence[str] | None) -> Mapping[str, QueueCounts]:
        """Counts of each of these queues, or of all, that has entries."""
        ...

    # entries
    def entry(self, entry_id: str) -> Entry | None:
        """An entry by id."""
        ...

    def add_entry(self, entry: Entry, payload: Payload) -> None:
        """Store a new entry."""
        ...

    def add_entries(self, new: Sequence[tuple[Entry, Payload]], position: int) -> None:
        """Store many new entries; the first takes the place `position`, each of the others the next one.

        Their newest events have the positions of their places.
        """
        ...

    def entry_states(self, entry_ids: Sequence[str]) -> Mapping[str, EntryState]:
        """The state of each entry that is known."""
        ...

    def save_entries(self, changed: Sequence[Entry]) -> None:
        """Store what changes in an entry's life."""
        ...

    def place_entries(self, moved: Sequence[Entry]) -> None:
        """Store queue, priority and position of entries, and nothing else of them."""
        ...

    def make_room(self, before: Entry) -> int:
        """Have all entries that stand before this one at its priority, and have not ended, move up by one.

        Returns the position that is free now, right before it.
        """
        ...

    def waiting(self, queue_id: str, limit: int, now: int) -> list[tuple[Entry, Payload]]:
        """The next entries that wait and may go now, in their order, locked until the transaction ends. None while the
        queue is paused."""
        ...

    def outlook(self, entry: Entry) -> Outlook:
        """All that decides what happens to an entry that comes in, in one look."""
        ...

    def waiting_queues(self) -> Mapping[str, int]:
        """Queues in which entries wait, with the time from which on all of them may go."""
        ...

    def live_entries(
        self, queue_id: str, after: tuple[int, int] | None, limit: int, states: Collection[EntryState] = ()
    ) -> list[Entry]:
        """Entries that have not ended, in order, those after (priority, position); of these states where some are
        named."""
        ...

    def last_entry(self, queue_id: str) -> Entry | None:
        """The last of `live_entries`."""
        ...

    def payloads(self, entry_ids: Sequence[str]) -> Mapping[str, Payload]:
        """What came along with entries."""
        ...

    # attempts
    def attempt(self, ref: Ref) -> tuple[Entry, Attempt] | None:
        """An attempt and its entry."""
        ...

    def attempts(self, refs: Sequence[Ref]) -> Mapping[Ref, tuple[Entry, Attempt]]:
        """Those of the attempts that there are, with their entries."""
        ...

    def last_attempts(self, task_ids: Sequence[str]) -> Mapping[str, int]:
        """The highest attempt number of each task that has one."""
        ...

    def add_attempts(self, new: Sequence[Attempt]) -> None:
        """Store new attempts."""
        ...

    def save_attempts(self, changed: Sequence[Attempt]) -> None:
        """Store phase and times."""
        ...

    def open_attempts(self, journal_id: str | None = None) -> list[tuple[Entry, Attempt]]:
        """Attempts that have not ended, of one journal or of all, oldest offer first."""
        ...

    # agents
    def save_agent(self, agent: Agent) -> None:
        """Store an agent as its Hello describes it. A drain that stands goes on standing."""
        ...

    def agent(self, agent_id: str) -> Agent | None:
        """An agent by id."""
        ...

    def agents(self, after_id: str, limit: int) -> list[Agent]:
        """Agents by id, those after `after_id`."""
        ...

    def drain_agent(self, agent_id: str, drain: Drain | None) -> None:
        """Set or end the drain of an agent that exists."""
        ...

    def drained_agents(self) -> list[Agent]:
        """Agents whose drain stands."""
        ...

    def agent_left(self, agent_id: str, millis: int) -> None:
        """Note that an agent has left in order, or is known to be gone; its next Hello undoes that."""
        ...

    def heard_since(self, millis: int) -> Mapping[str, int]:
        """When agents were last heard that have not left, those heard since then."""
        ...

    def newest_events(self, entry_ids: Sequence[str]) -> Mapping[str, Event]:
        """What the log says last of each of these entries, made up from its row where the log has forgotten it."""
        ...

    def live_events(self, after_id: str, limit: int) -> list[Event]:
        """The same of entries that have not ended, by entry id, those after `after_id`."""
        ...

    def touch_agents(self, heard: Mapping[str, int]) -> None:
        """Store when agents were last heard."""
        ...

    def report_number(self, journal_id: str) -> int:
        """Highest report number of a journal that is stored; 0 before the first."""
        ...

    def save_report_number(self, journal_id: str, number: int) -> None:
        """Raise the journal's number; a lower one changes nothing."""
        ...

    # events
    def next_positions(self, count: int) -> int:
        """Give out `count` positions of the log; returns the first. Locks the log until the transaction ends."""
        ...

    def add_events(self, new: Sequence[Event]) -> None:
        """Append events, which carry positions of this transaction."""
        ...

    def events(self, after: int, limit: int) -> list[Event]:
        """Events after a position, in order."""
        ...

    def log_bounds(self) -> LogBounds:
        """Where the log begins and ends."""
        ...

    def open_log(self, epoch: str) -> None:
        """Give the log its id, if it has none yet."""
        ...

    def renew_log(self, epoch: str) -> None:
        """Give the log another id: every cursor of before is void."""
        ...

    # the rest
    def purge(self, before: int, limit: int) -> int:
        """Forget up to `limit` each of entries that ended, events that came and agents last heard before a time; not
        agents whose drain stands. With an agent goes its history; few go at a time.

        Returns how many.
        """
        ...

    def find_request(self, caller: str, method: str, request_id: str) -> tuple[bytes, bytes] | None:
        """(hash of the request, serialized response) of a request that had its effect."""
        ...

    def keep_request(self, caller: str, method: str, request_id: str, request_hash: bytes, response: bytes) -> None:
        """Keep the answer of a request."""
        ...

    def after_commit(self, hook: Callable[[], None]) -> None:
        """Run `hook` on the event loop once this transaction is durable, in the order of commits."""
        ...
