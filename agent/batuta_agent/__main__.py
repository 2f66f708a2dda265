"""`python -m batuta_agent start …`: the same as `batuta agent start …`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from batuta_agent.command import start


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and run. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="batuta-agent")
    start(parser.add_subparsers(required=True, metavar="COMMAND"))
    arguments = parser.parse_args(argv)
    return int(arguments.run(arguments))


if __name__ == "__main__":
    sys.exit(main())
