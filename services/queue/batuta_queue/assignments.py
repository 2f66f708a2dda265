"""Assignments as agents get them, each with its token. The token is signed when it is sent and never stored."""

from __future__ import annotations

from datetime import timedelta

from batuta_chassis.tokens import Signer
from batuta_proto.agents import v1 as agents
from batuta_queue.convert_session import assignment_message
from batuta_queue.model import NO_PAYLOAD, Attempt, Entry, Payload
from batuta_queue.numbers import Numbers
from batuta_rpc.clock import Clock


class Assignments:
    """Makes `Assignment` messages."""

    def __init__(self, signer: Signer, numbers: Numbers, clock: Clock) -> None:
        self._signer = signer
        self._numbers = numbers
        self._clock = clock

    def make(self, entry: Entry, attempt: Attempt, payload: Payload = NO_PAYLOAD) -> agents.Assignment:
        """One assignment, with a token for this attempt only."""
        life = self._numbers.attempt_token_seconds
        if entry.time_limit_millis is not None:
            life = min(life, entry.time_limit_millis / 1000 + self._numbers.attempt_token_grace)
        expires = self._clock.now() + timedelta(seconds=life)
        token = self._signer.sign_attempt(attempt.ref.task_id, attempt.ref.attempt, expires)
        return assignment_message(entry, attempt, payload, token, self._numbers.accept_within)
