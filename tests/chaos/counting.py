"""How many seeded runs a session made, and how many invariants they broke."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counted over a session."""

    runs: int = 0
    breaks: list[str] = field(default_factory=list[str])

    def judge(self, what: str, found: list[str]) -> None:
        """Count one run. Fails the test when something broke."""
        self.runs += 1
        self.breaks += [f"{what}: {line}" for line in found]
        assert not found, f"{what}\n" + "\n".join(found)


TALLY = Tally()
