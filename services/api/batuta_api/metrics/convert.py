"""Scalars between contract and model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batuta_api import pages
from batuta_api.metrics.appending import Batch
from batuta_api.metrics.model import Column, Producer, Summary
from batuta_api.violations import violation
from batuta_proto.metrics import v1 as metrics

_SERIES_PAGE = 1000
"""Series in one answer at most: with the longest names about 4 MiB."""


def batch(request: metrics.AppendScalarsRequest) -> Batch:
    """The batch of a request. Raises `FieldViolation`."""
    columns = [_column(each, place) for place, each in enumerate(request.columns)]
    room = request.last_sequence - request.first_sequence + 1
    if sum(len(column.values) for column in columns) > max(room, 0):
        raise violation("last_sequence", "first_sequence to last_sequence has room for fewer records than there are")
    producer = Producer(request.task_id, request.attempt, request.producer)
    return Batch(producer, request.first_sequence, request.last_sequence, columns)


def _column(column: metrics.ScalarColumn, place: int) -> Column:
    iterations, times, values = list(column.iterations), list(column.time_unix_millis), list(column.values)
    if not len(iterations) == len(times) == len(values):
        raise violation(f"columns[{place}]", "iterations, time_unix_millis and values must have the same length")
    return Column(column.metric, column.variant, iterations, times, values)


def render_page(columns: Sequence[Column], position: int, synced: bool) -> metrics.ReadScalarsResponse:
    """Some points; chunks of one series become one column."""
    shown: dict[tuple[str, str], metrics.ScalarColumn] = {}
    for column in columns:
        key = (column.metric, column.variant)
        into = shown.get(key)
        if into is None:
            into = shown[key] = metrics.ScalarColumn(metric=column.metric, variant=column.variant)
        into.iterations.extend(column.iterations)
        into.time_unix_millis.extend(column.times)
        into.values.extend(column.values)
    return metrics.ReadScalarsResponse(columns=shown.values(), position=position, synced=synced)


@dataclass(frozen=True)
class SeriesQuery:
    """A page of a task's series that is asked for: those after one, by metric and variant."""

    task_id: str
    after: tuple[str, str] | None
    size: int


def series_query(request: metrics.ListScalarsRequest) -> SeriesQuery:
    """What a request asks for. Raises `FieldViolation` for a page token that is not this task's."""
    place = pages.unseal(request.page_token, _list_of(request.task_id), None, 2)
    after = None if place is None else (str(place[0]), str(place[1]))
    return SeriesQuery(request.task_id, after, min(request.page_size or _SERIES_PAGE, _SERIES_PAGE))


def render_summaries(asked: SeriesQuery, found: Sequence[Summary]) -> metrics.ListScalarsResponse:
    """One page of series, and the token of the next one when more were found than asked for."""
    names = Summary.__dataclass_fields__
    page, token = found[: asked.size], ""
    if len(found) > asked.size:
        token = pages.seal(_list_of(asked.task_id), None, [page[-1].metric, page[-1].variant])
    shown = [metrics.ScalarSummary(**{name: getattr(each, name) for name in names}) for each in page]
    return metrics.ListScalarsResponse(scalars=shown, next_page_token=token)


def _list_of(task_id: str) -> str:
    return f"scalars:{task_id}"
