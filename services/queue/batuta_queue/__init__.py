"""The queue service: queues, entries, attempts, leases and agent sessions; a general broker."""

from __future__ import annotations
