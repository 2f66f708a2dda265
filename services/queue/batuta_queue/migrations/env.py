"""Alembic's entry."""

from __future__ import annotations

from batuta_chassis.migrations import run_env
from batuta_queue.tables import metadata

run_env(metadata)
