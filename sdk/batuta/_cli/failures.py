"""What a command ends with when it cannot do what was asked."""

from __future__ import annotations

OK = 0
FAILED = 1
USAGE = 2
INTERRUPTED = 130
PIPE_CLOSED = 141
"""As a shell shows a program that SIGPIPE ended."""


class CliError(Exception):
    """One line for the user: what is wrong, and what to do next."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def sentences(*parts: str) -> str:
    """Parts of a message as sentences of one line; parts that are empty are left out."""
    return " ".join(part if part.endswith((".", "?", "!")) else f"{part}." for part in parts if part)
