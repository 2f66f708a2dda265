"""What agents report about assignments, made durable before it is acknowledged."""

from __future__ import annotations

from batuta_chassis.transactions import Transactor
from batuta_queue.ledger import Aftermath, Ledger
from batuta_queue.model import Ref, Report
from batuta_queue.store import QueueStore
from batuta_queue.transitions import report
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids


class Reports:
    """The use case of reports."""

    def __init__(self, transactor: Transactor[QueueStore], aftermath: Aftermath, clock: Clock, ids: Ids) -> None:
        self._transactor = transactor
        self._aftermath = aftermath
        self._clock = clock
        self._ids = ids

    async def take(self, journal_id: str, said: list[Report]) -> list[Ref]:
        """Store reports of one journal, in order. Returns once they are durable.

        A report about an attempt that this journal does not hold any more, or that says nothing new, has no effect
        and counts as stored all the same: the agent must not send it for ever. Returned are the attempts that it goes
        on with though it does not hold them any more: it must be told before it hears that the report is stored.
        """
        return await self._transactor.write(lambda store: self._take(store, journal_id, said))

    def _take(self, store: QueueStore, journal_id: str, said: list[Report]) -> list[Ref]:
        now = self._clock.unix_millis()
        gone: list[Ref] = []
        for each in said:
            found = store.attempt(each.ref)
            if found is None or found[1].holder.journal_id != journal_id or found[1].phase.ended:
                if not each.phase.ended:
                    gone.append(each.ref)
                continue
            entry, attempt = found
            step = report(entry, attempt, each, now, self._ids.uniform(0, 1))
            if step is not None:
                # Written one by one: two reports of one message burst may be about the same attempt.
                ledger = Ledger(store, self._aftermath)
                ledger.record(step)
                ledger.write()
        store.save_report_number(journal_id, max(each.number for each in said))
        return gone
