"""How much of everything one run of the bench does, and where it may write."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Plan:
    """`rounds` of each comparison; `quick` runs check that the bench works, their figures mean nothing."""

    rounds: int
    quick: bool
    scratch: Path
    seed: int = 20

    def count(self, whole: int, quick: int) -> int:
        """Operations per round."""
        return quick if self.quick else -(-whole // self.rounds)

    def progress(self, text: str) -> None:
        """Tell whoever waits what runs now."""
        print(f"  {text}", file=sys.stderr, flush=True)
