"""What committed steps wake: leases, credit, waiting queues, readers of the log. Runs on the event loop, in the order
of the commits."""

from __future__ import annotations

from collections.abc import Sequence

from batuta_chassis.hub import Hub
from batuta_queue import signals
from batuta_queue.board import Board
from batuta_queue.book import LeaseBook
from batuta_queue.load import Load
from batuta_queue.model import Attempt, Entry, EntryState
from batuta_queue.sessions import SessionRegistry
from batuta_queue.spans import Spans
from batuta_queue.transitions import Step
from batuta_queue.waits import Waits
from batuta_rpc.clock import Clock


class Aftermath:
    """Carries committed steps into memory."""

    def __init__(
        self,
        book: LeaseBook,
        registry: SessionRegistry,
        board: Board,
        load: Load,
        hub: Hub,
        clock: Clock,
        spans: Spans,
        waits: Waits,
    ) -> None:
        self._spans = spans
        self._book = book
        self._registry = registry
        self._board = board
        self._load = load
        self._hub = hub
        self._waits = waits
        self._clock = clock

    def __call__(self, steps: Sequence[Step]) -> None:
        """Take the steps of one transaction."""
        now = self._clock.monotonic()
        for step in steps:
            if step.attempt is not None:
                self._follow(step, step.attempt, now)
                self._count(step, step.attempt)
        # Of several steps of one entry the last one counts: what was submitted and offered at once does not wait.
        for entry in {step.entry.id: step.entry for step in steps}.values():
            if entry.state is EntryState.WAITING:
                self._wait(entry)
        self._load.follow(steps)
        if any(step.logged for step in steps):
            self._hub.publish(signals.EVENTS)

    def _follow(self, step: Step, attempt: Attempt, now: float) -> None:
        lease = self._book.get(attempt.ref)
        known = lease is not None
        if not known and not step.new_attempt:
            # Not in the book of the broker that answers for its agent: that is another one, and must look.
            self._hub.publish(signals.attempt(attempt.ref))
            return
        if lease is not None and not lease.answered:
            self._spans.accepted(step.entry, attempt)
        self._book.note(step.entry, attempt, now)
        session = self._registry.of_journal(attempt.holder.journal_id)
        if session is None:
            return
        if attempt.phase.ended:
            if known:
                session.closed(attempt.ref)
        elif step.new_attempt:
            session.opened(attempt.ref)
        else:
            session.accepted(attempt.ref)
        self._board.refresh(session)

    def _count(self, step: Step, attempt: Attempt) -> None:
        """An agent has taken an entry, which had waited until then."""
        entry = step.entry
        taken = step.logged and step.entry_changed and entry.state is EntryState.RUNNING
        if taken and entry.queue_id and attempt.accept_millis is not None:
            self._waits.note(entry.queue_id, attempt.accept_millis - entry.wait_millis)

    def _wait(self, entry: Entry) -> None:
        if entry.not_before_millis > self._clock.unix_millis():
            self._board.mark_at(entry.queue_id, entry.not_before_millis)
        else:
            self._board.mark(entry.queue_id, entry.not_before_millis)
            self._hub.publish(signals.queue(entry.queue_id))
