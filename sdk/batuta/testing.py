"""For the tests of people who use the SDK: a task that needs no server, and what was reported to it.

def test_my_training(tmp_path, monkeypatch):
    with offline_task(tmp_path) as recorded:
        my_training()          # calls Task.init(...) and reports
    assert recorded.scalars()["loss"]["train"][-1] == (9, 0.1)
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from batuta import _runtime
from batuta._task import Task
from batuta_courier import layout
from batuta_courier.scalars_reader import ScalarReader

_ENVIRONMENT = ("BATUTA_TASK_ID", "BATUTA_PARENT_SPOOL", "HOME", _runtime.OFFLINE_VARIABLE)


class Recorded:
    """What the runs under one folder reported."""

    def __init__(self, folder: Path) -> None:
        self._root = layout.spool_root(folder)

    def scalars(self) -> dict[str, dict[str, list[tuple[int, float]]]]:
        """`{title: {series: [(iteration, value), …]}}`, in the order of reporting."""
        found: dict[str, dict[str, list[tuple[int, float]]]] = {}
        for spool_dir in layout.producers(self._root):
            for producer in layout.producers(spool_dir):
                _read(producer, found)
        return found

    def console(self) -> str:
        """What was printed."""
        texts = [path.read_text("utf-8", "replace") for path in sorted(self._root.glob("*/console.log"))]
        return "".join(texts)


@contextmanager
def offline_task(folder: Path) -> Generator[Recorded, None, None]:
    """While inside, `Task.init` makes an offline task whose data lies under `folder`; at the end it is closed."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    previous, _runtime.process.run = _runtime.process.run, None
    os.environ.pop("BATUTA_TASK_ID", None)
    os.environ.pop("BATUTA_PARENT_SPOOL", None)
    os.environ.update({"HOME": str(folder), _runtime.OFFLINE_VARIABLE: "1"})
    try:
        yield Recorded(folder)
    finally:
        task = Task.current_task()
        if task is not None:
            task.close()
        _runtime.process.run = previous
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _read(producer: Path, found: dict[str, dict[str, list[tuple[int, float]]]]) -> None:
    reader = ScalarReader(producer)
    after = 0
    while True:
        batch = reader.read(after, 10_000)
        if batch is None:
            reader.close()
            return
        after = batch.last
        for column in batch.columns:
            points = found.setdefault(column.metric, {}).setdefault(column.variant, [])
            points += zip(column.iterations, column.values)
