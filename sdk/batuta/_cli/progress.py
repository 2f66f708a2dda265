"""How far a large file has come, at a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any

from batuta._cli.context import Context

LARGE = 8 << 20
"""Bytes; what is smaller is there before anybody looks."""


@contextlib.contextmanager
def progress(context: Context, name: str, size: int) -> Generator[Callable[[int], None], None, None]:
    """As long as the block runs, show on stderr how many bytes it says; nothing inside a pipe or without rich."""
    bar = _bar(context) if size >= LARGE else None
    if bar is None:
        yield _nobody
        return
    with bar:
        place = bar.add_task(name.replace("[", "\\["), total=size)
        yield lambda done: bar.update(place, completed=done)


def _nobody(_done: int) -> None:
    return


def _bar(context: Context) -> Any:
    if context.width is None or not context.stderr.isatty():
        return None
    try:
        from rich import progress as shown
        from rich.console import Console
    except ImportError:
        return None
    return shown.Progress(
        shown.TextColumn("{task.description}"),
        shown.BarColumn(),
        shown.DownloadColumn(binary_units=True),
        shown.TransferSpeedColumn(),
        shown.TimeRemainingColumn(),
        console=Console(file=context.stderr),
        transient=True,
    )
