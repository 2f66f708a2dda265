"""What an agent's messages do, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from batuta_proto.agents import v1 as agents
from batuta_queue.board import Board
from batuta_queue.book import LeaseBook
from batuta_queue.convert import duration
from batuta_queue.convert_session import held_of, ref_message, report_of
from batuta_queue.leases import AGENT_LEFT, STREAM_RESET, VANISHED, Leases
from batuta_queue.model import AttemptPhase, Ref
from batuta_queue.reports import Reports
from batuta_queue.sessions import Session, SessionRegistry
from batuta_queue.share import Share
from batuta_queue.telemetry import Telemetry
from batuta_rpc.clock import Clock

_LONG = 1.0
_log = logging.getLogger(__name__)


class Inbox:
    """Takes the messages of open sessions."""

    def __init__(
        self,
        registry: SessionRegistry,
        book: LeaseBook,
        board: Board,
        leases: Leases,
        reports: Reports,
        telemetry: Telemetry,
        share: Share,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._book = book
        self._board = board
        self._leases = leases
        self._reports = reports
        self._telemetry = telemetry
        self._share = share
        self._clock = clock

    async def take(self, session: Session, message: agents.SessionRequest) -> None:
        """Do what a message asks; a Hello is not for this."""
        kind = message.WhichOneof("message")
        if kind == "heartbeat":
            await self._heartbeat(session, message.heartbeat)
        elif kind == "report":
            await self._report(session, message.report)
        elif kind == "telemetry":
            self._telemetry.keep(session.agent.id, message.telemetry.sample)
        elif kind == "goodbye":
            await self._goodbye(session, message.goodbye)
        else:
            _count_unknown(session)

    def listens_again(self, session: Session, begun: float) -> None:
        """A message was taken. Where that took long, because the store was slow, the silence meanwhile was ours: what
        the agent said is still unread, and proves nothing about it."""
        now = self._clock.monotonic()
        if now - begun > _LONG:
            session.last_heard = max(session.last_heard, now)
            self._book.renew(list(self._book.of(session.agent.journal_id)), now)

    async def _heartbeat(self, session: Session, beat: agents.Heartbeat) -> None:
        held = held_of(beat.held)
        leased = self._book.of(session.agent.journal_id)
        now = self._clock.monotonic()
        # What has ended over there needs no killing; its report is on its way.
        lost = [ref for ref, phase in held.items() if ref not in leased and not phase.ended]
        vanished = [
            ref
            for ref, lease in leased.items()
            if lease.answered and ref not in held and lease.holder.boot_id == session.agent.boot_id
        ]
        self._book.renew(held, now)
        if beat.heartbeat_number != session.heartbeat_number + 1:
            # Nothing is lost inside a stream, so one of the two has forgotten what it knew: let it say all again.
            session.ask_again(now)
        session.heartbeat_number = beat.heartbeat_number
        session.pace(self._registry.period())
        if beat.unhealthy_reason != session.unhealthy_reason:
            words = (
                f"is not well and gets no work: {beat.unhealthy_reason}" if beat.unhealthy_reason else "is well again"
            )
            _log.warning("agent %s %s", session.agent.id, words)
        session.beat(held, beat.free_assignments, beat.draining, now, beat.unhealthy_reason)
        if not self._share.confirmed:
            # Another broker may answer for this agent by now: say that we are there, and touch no lease.
            self._tell_lost(session, 0, ())
            return
        self._tell_lost(session, beat.heartbeat_number, lost)
        await self._leases.lose(vanished, VANISHED)
        self._board.refresh(session)

    async def _report(self, session: Session, message: agents.AssignmentReport) -> None:
        session.last_heard = self._clock.monotonic()
        if message.report_number > session.report_number:
            report = report_of(message, self._clock.unix_millis())
            if report.phase is AttemptPhase.REJECTED and report.ref in session.offers:
                session.refused()
            gone = await self._reports.take(session.agent.journal_id, [report])
            session.report_number = message.report_number
            if gone:
                # Ahead of the acknowledgement, which would else permit the start of what somebody else may have by now.
                self._tell_lost(session, 0, gone)
        ack = agents.ReportAck(report_number=session.report_number)
        session.outgoing.put(agents.SessionResponse(report_ack=ack))

    async def _goodbye(self, session: Session, goodbye: agents.Goodbye) -> None:
        session.draining = True
        self._board.refresh(session)
        await self._leases.give_back(list(session.offers), STREAM_RESET)
        # A newer process of this agent may have come meanwhile: what it has is not this one's to give.
        if not goodbye.keep_leases and session.open:
            await self._leases.lose(list(self._book.of(session.agent.journal_id)), AGENT_LEFT)
        if session.open:
            await self._leases.note_left(session.agent.id)
        session.outgoing.finish()

    @staticmethod
    def _tell_lost(session: Session, heartbeat_number: int, lost: Iterable[Ref]) -> None:
        ack = agents.HeartbeatAck(
            heartbeat_number=heartbeat_number,
            heartbeat_period=duration(session.period),
            lost=[ref_message(ref) for ref in lost],
        )
        session.outgoing.put(agents.SessionResponse(heartbeat_ack=ack))


def _count_unknown(session: Session) -> None:
    """A newer agent's message: whoever sends it does not rely on it."""
    session.unknown_messages += 1
    count = session.unknown_messages
    if count == 10 ** (len(str(count)) - 1):  # the first, the tenth, the hundredth
        _log.warning(
            "agent %s (release %s) has sent %d messages of a kind that this broker does not know; they are ignored",
            session.agent.id,
            session.agent.version,
            count,
        )
