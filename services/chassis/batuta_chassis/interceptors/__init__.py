"""What happens to every call before and after its servicer: one concern per module, put together in `pipeline`."""

from __future__ import annotations
