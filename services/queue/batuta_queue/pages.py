"""Page tokens: where a list goes on, sealed to the question that it belongs to."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any

from batuta_rpc.errors import FieldViolation

DEFAULT_PAGE = 100
LARGEST_PAGE = 1000


def page_size(asked: int) -> int:
    """How many to return; 0 is our choice, too large is lowered."""
    return min(asked, LARGEST_PAGE) if asked > 0 else DEFAULT_PAGE


def make_token(question: str, key: list[Any]) -> str:
    """A token for what comes after `key` in the list that `question` names."""
    text = json.dumps([_seal(question), *key], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def read_token(question: str, token: str, kinds: tuple[type, ...]) -> list[Any] | None:
    """The key in a token, checked to be of `kinds`; None for an empty token. Raises `FieldViolation`."""
    if not token:
        return None
    try:
        parts = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        if parts[0] == _seal(question) and [type(part) for part in parts[1:]] == list(kinds):
            return list(parts[1:])
    except (ValueError, KeyError, IndexError, TypeError, binascii.Error):
        pass
    problem = "is not a token of this list; begin again without one"
    raise FieldViolation(f"page_token {problem}", field_violations=[("page_token", problem)], field="page_token")


def _seal(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:12]
