"""Open sessions in memory: who is connected, and how much work each may still be given."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from batuta_proto.agents import v1 as agents
from batuta_queue.book import LeaseBook
from batuta_queue.model import Agent, AttemptPhase, Drain, Ref
from batuta_queue.numbers import Numbers
from batuta_queue.outgoing import Outgoing
from batuta_rpc.errors import AgentNameTaken, RateLimited, RpcError, SessionSuperseded

_REMEMBERED = 100_000
_RESYNC_PAUSE = 30.0
_LONGEST_PAUSE = 64
"""Heartbeats, at most, for which an agent that refuses whatever it is offered is left alone."""


class Session:
    """One agent's open stream.

    Credit is the smaller of two numbers: what `max_assignments` leaves beside the attempts that are open here, and what
    the agent itself said was free (its last heartbeat, corrected by what happened since).
    """

    def __init__(
        self,
        session_id: str,
        agent: Agent,
        book: LeaseBook,
        outgoing: Outgoing,
        period: float,
        now: float,
        share: float = 1.0,
        start_number: int = 0,
    ) -> None:
        """`period` is how often agents send a heartbeat, in seconds, and `share` what this one makes of it, so that
        agents do not beat together. `start_number`: the how-manieth process on its state folder it is; 0: not told."""
        self.id = session_id
        self.start_number = start_number
        self._share = share
        self._period = self._period_before = period
        self.agent = agent
        self.outgoing = outgoing
        self.last_heard = now
        self.heartbeat_number = 0
        self.report_number = 0
        self.reserved = 0
        self.unknown_messages = 0
        self.resync_asked = False
        self.taking = False
        """A message of it is being taken, and the next ones wait for that."""
        self._ask_after = 0.0
        self.draining = False
        """It said itself that it takes no more."""
        self.unhealthy_reason = ""
        self.drain: Drain | None = None
        """An operator's, known here from its Hello on."""
        self.offers: set[Ref] = set()
        """Offered on this very stream and not answered: they go back when it breaks."""
        self._book = book
        self._free = agent.max_assignments
        self._pause = 0
        self._refusals = 0

    @property
    def open(self) -> bool:
        """Whether messages can still be sent."""
        return self.outgoing.open

    @property
    def period(self) -> float:
        """How often this agent sends a heartbeat."""
        return self._period * self._share

    @property
    def longest_period(self) -> float:
        """The longest period that it may still go by, its own share aside: what it was told last, or before that."""
        return max(self._period, self._period_before)

    def pace(self, period: float) -> None:
        """How often agents send heartbeats from now on; the answer to its heartbeat tells it so."""
        self._period_before, self._period = self._period, period

    @property
    def credit(self) -> int:
        """How many more assignments may be offered now."""
        if self.drain or self.draining or self.unhealthy_reason or self._pause or not self.outgoing.open:
            return 0
        taken = len(self._book.of(self.agent.journal_id))
        return max(0, min(self.agent.max_assignments - taken, self._free) - self.reserved)

    def pause(self) -> None:
        """Offer nothing before the next heartbeat."""
        self._pause = max(self._pause, 1)

    def refused(self) -> None:
        """It refused or ignored an offer: offer nothing before the next heartbeat, and twice as long each time that
        this happens again before it has accepted something."""
        if not self._pause:  # of several offers at once it refuses several, which is one refusal
            self._refusals += 1
            self._pause = min(2 ** (self._refusals - 1), _LONGEST_PAUSE)

    def opened(self, ref: Ref) -> None:
        """An attempt was given to this agent."""
        self._free -= 1
        self.offers.add(ref)

    def accepted(self, ref: Ref) -> None:
        """It took an offer, or goes on with what it took."""
        if ref in self.offers:
            self.offers.discard(ref)
            self._refusals = 0

    def closed(self, ref: Ref) -> None:
        """An attempt of this agent ended or went elsewhere."""
        self._free += 1
        self.offers.discard(ref)

    def can(self, capability: str) -> bool:
        """Whether the agent declared an optional behaviour: what needs it is not sent to others."""
        return capability in self.agent.capabilities

    def ask_again(self, now: float) -> None:
        """Have the agent say everything again, if it can; not twice within a pause, for the answer is a transaction.
        It comes as a second Hello."""
        if self.can("resync") and not self.resync_asked and now >= self._ask_after:
            self._ask_after = now + _RESYNC_PAUSE
            self.resync_asked = self.outgoing.put(agents.SessionResponse(resync=agents.Resync()))

    def beat(
        self, held: Mapping[Ref, AttemptPhase], free: int, draining: bool, now: float, unhealthy_reason: str = ""
    ) -> None:
        """Take a heartbeat's word for what is free.

        Offers that it had not seen yet will take a place; ended attempts that it still holds, for want of our
        acknowledgement, are about to leave theirs.
        """
        self.last_heard = now
        self._pause = max(0, self._pause - 1)
        self.draining = draining
        self.unhealthy_reason = unhealthy_reason
        unseen = sum(1 for ref in self.offers if ref not in held)
        leaving = sum(1 for phase in held.values() if phase.ended)
        self._free = free - unseen + leaving

    def held_at_start(self, held: Iterable[AttemptPhase]) -> None:
        """Count what the agent brought along against its places; a Hello does not say what is free."""
        self._free = self.agent.max_assignments - sum(1 for phase in held if not phase.ended)


class SessionRegistry:
    """The open sessions by agent, at most one for each agent and for each journal."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self._by_agent: dict[str, Session] = {}
        self._by_journal: dict[str, Session] = {}
        self._registrations: dict[str, deque[float]] = {}
        self._last: dict[str, tuple[Agent, str]] = {}
        self._retired: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._by_agent)

    def all(self) -> list[Session]:
        """Every open session."""
        return list(self._by_agent.values())

    def of_agent(self, agent_id: str) -> Session | None:
        """The session of an agent."""
        return self._by_agent.get(agent_id)

    def of_journal(self, journal_id: str) -> Session | None:
        """The session whose agent keeps this state folder."""
        return self._by_journal.get(journal_id)

    def online(self, session: Session | None, now: float) -> bool:
        """Whether a session is open and was heard within three periods."""
        if session is None or not session.open:
            return False
        return now - session.last_heard < session.longest_period * self._numbers.offline_periods

    def period(self) -> float:
        """How often agents send heartbeats: more seldom when there are many, but never so seldom that a lease or the
        word OFFLINE would depend on one lost heartbeat."""
        crowded = len(self._by_agent) / self._numbers.heartbeats_per_second
        return max(self._numbers.heartbeat_period, min(crowded, self._numbers.longest_heartbeat_period))

    def admit(self, agent: Agent, now: float, start_number: int = 0) -> None:
        """Check that an agent may open a session. Raises `RateLimited`, `AgentNameTaken`, or `SessionSuperseded` for a
        process whose state folder a newer one has by now: its Hello was long on its way."""
        agent_id, journal_id = agent.id, agent.journal_id
        if len(self._by_agent) >= self._numbers.max_sessions and agent_id not in self._by_agent:
            raise RateLimited(
                f"{len(self._by_agent)} agents are connected, as many as this broker serves (max_sessions)",
                retry_delay=self._numbers.crowded_retry,
            )
        self._limit_rate(agent_id, now)
        if agent.instance_id in self._retired or self.is_overtaken(journal_id, start_number, now):
            raise overtaken(agent_id)
        other = self._by_agent.get(agent_id)
        if other is not None and other.agent.journal_id != journal_id and self.online(other, now):
            raise name_taken(agent_id, other.agent.host)

    def is_overtaken(self, journal_id: str, start_number: int, now: float) -> bool:
        """Whether a process that opened this state folder later is connected. An older copy of a folder whose agent is
        gone is none: it goes on where the backup was made."""
        there = self._by_journal.get(journal_id)
        return there is not None and 0 < start_number < there.start_number and self.online(there, now)

    def resumes(self, agent_id: str, instance_id: str, session_id: str) -> bool:
        """Whether this process had that session, and nobody else had one since."""
        last, last_id = self._last.get(agent_id, (None, ""))
        return bool(session_id) and last is not None and (last.instance_id, last_id) == (instance_id, session_id)

    def replace(self, session: Session) -> list[Session]:
        """Make `session` the one of its agent and journal. Returns those that it ends."""
        old = {self._by_agent.get(session.agent.id), self._by_journal.get(session.agent.journal_id)}
        ended = [each for each in old if each is not None]
        for each in ended:
            self.remove(each)
            each.outgoing.fail(superseded(each, session.agent.instance_id, session.id))
        self._by_agent[session.agent.id] = session
        self._by_journal[session.agent.journal_id] = session
        last, _ = self._last.pop(session.agent.id, (session.agent, ""))
        self._last[session.agent.id] = (session.agent, session.id)
        if last.journal_id == session.agent.journal_id and last.instance_id != session.agent.instance_id:
            self._retired[last.instance_id] = None
        for remembered in (self._last, self._retired):
            if len(remembered) > _REMEMBERED:
                del remembered[next(iter(remembered))]
        return ended

    def remove(self, session: Session) -> None:
        """Forget a session; nothing happens when another has taken its place."""
        if self._by_agent.get(session.agent.id) is session:
            del self._by_agent[session.agent.id]
        if self._by_journal.get(session.agent.journal_id) is session:
            del self._by_journal[session.agent.journal_id]

    def _limit_rate(self, agent_id: str, now: float) -> None:
        window = self._numbers.registration_window
        recent = self._registrations.pop(agent_id, deque())
        while recent and now - recent[0] >= window:
            recent.popleft()
        refused = len(recent) >= self._numbers.registrations
        if not refused:
            recent.append(now)
        self._registrations[agent_id] = recent
        if len(self._registrations) > _REMEMBERED:
            del self._registrations[next(iter(self._registrations))]
        if refused:
            wait = window - (now - recent[0])
            raise RateLimited(
                f"agent {agent_id} connected {len(recent)} times within {window:g} s; come again in {wait:.1f} s",
                retry_delay=wait,
                agent_id=agent_id,
            )


def name_taken(agent_id: str, host: str) -> AgentNameTaken:
    """The error for an agent whose name another one has, which is connected from `host`."""
    return AgentNameTaken(
        f"an agent named {agent_id} is connected from {host or 'another host'} with another state "
        "folder. If this machine is a copy of that one, delete the copied state folder; else start one of the "
        "two under another name (--name), or stop the other",
        agent_id=agent_id,
        host=host,
        resource=("agent", agent_id),
    )


def overtaken(agent_id: str) -> SessionSuperseded:
    """The error for a process whose state folder a newer one has."""
    return SessionSuperseded("a newer process of this agent took over: exit", agent_id=agent_id)


def superseded(old: Session, instance_id: str, session_id: str) -> RpcError:
    """The end of a session whose agent has a newer one, of a process `instance_id`."""
    same = old.agent.instance_id == instance_id
    return SessionSuperseded(
        "this process opened another session" if same else "a newer process of this agent took over: exit",
        agent_id=old.agent.id,
        session_id=session_id,
        instance_id=instance_id,
    )
