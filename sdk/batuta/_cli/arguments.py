"""Parsers that all look alike: a sentence, the arguments, an example."""

from __future__ import annotations

import argparse
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


def positive(text: str) -> int:
    """An integer above zero, for argparse."""
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be greater than 0, not {value}")
    return value
