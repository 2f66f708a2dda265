"""The autoscaler service: pools and instances, planned from demand."""

from __future__ import annotations
