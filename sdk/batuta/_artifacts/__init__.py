"""Artifacts on the client's side: bytes up and down, for the SDK and the command line."""

from __future__ import annotations
