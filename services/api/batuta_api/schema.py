"""The one schema of the API service: what all areas' tables share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect, MetaData, RowMapping, TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)


def values(row: RowMapping) -> dict[str, Any]:
    """A row by column name, for building a model."""
    return {str(name): value for name, value in row.items()}


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def stored(moment: datetime | None) -> int | None:
    """What `Moment` keeps, for statements that go past SQLAlchemy."""
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def shown(micros: int | None) -> datetime | None:
    """What `Moment` gives back."""
    return None if micros is None else _EPOCH + micros * _MICROSECOND


class Moment(TypeDecorator[datetime]):
    """A moment, kept as whole microseconds since 1970 in UTC: it sorts, compares and is the same in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Microseconds. The moment must know its zone."""
        return stored(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """A moment in UTC."""
        return shown(value)
