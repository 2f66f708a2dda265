"""What a run is made of: its script, its repository, its packages."""

from __future__ import annotations
