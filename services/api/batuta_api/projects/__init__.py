"""Projects: named places for tasks."""

from __future__ import annotations
