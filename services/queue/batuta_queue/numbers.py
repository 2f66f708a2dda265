"""The broker's numbers (contract §9), in one place. Seconds unless the name says otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from batuta_chassis.database_times import DatabaseTimes
from batuta_chassis.limits import limit
from batuta_queue.model import LeasePolicy


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """How long a lease lives without a heartbeat, and whether its end kills the work."""

    kill_when_lost: bool
    lost_after: float
    kill_grace: float

    @property
    def stop_after(self) -> float:
        """When the shim stops the work by itself, from the sending of the last heartbeat that was acknowledged."""
        return self.lost_after * 0.99 - self.kill_grace - 5.0


LEASE_TERMS = {
    LeasePolicy.STRICT: LeaseTerms(True, 30 * 60.0, 30.0),
    LeasePolicy.FAST: LeaseTerms(True, 60.0, 10.0),
    LeasePolicy.KEEP: LeaseTerms(False, 0.0, 30.0),
}


@dataclass(frozen=True, slots=True)
class Numbers(DatabaseTimes):
    """All limits and periods of one broker. Raises `ValueError` for periods that a lease would not survive."""

    heartbeat_period: float = limit(5.0, "seconds between two heartbeats of an agent", low=0.1)
    heartbeats_per_second: float = limit(1_000.0, "heartbeats of all agents together; beyond it they are more seldom")
    longest_heartbeat_period: float = limit(15.0, "seconds between two heartbeats at most, in any crowd", low=0.1)
    heartbeat_jitter: float = 0.1
    """Share by which the period of one agent may differ, so that agents do not beat together."""
    telemetry_period: float = limit(5.0, "seconds between two samples of machine and GPUs", low=0.1)
    offline_periods: float = 3.0
    silence: float = limit(30.0, "seconds without any message after which a session is ended; leases stay")
    write_within: float = limit(20.0, "seconds for which a peer may take nothing before it loses its stream")
    hello_within: float = 10.0
    accept_within: float = limit(10.0, "seconds that an offer waits for its answer")
    sweep_period: float = 1.0
    stall_after: float = 5.0
    """A sweep that comes so much late shows that this process stood still: leases get a fresh term, as at a start."""
    max_sessions: int = limit(20_000, "agents connected at once")
    crowded_retry: float = 10.0
    """When an agent that found no room comes again."""
    registrations: int = limit(3, "registrations of one agent within 8 s")
    registration_window: float = 8.0
    outgoing_messages: int = limit(256, "messages that wait for one agent to read them")
    outgoing_bytes: int = limit(4 * 1024 * 1024, "bytes of the messages that wait for one agent", low=1024)
    max_message_bytes: int = 16 * 1024 * 1024
    welcome_payload_bytes: int = 2 * 1024 * 1024
    """Payloads in one Welcome; what does not fit is fetched from the API with the attempt's token."""
    claim_batch: int = limit(256, "entries claimed in one transaction")
    max_watches: int = limit(1_000, "streams of the event log open at once")
    event_batch: int = limit(500, "events in one answer of the event log")
    touch_period: float = 60.0
    """How often the time of the last heartbeat goes to disk."""
    max_queues: int = limit(100_000, "queues")
    max_queue_entries: int = limit(2_000_000, "entries of one queue that have not ended")
    max_payload_bytes: int = limit(1024 * 1024, "bytes of one entry's payload; 1 MiB at most", low=0)
    history_seconds: float = limit(30 * 24 * 3600.0, "seconds for which ended entries and events are kept", low=60)
    purge_period: float = 600.0
    purge_batch: int = 1_000
    attempt_token_seconds: float = limit(30 * 24 * 3600.0, "life of an attempt's token in seconds", low=60)
    attempt_token_grace: float = 3600.0
    """An attempt with a time limit has a token for the limit and this much more."""
    cancel_grace: float = limit(30.0, "seconds between SIGINT and SIGKILL where nobody said otherwise", low=0)
    mass_loss_agents: int = limit(3, "so many agents may vanish without making a mass loss", low=0)
    mass_loss_share: float = limit(0.45, "so large a share of all may vanish, from 0 to 1", low=0)
    mass_loss_window: float = limit(3600.0, "seconds for which an agent counts as vanished", low=0)
    disconnect_spread: float = 2.0
    """On shutdown agents are told to come back after a time between 0.1 s and this."""

    def __post_init__(self) -> None:
        """Refuse periods that do not go together."""
        DatabaseTimes.__post_init__(self)
        longest = max(self.heartbeat_period, self.longest_heartbeat_period) * (1 + self.heartbeat_jitter)
        shortest = min(terms.stop_after for terms in LEASE_TERMS.values() if terms.kill_when_lost)
        if 2 * longest > shortest:
            raise ValueError(
                f"two heartbeats of {longest:g} s do not fit into the {shortest:g} s after which a shim stops its work "
                "under the lease policy FAST: choose a shorter heartbeat_period and longest_heartbeat_period"
            )
