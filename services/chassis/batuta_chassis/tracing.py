"""The tracer that a service's settings ask for."""

from __future__ import annotations

from batuta_chassis.settings import Settings, SettingsError
from batuta_rpc.trace import Tracer
from batuta_rpc.trace_export import MissingLibrary, open_tracer


def tracer_of(settings: Settings) -> Tracer:
    """Where spans go; nowhere without `trace_endpoint`. Raises `SettingsError`."""
    try:
        return open_tracer(settings.trace_endpoint, f"batuta-{settings.service}", settings.trace_share)
    except MissingLibrary as error:
        raise SettingsError(str(error)) from error
