"""What was refused to whom: kept so that somebody can ask."""

from __future__ import annotations
