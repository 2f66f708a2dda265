"""The connections of a process to PostgreSQL, so that they can be ended under those who wait on them."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from weakref import WeakSet

import psycopg
from sqlalchemy.engine import interfaces


class Links:
    """All connections of one database. A thread that reads from a server that is frozen returns only so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: WeakSet[psycopg.Connection[object]] = WeakSet()
        self._is_cut = False

    def add(self, raw: psycopg.Connection[object]) -> None:
        """A connection was made."""
        with self._lock:
            self._open.add(raw)
            if self._is_cut:
                _shut(raw)

    def refuse(self, *_connecting: object) -> interfaces.DBAPIConnection | None:
        """Before a connection is made. Raises `psycopg.OperationalError` once all are cut."""
        if self._is_cut:
            raise psycopg.OperationalError("this process is going down and makes no more connections")
        return None

    def cut(self) -> None:
        """End all, and refuse new ones. Whoever waits for an answer hears that the connection is lost."""
        with self._lock:
            self._is_cut = True
            for raw in list(self._open):
                _shut(raw)


def _shut(raw: psycopg.Connection[object]) -> None:
    # A copy of the descriptor: the driver closes its own when it sees the end.
    with contextlib.suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(raw.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)
