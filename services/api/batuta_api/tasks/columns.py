"""Values that a list shows beside its tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from batuta_api.metrics.model import Summary
from batuta_api.tasks.wanted import Of
from batuta_api.work import Work
from batuta_proto.tasks import v1 as tasks

LONGEST = 1_024


@dataclass(frozen=True)
class Columns:
    """Which: (metric, variant, which of its values), and (section, name) of parameters."""

    metrics: tuple[tuple[str, str, Of], ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, request: tasks.ListTasksRequest) -> Columns:
        """Those that a request asks for."""
        return cls(
            tuple((each.metric, each.variant, Of(each.summary or Of.LAST)) for each in request.metric_columns),
            tuple((each.section, each.name) for each in request.parameter_columns),
        )


def values(work: Work, columns: Columns, task_ids: Sequence[str]) -> list[tasks.ColumnValues]:
    """What each task has of them, in their order; nothing at all without columns."""
    if not columns.metrics and not columns.parameters:
        return []
    series = list(dict.fromkeys((metric, variant) for metric, variant, _ in columns.metrics))
    known = {(task_id, each.metric, each.variant): each for task_id, each in work.scalars.values(task_ids, series)}
    names = list(dict.fromkeys(columns.parameters))
    texts = {(found[0], found[1], found[2]): found[3] for found in work.tasks.parameters(task_ids, names)}
    return [
        tasks.ColumnValues(
            metrics=[_number(known.get((task_id, metric, variant)), of) for metric, variant, of in columns.metrics],
            parameters=[_text(texts.get((task_id, *name))) for name in columns.parameters],
        )
        for task_id in task_ids
    ]


def _number(summary: Summary | None, of: Of) -> tasks.ColumnValues.Metric:
    if summary is None:
        return tasks.ColumnValues.Metric()
    value = {Of.LAST: summary.last_value, Of.MIN: summary.min_value, Of.MAX: summary.max_value}[of]
    return tasks.ColumnValues.Metric(value=None if math.isnan(value) else value)


def _text(value: str | None) -> tasks.ColumnValues.Parameter:
    return tasks.ColumnValues.Parameter(value=None if value is None else value[:LONGEST])
