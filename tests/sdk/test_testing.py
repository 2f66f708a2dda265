from __future__ import annotations

import os
from pathlib import Path

from batuta import Logger, Task
from batuta.testing import offline_task


def train() -> None:
    task = Task.init("p", "n")
    for at in range(3):
        task.get_logger().report_scalar("loss", "train", 1.0 / (at + 1), at)
    Logger.current_logger().report_text("done")


def test_a_users_test_sees_what_the_training_reported(tmp_path: Path) -> None:
    home = os.environ.get("HOME")
    with offline_task(tmp_path) as recorded:
        train()
    assert recorded.scalars() == {"loss": {"train": [(0, 1.0), (1, 0.5), (2, 1 / 3)]}}
    assert "done\n" in recorded.console()
    assert os.environ.get("HOME") == home
    assert Task.current_task() is None
