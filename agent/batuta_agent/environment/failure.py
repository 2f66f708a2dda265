"""Why an environment could not be made."""

from __future__ import annotations

ENVIRONMENT = "ENVIRONMENT"
INFRASTRUCTURE = "ENVIRONMENT_INFRASTRUCTURE"


class PreparationFailed(Exception):
    """The task asks for something that cannot be had: the same again fails again. The text is for its owner."""

    reason = ENVIRONMENT


class InfrastructureFailed(PreparationFailed):
    """A network, a registry, a repository or this machine is at fault: the same again may succeed."""

    reason = INFRASTRUCTURE
