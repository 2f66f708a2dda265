"""TLS for ports that do not speak gRPC, with the same certificate, renewed and replaced as on those that do."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from batuta_chassis.certificates import Shown, shown
from batuta_chassis.settings import Settings
from batuta_rpc.clock import Clock


def server_context(settings: Settings, clock: Clock) -> ssl.SSLContext | None:
    """For a port of this service; None for plaintext. Raises `SettingsError`."""
    source = shown(settings, clock)
    if source is None:
        return None
    last = source()
    context = first = _context(last, settings.data_dir)

    def before_handshake(connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context_of: object) -> None:
        nonlocal last, context
        now = source()
        if now != last:
            last, context = now, _context(now, settings.data_dir)
        connection.context = context

    first.sni_callback = before_handshake  # called whether the client names somebody or not
    return first


def _context(what: Shown, folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".tls.") as file:  # mode 600; the library reads files only
        file.write(what.key + what.chain)
        file.flush()
        context.load_cert_chain(file.name)
    return context
