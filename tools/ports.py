"""A port that nobody listens on now."""

from __future__ import annotations

import socket


def free_port() -> int:
    """On loopback. Somebody else may take it before its asker does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
