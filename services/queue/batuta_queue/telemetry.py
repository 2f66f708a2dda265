"""The newest sample of each agent, in memory: losing it costs one period."""

from __future__ import annotations

from batuta_proto.agents import v1 as agents

_KEPT = 100_000


class Telemetry:
    """Newest samples by agent."""

    def __init__(self) -> None:
        self._samples: dict[str, agents.TelemetrySample] = {}

    def keep(self, agent_id: str, sample: agents.TelemetrySample) -> None:
        """Replace the sample of an agent. Beyond a bound the agent that was silent longest is forgotten."""
        self._samples.pop(agent_id, None)
        self._samples[agent_id] = sample
        if len(self._samples) > _KEPT:
            del self._samples[next(iter(self._samples))]

    def of(self, agent_id: str) -> agents.TelemetrySample | None:
        """The newest sample, if there is one."""
        return self._samples.get(agent_id)
