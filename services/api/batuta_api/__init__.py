"""The API service: projects, tasks, metrics, logs and users; the one address that people and scripts dial."""

from __future__ import annotations
