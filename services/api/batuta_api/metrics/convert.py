"""Scalars between contract and model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from batuta_api.metrics.appending import Batch
from batuta_api.metrics.model import Column, Producer, Summary
from batuta_proto.metrics import v1 as metrics
from batuta_rpc.errors import FieldViolation


def batch(request: metrics.AppendScalarsRequest) -> Batch:
    """The batch of a request. Raises `FieldViolation`."""
    columns = [_column(each, place) for place, each in enumerate(request.columns)]
    room = request.last_sequence - request.first_sequence + 1
    if sum(len(column.values) for column in columns) > max(room, 0):
        raise _violation("last_sequence", "first_sequence to last_sequence has room for fewer records than there are")
    producer = Producer(request.task_id, request.attempt, request.producer)
    return Batch(producer, request.first_sequence, request.last_sequence, columns)


def _column(column: metrics.ScalarColumn, place: int) -> Column:
    iterations, times, values = list(column.iterations), list(column.time_unix_millis), list(column.values)
    if not len(iterations) == len(times) == len(values):
        raise _violation(f"columns[{place}]", "iterations, time_unix_millis and values must have the same length")
    return Column(column.metric, column.variant, iterations, times, values)


def _violation(field: str, text: str) -> FieldViolation:
    return FieldViolation(f"{field}: {text}", field_violations=[(field, text)])


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


def render_summaries(summaries: Iterable[Summary]) -> metrics.ListScalarsResponse:
    """All series."""
    names = Summary.__dataclass_fields__
    shown = [metrics.ScalarSummary(**{name: getattr(each, name) for name in names}) for each in summaries]
    return metrics.ListScalarsResponse(scalars=shown)
