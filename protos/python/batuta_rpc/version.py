"""The release that this code belongs to, known without reading package metadata (which costs milliseconds)."""

from __future__ import annotations

VERSION = "0.1.0"
