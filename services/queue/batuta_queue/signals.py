"""What brokers on one database tell each other: hints to look, never facts."""

from __future__ import annotations

from batuta_queue.model import Ref

EVENTS = "events"
"""There are new events in the log."""
_QUEUE = "queue:"
_SETTINGS = "settings:"
_AGENT = "agent:"
_ATTEMPT = "attempt:"


def queue(queue_id: str) -> str:
    """Entries may wait in this queue."""
    return f"{_QUEUE}{queue_id}"


def settings(queue_id: str) -> str:
    """This queue has changed or is gone."""
    return f"{_SETTINGS}{queue_id}"


def agent(agent_id: str) -> str:
    """Where this agent is connected, or what operators want of it, has changed."""
    return f"{_AGENT}{agent_id}"


def attempt(ref: Ref) -> str:
    """Another broker than its agent's has changed this attempt."""
    return f"{_ATTEMPT}{ref.task_id}/{ref.attempt}"


def queue_of(topic: str) -> str | None:
    """The queue that a topic is about, if it is about one."""
    return topic[len(_QUEUE) :] if topic.startswith(_QUEUE) else None


def settings_of(topic: str) -> str | None:
    """The queue whose settings a topic is about, if it is about some."""
    return topic[len(_SETTINGS) :] if topic.startswith(_SETTINGS) else None


def is_about_agents(topic: str) -> bool:
    """Whether a topic is about agents or what they run."""
    return topic.startswith((_AGENT, _ATTEMPT))
