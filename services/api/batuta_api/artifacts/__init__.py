"""Artifacts of tasks: files by (attempt, name), whole or not there."""

from __future__ import annotations
