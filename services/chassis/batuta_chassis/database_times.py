"""How long a service waits for its database: settings of every service that has one (see `batuta_chassis.limits`)."""

from __future__ import annotations

from dataclasses import dataclass

from batuta_chassis.limits import limit


@dataclass(frozen=True, slots=True)
class DatabaseTimes:
    """For PostgreSQL; a file always answers. Raises `ValueError` for times that do not go together."""

    database_patience: float = limit(15.0, "seconds that a caller waits for a PostgreSQL that does not answer")
    database_connect_within: int = limit(5, "seconds for a connection to PostgreSQL", low=2)
    database_statement_within: float = limit(30.0, "seconds for one statement on PostgreSQL")
    database_lock_within: float = limit(12.0, "seconds that a transaction waits for those of other processes")
    database_idle_within: float = limit(10.0, "seconds after which PostgreSQL ends what a process left open", low=0.1)
    database_close_within: float = limit(
        5.0, "seconds that the end of a process waits for PostgreSQL; then its connections are cut", low=0
    )

    def __post_init__(self) -> None:
        """Refuse times that do not go together."""
        if not self.database_idle_within <= self.database_lock_within <= self.database_patience:
            raise ValueError(
                "a process that stands still must lose the lock before those who wait for it give up: choose "
                "database_idle_within <= database_lock_within <= database_patience, not "
                f"{self.database_idle_within:g}, {self.database_lock_within:g} and {self.database_patience:g} s"
            )
