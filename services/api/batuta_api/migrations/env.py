"""Runs the migrations of the API's schema."""

from __future__ import annotations

from batuta_api.wiring import METADATA
from batuta_chassis.migrations import run_env

run_env(METADATA)
