"""The courier's channel: an attempt's token where there is one, else the user's own credential."""

from __future__ import annotations

from collections.abc import Mapping

import grpc

from batuta_courier import layout
from batuta_rpc.auth import CredentialTokens, StaticToken, TokenSource
from batuta_rpc.channel import open_sync
from batuta_rpc.clock import Clock
from batuta_rpc.config import ConfigError, load_connection
from batuta_rpc.trust import Trust, of_environment

TOKEN_VARIABLE = "BATUTA_ATTEMPT_TOKEN"
NAME = "courier-python"


class NoWay(Exception):
    """There is no address or no credential with which the spool could be shipped."""


def open_channel(run: layout.RunInfo, env: Mapping[str, str], clock: Clock) -> grpc.Channel:
    """A channel to the run's server. Raises NoWay."""
    try:
        tokens, trust = _way(run, env, clock)
        return open_sync(run.api, tokens, NAME, trust=trust)
    except (ConfigError, ValueError) as error:
        raise NoWay(str(error)) from error


def _way(run: layout.RunInfo, env: Mapping[str, str], clock: Clock) -> tuple[TokenSource, Trust]:
    token = env.get(TOKEN_VARIABLE)
    if token and run.mode == layout.AGENT:
        return StaticToken(token), of_environment(env)
    connection = load_connection(env)
    if connection is None or connection.api != run.api:
        known = "none" if connection is None else f"one for {connection.api}"
        raise NoWay(f"no credential for {run.api} (there is {known}): run `batuta init` for it")
    trust = connection.trust
    return CredentialTokens(run.api, connection.access_key, connection.secret_key, clock, NAME, trust), trust
