"""For tests: who has which agent, in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from batuta_chassis.members import MemoryMembers
from batuta_queue.model import Agent, Attempt, Entry, EntryState, Ref
from batuta_queue.share_store import Placement


class MemoryShares:
    """See `ShareStore`."""

    _entries: dict[str, Entry]
    _attempts: dict[Ref, Attempt]
    _agents: dict[str, Agent]

    def __init__(self) -> None:
        self._members = MemoryMembers()
        self._placements: dict[str, Placement] = {}

    @property
    def members(self) -> MemoryMembers:
        """See `ShareStore.members`."""
        return self._members

    def place(self, placement: Placement) -> None:
        """See `ShareStore.place`."""
        for agent_id, each in self._placements.items():
            if each.journal_id == placement.journal_id:
                self._placements[agent_id] = replace(each, owner=placement.owner, session_id="")
        self._placements[placement.agent_id] = placement

    def placement(self, agent_id: str) -> Placement | None:
        """See `ShareStore.placement`."""
        return self._placements.get(agent_id)

    def end_session(self, agent_id: str, session_id: str) -> None:
        """See `ShareStore.end_session`."""
        known = self._placements.get(agent_id)
        if known is not None and known.session_id == session_id:
            self._placements[agent_id] = replace(known, session_id="")

    def adopt(self, owner: str) -> list[str]:
        """See `ShareStore.adopt`."""
        taken = [
            each
            for each in self._placements.values()
            if not self._members.present(each.owner) and self._has_work(each.agent_id)
        ]
        for each in taken:
            self._placements[each.agent_id] = replace(each, owner=owner, session_id="")
        return [each.agent_id for each in taken]

    def placements(self, owner: str) -> list[Placement]:
        """See `ShareStore.placements`."""
        found = [each for each in self._placements.values() if each.owner == owner]
        return [
            replace(each, view=None, drain=self._agents[each.agent_id].drain if each.agent_id in self._agents else None)
            for each in found
            if each.session_id or self._has_work(each.agent_id)
        ]

    def elsewhere(self, owner: str, agent_ids: Collection[str] | None = None) -> list[Placement]:
        """See `ShareStore.elsewhere`."""
        return [
            replace(each, queue_ids=self._agents[each.agent_id].queue_ids)
            for each in self._placements.values()
            if each.owner != owner and each.session_id and self._members.present(each.owner)
            if agent_ids is None or each.agent_id in agent_ids
        ]

    def owned(self, owner: str, agent_ids: Collection[str]) -> set[str]:
        """See `ShareStore.owned`."""
        return {each for each in agent_ids if each in self._placements and self._placements[each].owner == owner}

    def attempts_of(self, owner: str) -> list[tuple[Entry, Attempt]]:
        """See `ShareStore.attempts_of`."""
        mine = {each.agent_id for each in self._placements.values() if each.owner == owner}
        found = [each for each in self._attempts.values() if not each.phase.ended and each.holder.agent_id in mine]
        return [(self._entries[each.entry_id], each) for each in found]

    def save_views(self, owner: str, views: Mapping[str, bytes]) -> None:
        """See `ShareStore.save_views`."""
        for agent_id in self.owned(owner, views):
            self._placements[agent_id] = replace(self._placements[agent_id], view=views[agent_id])

    def ready_queues(self, queue_ids: Sequence[str], now: int) -> list[str]:
        """See `ShareStore.ready_queues`."""
        ready = {
            each.queue_id
            for each in self._entries.values()
            if each.state is EntryState.WAITING and each.not_before_millis <= now
        }
        return [queue_id for queue_id in queue_ids if queue_id in ready]

    def _has_work(self, agent_id: str) -> bool:
        return any(not each.phase.ended and each.holder.agent_id == agent_id for each in self._attempts.values())
