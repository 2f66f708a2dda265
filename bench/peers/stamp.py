"""How a job says that it has begun: one datagram to the driver's socket."""

from __future__ import annotations

import os
import socket
import time

_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


def send_stamp(number: int) -> None:
    """Tell the driver: job `number` runs now. Jobs with negative numbers keep silent."""
    now = time.perf_counter_ns()
    if number > 0:
        _socket.sendto(f"{number} {now}".encode(), os.environ["PEERS_SOCKET"])
