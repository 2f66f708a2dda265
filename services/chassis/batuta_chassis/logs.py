"""The process's own log on standard error: one JSON object per line, or text for people.

What is logged while a call is served carries the call's request id and trace id, whoever logs it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import TextIO

from batuta_chassis.call import current_call
from batuta_rpc import trace

FORMATS = ("json", "text")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _ids() -> dict[str, object]:
    """Where the line belongs."""
    found: dict[str, object] = {}
    call = current_call()
    if call is not None:
        found["request_id"] = call.request_id
    parent = trace.trace_parent.get()
    if parent is not None:
        found["trace_id"] = trace.trace_id(parent)
        found["span_id"] = trace.span_id(parent)
    return found


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


class JsonFormatter(logging.Formatter):
    """Time, level, logger, text, ids of call and trace, what the caller added, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= _ids()
        line |= _extra(record)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """The same for people: one line, control characters escaped, the traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(sep=" ", timespec="milliseconds")
        more = "".join(f" {key}={_word(value)}" for key, value in {**_extra(record), **_ids()}.items() if value != "")
        line = f"{moment[:23]}Z {record.levelname:<7} {_word(record.getMessage(), bare=True)}{more}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _word(value: object, *, bare: bool = False) -> str:
    text = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in str(value))
    return text if bare or " " not in text else json.dumps(text, ensure_ascii=False)


def configure(level: str, stream: TextIO | None = None, *, access: bool = True, form: str = "json") -> None:
    """Send the log to `stream` (default: standard error). Without `access`, calls that went well are left out. `form`
    is one of `FORMATS`."""
    # gRPC's own notes on every connection that closes are for its developers; read when it first starts.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(TextFormatter() if form == "text" else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("batuta_chassis.access").setLevel(logging.NOTSET if access else logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
