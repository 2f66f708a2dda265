"""People and machines: credentials and tokens."""

from __future__ import annotations
