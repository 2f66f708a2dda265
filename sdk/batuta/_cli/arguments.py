"""Parsers that all look alike: a sentence, the arguments, an example."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Protocol


class SubParsers(Protocol):
    """Where a command adds its parser; what argparse's add_subparsers() returns."""

    def add_parser(self, name: str, **kwargs: Any) -> argparse.ArgumentParser:
        """A new parser for the command `name`."""
        ...


def command(parent: SubParsers, name: str, sentence: str, *examples: str) -> argparse.ArgumentParser:
    """A parser for one command. `sentence` is its help, `examples` are lines that work."""
    return parent.add_parser(
        name,
        help=sentence,
        description=f"{sentence[0].upper()}{sentence[1:]}.",
        epilog="Example:\n" + "\n".join(f"  {line}" for line in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def verbs(parser: argparse.ArgumentParser) -> SubParsers:
    """The place for the commands below `parser`; calling it without one is an error of usage that shows its help."""
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def add_json(parser: argparse.ArgumentParser) -> None:
    """The flag `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON with the contract's field names")


def whole_number(low: int, high: int = 2**31 - 1) -> Callable[[str], int]:
    """Reads a whole number from `low` to `high`, for argparse."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be {low} to {high}, not {value}")
        return value

    return read


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """Reads a time such as `90s`, `30m`, `2h`, `1d` as seconds, for argparse."""
    number, unit = text[:-1], text[-1:]
    try:
        seconds = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        raise argparse.ArgumentTypeError(f"must be a time such as 90s, 30m, 2h or 1d, not {text!r}") from None
    if not 0 <= seconds <= 366 * 86400:
        raise argparse.ArgumentTypeError(f"must be a year at most, not {text!r}")
    return seconds


positive = whole_number(1)
"""Reads a whole number above zero, for argparse."""
