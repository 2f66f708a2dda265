"""Filters and orders of tasks, from the contract into the words of the domain."""

from __future__ import annotations

from typing import Any, cast

from google.protobuf.timestamp_pb2 import Timestamp

from batuta_api.moments import moment
from batuta_api.tasks.model import TaskState
from batuta_api.tasks.wanted import (
    NEWEST_FIRST,
    Archived,
    By,
    MetricTest,
    Numbers,
    Of,
    Order,
    ParameterTest,
    TaskFilter,
    Times,
)
from batuta_api.violations import violation
from batuta_proto.tasks import v1 as tasks

_TIMES = ("create_time", "update_time", "start_time", "end_time")
_GROUPED = (By.PARAMETER, By.METRIC)


def tasks_wanted(asked: tasks.ListTasksRequest.Filter) -> TaskFilter:
    """The tasks that a filter asks for. Raises `FieldViolation`."""
    wanted = TaskFilter(
        project_name=asked.project_name,
        subprojects=asked.include_subprojects,
        display_name=asked.display_name,
        name_regex=asked.name_regex,
        states=frozenset(TaskState(state) for state in asked.states),
        types=frozenset(int(each) for each in asked.types),
        tags=frozenset(asked.tags),
        any_tags=frozenset(asked.any_tags),
        no_tags=frozenset(asked.no_tags),
        parent_task_id=asked.parent_task_id,
        owners=frozenset(asked.owners),
        queue_id=asked.queue_id,
        times=tuple((name, _times(asked, name)) for name in _TIMES if asked.HasField(name)),
        parameters=tuple(map(_parameter, asked.parameters)),
        metrics=tuple(map(_metric, asked.metrics)),
        archived=Archived(asked.archived or Archived.EXCLUDE),
        deleted=asked.deleted,
    )
    if asked.include_subprojects and not asked.project_name:
        raise violation("filter.include_subprojects", "needs a project_name; without one all projects are meant")
    try:
        wanted.named("")
    except ValueError as error:
        raise violation("filter.name_regex", f"is not a regular expression: {error}") from None
    return wanted


def _times(asked: tasks.ListTasksRequest.Filter, name: str) -> Times:
    span: tasks.TimeRange = getattr(asked, name)

    def end(part: str) -> Timestamp | None:
        given: Timestamp = getattr(span, part)
        return given if span.HasField(cast("Any", part)) else None

    try:
        start, until = end("from"), end("until")
        return Times(None if start is None else moment(start), None if until is None else moment(until))
    except OverflowError:
        raise violation(f"filter.{name}", "is beyond the year 9999") from None


def _numbers(span: tasks.NumberRange) -> Numbers:
    return Numbers(
        span.low if span.HasField("low") else None,
        span.high if span.HasField("high") else None,
    )


def _parameter(asked: tasks.ParameterCondition) -> ParameterTest:
    return ParameterTest(
        asked.section,
        asked.name,
        asked.equals if asked.HasField("equals") else None,
        _numbers(asked.between) if asked.HasField("between") else None,
    )


def _metric(asked: tasks.MetricCondition) -> MetricTest:
    between = _numbers(asked.between) if asked.HasField("between") else None
    return MetricTest(asked.metric, asked.variant, Of(asked.summary or Of.LAST), between)


def order(asked: tasks.TaskOrder) -> Order:
    """The order that is asked for. Raises `FieldViolation`."""
    if asked == tasks.TaskOrder():
        return NEWEST_FIRST
    field = tasks.TaskOrderField.Name(asked.field).removeprefix("TASK_ORDER_FIELD_")
    by = By.CREATE_TIME if field == "UNSPECIFIED" else By[field]
    if by in _GROUPED and not asked.group:
        raise violation("order_by.group", f"must say which {by.value}")
    if by not in _GROUPED and (asked.group or asked.name):
        raise violation("order_by.group", "is only for parameters and metrics")
    return Order(by, asked.ascending, asked.group, asked.name, Of(asked.summary or Of.LAST))
