"""Filters and orders of tasks as SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, literal, null, or_, select, tuple_

from batuta_api.metrics.tables import scalar_series
from batuta_api.projects.sql import shown_in, under
from batuta_api.schema import Moment
from batuta_api.tasks import sort_keys
from batuta_api.tasks.tables import task_parameters, task_tags, tasks
from batuta_api.tasks.wanted import Archived, By, MetricTest, Numbers, Of, Order, ParameterTest, Place, TaskFilter

_SUMMARY = {Of.LAST: scalar_series.c.last_value, Of.MIN: scalar_series.c.min_value, Of.MAX: scalar_series.c.max_value}


def conditions(wanted: TaskFilter) -> list[ColumnElement[bool]]:
    """What must hold of a row; `name_regex` is not among it, for databases do not agree on what a regex is."""
    columns = tasks.c
    found: list[ColumnElement[bool]] = [
        columns.delete_time.is_not(None) if wanted.deleted else columns.delete_time.is_(None)
    ]
    if not wanted.deleted and wanted.archived is not Archived.INCLUDE:
        archived = wanted.archived is Archived.ONLY
        found.append(columns.archive_time.is_not(None) if archived else columns.archive_time.is_(None))
    if wanted.shown:
        found.append(shown_in(columns.project_name, wanted.shown))
    if wanted.project_name:
        found.append(_in_project(wanted.project_name, wanted.subprojects))
    for column, value in (
        (columns.display_name, wanted.display_name),
        (columns.parent_task_id, wanted.parent_task_id),
        (columns.queue_id, wanted.queue_id),
    ):
        if value:
            found.append(column == value)
    if wanted.states:
        found.append(columns.state.in_(sorted(int(state) for state in wanted.states)))
    if wanted.types:
        found.append(columns.type.in_(sorted(wanted.types)))
    if wanted.owners:
        found.append(columns.owner.in_(sorted(wanted.owners)))
    return [*found, *_tags(wanted), *_times(wanted), *map(_parameter, wanted.parameters), *map(_metric, wanted.metrics)]


def _in_project(name: str, subprojects: bool) -> ColumnElement[bool]:
    exact = tasks.c.project_name == name
    if not subprojects:
        return exact
    return or_(exact, under(tasks.c.project_name, name))


def _tags(wanted: TaskFilter) -> list[ColumnElement[bool]]:
    def tagged(tags: Sequence[str]) -> ColumnElement[bool]:
        return select(task_tags.c.task_id).where(task_tags.c.tag.in_(tags), task_tags.c.task_id == tasks.c.id).exists()

    found = [tagged([tag]) for tag in sorted(wanted.tags)]
    if wanted.any_tags:
        found.append(tagged(sorted(wanted.any_tags)))
    if wanted.no_tags:
        found.append(~tagged(sorted(wanted.no_tags)))
    return found


def _times(wanted: TaskFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for name, span in wanted.times:
        if span.start is not None:
            found.append(tasks.c[name] >= literal(span.start, Moment))
        if span.end is not None:
            found.append(tasks.c[name] < literal(span.end, Moment))
    return found


def _parameter(test: ParameterTest) -> ColumnElement[bool]:
    columns = task_parameters.c
    query = select(columns.task_id).where(
        columns.task_id == tasks.c.id, columns.section == test.section, columns.name == test.name
    )
    if test.equals is not None:
        query = query.where(columns.value == test.equals)
    if test.between is not None:
        low, high = test.between.low, test.between.high
        query = query.where(
            columns.key >= (sort_keys.LEAST if low is None else sort_keys.of_number(low)),
            columns.key <= (sort_keys.GREATEST if high is None else sort_keys.of_number(high)),
        )
    return query.exists()


def _metric(test: MetricTest) -> ColumnElement[bool]:
    columns = scalar_series.c
    query = select(columns.task_id).where(
        columns.task_id == tasks.c.id, columns.metric == test.metric, columns.variant == test.variant
    )
    return query.where(*_between(_SUMMARY[test.of], test.between)).exists()


def _between(column: ColumnElement[Any], span: Numbers | None) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if span is not None and span.low is not None:
        found.append(column >= span.low)
    if span is not None and span.high is not None:
        found.append(column <= span.high)
    return found


def value_of(order: Order) -> ColumnElement[Any]:
    """What a list is ordered by."""
    columns = tasks.c
    if order.by is By.DURATION:
        return _micros("end_time") - _micros("start_time")
    if order.by is By.PARAMETER:
        parameters = task_parameters.c
        query = select(parameters.key).where(
            parameters.task_id == columns.id, parameters.section == order.group, parameters.name == order.name
        )
        return query.scalar_subquery()
    if order.by is By.METRIC:
        series = scalar_series.c
        query = select(_SUMMARY[order.of]).where(
            series.task_id == columns.id, series.metric == order.group, series.variant == order.name
        )
        return query.scalar_subquery()
    if isinstance(columns[order.by.value].type, Moment):
        return _micros(order.by.value)
    column: ColumnElement[Any] = columns[order.by.value]
    return column


def _micros(name: str) -> ColumnElement[Any]:
    return tasks.c[name].cast(Moment.impl)


def page(wanted: TaskFilter, order: Order, after: Place | None) -> Select[Any, Any, Any]:
    """Ids, names and values of the tasks of a list, in its order, after a place."""
    newest = (tasks.c.create_time.desc(), tasks.c.id.desc())
    older: ColumnElement[bool] = false()
    if after is not None:
        here = tuple_(literal(after.create_time, Moment), after.task_id)
        older = tuple_(tasks.c.create_time, tasks.c.id) < here
    if order.by is By.CREATE_TIME:
        query = select(tasks.c.id, tasks.c.display_name, null().label("value")).where(*conditions(wanted))
        if order.ascending:
            newest = (tasks.c.create_time.asc(), tasks.c.id.asc())
            if after is not None:
                older = tuple_(tasks.c.create_time, tasks.c.id) > tuple_(
                    literal(after.create_time, Moment), after.task_id
                )
        return (query if after is None else query.where(older)).order_by(*newest)
    value = value_of(order).label("value")
    query = select(tasks.c.id, tasks.c.display_name, value).where(*conditions(wanted))
    if after is not None:
        query = query.where(_beyond(value.element, order, after, older))
    # By its label, not with a look at whether it is null: a value that is looked up would be looked up twice.
    ordered = value.asc() if order.ascending else value.desc()
    return query.order_by(ordered.nulls_last(), *newest)


def _beyond(value: ColumnElement[Any], order: Order, after: Place, older: ColumnElement[bool]) -> ColumnElement[bool]:
    if after.value is None:
        return and_(value.is_(None), older)
    further = value > after.value if order.ascending else value < after.value
    return or_(further, value.is_(None), and_(value == after.value, older))
