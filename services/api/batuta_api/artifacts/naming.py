"""Names of artifacts: one word, never a way. Bytes are not stored under them, but people save files under them."""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote

_SLASHES = frozenset("/\\\u2044\u2215\u2216\u29f5\u29f8\u29f9\ufe68\uff0f\uff3c\u2571\u2572\u1735\u3033\u4e3f\u0338")
"""Slashes, and what looks like one."""
_DOTS = frozenset(".\u2024\u2025\u2026\ufe52\uff0e\u3002\uff61\u0701\u0702")
"""Dots, and what looks like one, or like several."""
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Categories of characters that cannot be seen: control, format (marks of direction), and the like."""
_ROUNDS = 8
"""How often a name is decoded to see what it would become."""


def spelled(name: str) -> str:
    """The one spelling of a name: composed Unicode. Raises `ValueError` with the reason for one that is not allowed.

    What a name becomes when somebody decodes it (`%2e`), or brings it into Unicode's compatible form, must be allowed
    as well: whoever writes it into a file or a URL later is not asked again.
    """
    name = unicodedata.normalize("NFC", name)
    for form in _forms(name):
        _check(form)
    return name


def _forms(name: str) -> list[str]:
    forms = [name]
    for _ in range(_ROUNDS):
        after = unquote(unicodedata.normalize("NFKC", forms[-1]), errors="replace")
        if after == forms[-1]:
            return [*forms, unicodedata.normalize("NFKC", name)]
        forms.append(after)
    raise ValueError("must not be encoded so many times over")


def _check(form: str) -> None:
    if not form or form != form.strip():
        raise ValueError("must not be empty, nor begin or end with a blank")
    if any(unicodedata.category(letter) in _HIDDEN for letter in form):
        raise ValueError("must not hold control characters, or others that cannot be seen")
    if not _SLASHES.isdisjoint(form):
        raise ValueError("must not hold slashes or backslashes, or what looks like one or becomes one when decoded")
    if form[0] in _DOTS:
        raise ValueError("must not begin with a dot, or what looks like one or becomes one when decoded")
