"""Text with NUL in it, which people's diffs and consoles have and PostgreSQL's text cannot: written with an escape.

U+0001 is the escape: itself it becomes two of its kind, NUL becomes U+0001 U+0002. All other text is stored as it is.
"""

from __future__ import annotations

from psycopg import Connection
from psycopg.adapt import Buffer, Dumper, Loader

_ESCAPE, _NUL = "\x01", "\x00"
_WRITTEN = {_ESCAPE: "\x01\x01", _NUL: "\x01\x02"}
_TABLE = {ord(key): value for key, value in _WRITTEN.items()}
_MARK = b"\x01"
_KINDS = ("text", "varchar")


class TextDumper(Dumper):
    """Writes."""

    def dump(self, obj: str) -> Buffer:
        """The bytes that go to the server."""
        if _NUL in obj or _ESCAPE in obj:
            obj = obj.translate(_TABLE)
        return obj.encode()


class TextLoader(Loader):
    """Reads."""

    def load(self, data: Buffer) -> str:
        """The text as it was given."""
        raw = bytes(data)
        text = raw.decode()
        if _MARK not in raw:
            return text
        parts = text.split(_WRITTEN[_ESCAPE])
        return _ESCAPE.join(part.replace(_WRITTEN[_NUL], _NUL) for part in parts)


def install(connection: Connection[object]) -> None:
    """Have a connection write and read so."""
    connection.adapters.register_dumper(str, TextDumper)
    for kind in _KINDS:
        connection.adapters.register_loader(kind, TextLoader)
