"""What code needs around it before it can run: its source, an interpreter with its packages.

`prepare` makes both from a task's spec. Repositories, environments and our own wheel are cached and shared by all
agents of one user; everything here can be cancelled, and ends what it started.
"""

from __future__ import annotations
