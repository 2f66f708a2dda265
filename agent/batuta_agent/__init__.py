"""The agent: takes assignments from the broker and runs them on this machine.

Session, journal, shim, environments, telemetry. Imports no server package and not the SDK.
"""

from __future__ import annotations
