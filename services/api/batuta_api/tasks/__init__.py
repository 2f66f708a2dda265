"""Tasks and their life."""

from __future__ import annotations
