"""`batuta admin check`: proves from the tables what must hold, and names what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, inspect

from batuta_chassis import agreement
from batuta_chassis.administered import Break, Invariant, Known
from batuta_chassis.looking import Target
from batuta_chassis.migrating import ensure_current
from batuta_rpc.clock import Clock

_SHOWN = 20
"""Breaks of one invariant that are named; all are counted."""
_LOOKS = 3
_PAUSE = 1.0
"""Services that run change while one looks: what they disagree on counts if it stays so over some looks."""
_BOTH = "api+queue"


@dataclass(frozen=True)
class Proof:
    """One invariant, and where it does not hold."""

    service: str
    name: str
    sentence: str
    breaks: int
    first: tuple[Break, ...]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        named = [{"subject": subject, "detail": detail} for subject, detail in self.first]
        return {
            "service": self.service,
            "invariant": self.name,
            "says": self.sentence,
            "break_count": self.breaks,
            "breaks": named,
        }


def prove(targets: Sequence[Target], clock: Clock) -> list[Proof]:
    """Look at all that is there. Raises `SettingsError` for a database of another release, or none."""
    proofs: list[Proof] = []
    for target in targets:
        with target.reading() as connection:
            ensure_current(connection, target)
            proofs += [
                _proof(target.service, each.name, each.sentence, each.look(connection))
                for each in (*_engine(connection), *target.part.invariants)
            ]
    return [*proofs, *_agree(targets, clock)]


def _proof(service: str, name: str, sentence: str, breaks: Iterable[Break]) -> Proof:
    count, first = 0, list[Break]()
    for each in breaks:
        count += 1
        if len(first) < _SHOWN:
            first.append(each)
    return Proof(service, name, sentence, count, tuple(first))


def _engine(connection: Connection) -> Iterator[Invariant]:
    """What the database system itself can say."""
    if connection.dialect.name == "sqlite":
        yield Invariant("integrity", "the file is whole (PRAGMA integrity_check)", _integrity)
        yield Invariant("references", "each row's references lead somewhere (PRAGMA foreign_key_check)", _references)


def _integrity(connection: Connection) -> Iterator[Break]:
    for (said,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if said != "ok":
            yield "file", str(said)


def _references(connection: Connection) -> Iterator[Break]:
    keys: dict[str, str] = {}
    for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        keys.setdefault(table, ", ".join(inspect(connection).get_pk_constraint(table)["constrained_columns"]))
        yield f"{table} row {row}", f"what it belongs to in {parent} is gone (key: {keys[table]})"


def _agree(targets: Sequence[Target], clock: Clock) -> list[Proof]:
    by_name = {each.service: each for each in targets}
    if not {"api", "queue"} <= by_name.keys():
        return []

    def know() -> tuple[Known, Known]:
        with by_name["api"].reading() as connection:
            api = by_name["api"].part.know(connection, 0)
        with by_name["queue"].reading() as connection:
            return api, by_name["queue"].part.know(connection, 0 if api.place is None else api.place.position)

    compared: tuple[tuple[tuple[str, str], Callable[[Known, Known], Iterator[Break]]], ...] = (
        (agreement.CURSOR, agreement.cursor),
        (agreement.ENTRIES, agreement.entries),
    )
    lasting: list[dict[Break, None]] = []
    for look in range(_LOOKS):
        if look:
            clock.sleep_blocking(_PAUSE)
        api, queue = know()
        found = [dict.fromkeys(each(api, queue)) for _, each in compared]
        lasting = [{key: None for key in old if key in new} for old, new in zip(lasting or found, found, strict=True)]
        if not any(lasting):
            break
    return [_proof(_BOTH, *words, breaks) for (words, _), breaks in zip(compared, lasting, strict=True)]


def as_table(proofs: Sequence[Proof]) -> str:
    """A line for each invariant, and the breaks below those that do not hold."""
    services = max(len(each.service) for each in proofs)
    names = max(len(each.name) for each in proofs)
    lines: list[str] = []
    for each in proofs:
        verdict = "ok" if not each.breaks else f"{each.breaks} BROKEN"
        lines.append(f"{each.service:<{services}}  {each.name:<{names}}  {verdict:<10}  {each.sentence}")
        lines += [f"    {subject}: {detail}" for subject, detail in each.first]
        if each.breaks > len(each.first):
            lines.append(f"    and {each.breaks - len(each.first)} more")
    return "\n".join(lines)
