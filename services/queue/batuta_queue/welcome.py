"""The first words of a session: Welcome, then what still stands."""

from __future__ import annotations

from batuta_proto.agents import v1 as agents
from batuta_queue.assignments import Assignments
from batuta_queue.convert import duration, timestamp
from batuta_queue.convert_session import cancel_message, drain_message
from batuta_queue.join import Joined
from batuta_queue.model import NO_PAYLOAD
from batuta_queue.numbers import Numbers
from batuta_queue.sessions import Session
from batuta_rpc.clock import Clock

CAPABILITIES = ("resync",)
"""What this broker can beyond the first release."""


class Greeter:
    """Writes the messages that begin and end a session."""

    def __init__(self, assignments: Assignments, numbers: Numbers, clock: Clock) -> None:
        self._assignments = assignments
        self._numbers = numbers
        self._clock = clock

    def greet(self, session: Session, joined: Joined, resumed: bool) -> None:
        """Put Welcome and the standing cancels into a session's queue."""
        welcome = agents.Welcome(
            session_id=session.id,
            resumed=resumed,
            heartbeat_period=duration(session.period),
            telemetry_period=duration(self._numbers.telemetry_period),
            expected=self._expected(joined),
            capabilities=CAPABILITIES,
            max_message_bytes=self._numbers.max_message_bytes,
            server_time=timestamp(self._clock.unix_millis()),
            report_number=joined.report_number,
        )
        session.outgoing.put(agents.SessionResponse(welcome=welcome))
        for entry, attempt, _ in joined.expected:
            if entry.cancel is not None:
                session.outgoing.put(cancel_message(attempt.ref, entry.cancel))

        if joined.drain is not None and session.can("drain"):
            session.outgoing.put(drain_message(joined.drain))

    def disconnect(self, after: float) -> agents.SessionResponse:
        """Come back in so many seconds."""
        return agents.SessionResponse(disconnect=agents.Disconnect(reconnect_after=duration(after)))

    def _expected(self, joined: Joined) -> list[agents.Assignment]:
        room = self._numbers.welcome_payload_bytes
        expected: list[agents.Assignment] = []
        for entry, attempt, payload in joined.expected:
            room -= len(payload.data)
            # Without its payload an assignment is whole all the same: the agent asks the API.
            expected.append(self._assignments.make(entry, attempt, payload if room >= 0 else NO_PAYLOAD))
        return expected
