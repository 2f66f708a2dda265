"""The leases in memory: every open attempt, whose it is, and when its agent last said that it has it.

A mirror of the open rows, changed only by what was committed, plus the renewals, which are not stored: after a start
of the broker every lease gets a fresh full term, so there is nothing to lose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from batuta_queue.model import Attempt, AttemptPhase, Cancel, Entry, Holder, LeasePolicy, Ref
from batuta_queue.numbers import LEASE_TERMS


@dataclass(slots=True)
class Lease:
    """One open attempt. `since` is when it was last renewed or, while unanswered, offered; seconds, monotonic."""

    ref: Ref
    entry_id: str
    queue_id: str
    holder: Holder
    policy: LeasePolicy
    phase: AttemptPhase
    cancel: Cancel | None
    accept_millis: int | None
    since: float

    @property
    def answered(self) -> bool:
        """Whether the agent has accepted it."""
        return self.phase > AttemptPhase.OFFERED


class LeaseBook:
    """All leases of this broker."""

    def __init__(self) -> None:
        self._by_ref: dict[Ref, Lease] = {}
        self._by_journal: dict[str, dict[Ref, Lease]] = {}
        # In the order in which they were made, which is the order in which they run out.
        self._offers: dict[Ref, Lease] = {}

    def __len__(self) -> int:
        return len(self._by_ref)

    def get(self, ref: Ref) -> Lease | None:
        """The lease of an open attempt."""
        return self._by_ref.get(ref)

    def refs(self) -> list[Ref]:
        """All open attempts."""
        return list(self._by_ref)

    def of(self, journal_id: str) -> dict[Ref, Lease]:
        """The open attempts of a journal. Not to be changed."""
        return self._by_journal.get(journal_id, {})

    def note(self, entry: Entry, attempt: Attempt, now: float) -> None:
        """Follow a committed change of an attempt: open, advance or close its lease."""
        if attempt.phase.ended:
            self._close(attempt.ref)
            return
        lease = self._by_ref.get(attempt.ref)
        if lease is None:
            lease = Lease(
                attempt.ref,
                entry.id,
                entry.queue_id,
                attempt.holder,
                entry.policy,
                attempt.phase,
                entry.cancel,
                attempt.accept_millis,
                now,
            )
            self._by_ref[attempt.ref] = lease
            self._by_journal.setdefault(attempt.holder.journal_id, {})[attempt.ref] = lease
            if not lease.answered:
                self._offers[attempt.ref] = lease
            return
        if not lease.answered and attempt.phase > AttemptPhase.OFFERED:
            self._offers.pop(attempt.ref, None)
            lease.since = now
        lease.phase, lease.cancel, lease.accept_millis = attempt.phase, entry.cancel, attempt.accept_millis

    def catch_up(self, entry: Entry, attempt: Attempt, now: float) -> bool:
        """Follow what was read from the database, which memory may be ahead of. Whether a wish to stop is news."""
        lease = self._by_ref.get(attempt.ref)
        if lease is None or attempt.phase > lease.phase:
            self.note(entry, attempt, now)
            return lease is None or lease.cancel is not None
        news = entry.cancel is not None and lease.cancel != entry.cancel
        if news:
            lease.cancel = entry.cancel
        return news

    def drop(self, ref: Ref) -> None:
        """Forget a lease that is not ours any more."""
        self._close(ref)

    def clear(self) -> None:
        """Forget all leases."""
        for ref in self.refs():
            self._close(ref)

    def renew(self, refs: Iterable[Ref], now: float) -> None:
        """The agent said that it holds these."""
        for ref in refs:
            lease = self._by_ref.get(ref)
            if lease is not None and lease.answered:
                lease.since = now

    def renew_all(self, now: float) -> None:
        """Give every lease and every offer a fresh full term."""
        for lease in self._by_ref.values():
            lease.since = now

    def unanswered(self, now: float, accept_within: float) -> list[Lease]:
        """Offers whose time to answer is over."""
        late: list[Lease] = []
        for lease in self._offers.values():
            if now - lease.since < accept_within:
                break
            late.append(lease)
        return late

    def expired(self, now: float) -> list[Lease]:
        """Accepted attempts whose agent was not heard of for as long as their policy allows."""
        return [lease for lease in self._running() if self._is_over(lease, now)]

    def _running(self) -> Iterator[Lease]:
        return (lease for lease in self._by_ref.values() if lease.answered)

    @staticmethod
    def _is_over(lease: Lease, now: float) -> bool:
        terms = LEASE_TERMS[lease.policy]
        return terms.kill_when_lost and now - lease.since >= terms.lost_after

    def _close(self, ref: Ref) -> None:
        lease = self._by_ref.pop(ref, None)
        if lease is None:
            return
        self._offers.pop(ref, None)
        of_journal = self._by_journal[lease.holder.journal_id]
        del of_journal[ref]
        if not of_journal:
            del self._by_journal[lease.holder.journal_id]
