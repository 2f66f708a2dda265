"""Batuta: track, queue and run training scripts on your own machines."""

from __future__ import annotations
