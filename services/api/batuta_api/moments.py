"""Moments between contract and model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def stamp(moment: datetime | None) -> Timestamp | None:
    """As the contract writes it; None leaves the field absent."""
    if moment is None:
        return None
    seconds, micros = divmod((moment - _EPOCH) // _MICROSECOND, 1_000_000)
    return Timestamp(seconds=seconds, nanos=micros * 1000)


def moment(written: Timestamp) -> datetime:
    """As the model has it, to the microsecond. Raises `OverflowError` beyond the year 9999."""
    return _EPOCH + timedelta(seconds=written.seconds, microseconds=written.nanos // 1000)
