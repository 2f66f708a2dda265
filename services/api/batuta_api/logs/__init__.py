"""Logs of tasks: bytes by (attempt, producer, offset)."""

from __future__ import annotations
