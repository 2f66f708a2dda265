"""The broker's numbers (contract §9), in one place. Seconds unless the name says otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from batuta_queue.model import LeasePolicy


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """How long a lease lives without a heartbeat, and whether its end kills the work."""

    kill_when_lost: bool
    lost_after: float
    kill_grace: float


LEASE_TERMS = {
    LeasePolicy.STRICT: LeaseTerms(True, 30 * 60.0, 30.0),
    LeasePolicy.FAST: LeaseTerms(True, 60.0, 10.0),
    LeasePolicy.KEEP: LeaseTerms(False, 0.0, 30.0),
}


@dataclass(frozen=True, slots=True)
class Numbers:
    """All limits and periods of one broker."""

    heartbeat_period: float = 5.0
    heartbeat_jitter: float = 0.1
    """Share by which the period of one agent may differ, so that agents do not beat together."""
    telemetry_period: float = 5.0
    offline_periods: float = 3.0
    heartbeats_per_second: float = 1_000.0
    """What this process takes of all agents together; beyond it the period grows."""
    longest_heartbeat_period: float = 15.0
    """Three of these, the jitter included, still fit into the shortest lease."""
    silence: float = 30.0
    """A stream on which nothing came for so long is ended. Leases are untouched."""
    write_within: float = 20.0
    """A peer that takes nothing for so long loses its stream."""
    max_sessions: int = 20_000
    crowded_retry: float = 10.0
    """When an agent that found no room comes again."""
    hello_within: float = 10.0
    accept_within: float = 10.0
    sweep_period: float = 1.0
    stall_after: float = 5.0
    """A sweep that comes so much late shows that this process stood still: leases get a fresh term, as at a start."""
    registrations: int = 3
    registration_window: float = 8.0
    outgoing_messages: int = 256
    outgoing_bytes: int = 4 * 1024 * 1024
    max_message_bytes: int = 16 * 1024 * 1024
    welcome_payload_bytes: int = 2 * 1024 * 1024
    """Payloads in one Welcome; what does not fit is fetched from the API with the attempt's token."""
    claim_batch: int = 256
    """Entries claimed in one transaction."""
    event_batch: int = 500
    max_watches: int = 1_000
    """Streams of the event log open at once."""
    touch_period: float = 60.0
    """How often the time of the last heartbeat goes to disk."""
    max_queue_entries: int = 2_000_000
    max_queues: int = 100_000
    history_seconds: float = 30 * 24 * 3600.0
    """How long ended entries and their events are kept."""
    purge_period: float = 600.0
    purge_batch: int = 1_000
    attempt_token_seconds: float = 30 * 24 * 3600.0
    attempt_token_grace: float = 3600.0
    """An attempt with a time limit has a token for the limit and this much more."""
    cancel_grace: float = 30.0
    mass_loss_agents: int = 3
    mass_loss_share: float = 0.45
    mass_loss_window: float = 3600.0
    """When more agents than that, and more than that share of all, vanished within this time, lost work stays."""
    disconnect_spread: float = 2.0
    """On shutdown agents are told to come back after a time between 0.1 s and this."""
