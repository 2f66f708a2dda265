"""Kinds of tasks."""

from __future__ import annotations

from enum import Enum


class TaskTypes(Enum):
    """What kind of work a task is, by ClearML's names."""

    training = "training"
    testing = "testing"
    inference = "inference"
    data_processing = "data_processing"
    application = "application"
    monitor = "monitor"
    controller = "controller"
    optimizer = "optimizer"
    service = "service"
    qc = "qc"
    custom = "custom"

    def __str__(self) -> str:
        """The bare name."""
        return self.value
