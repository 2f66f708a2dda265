"""Brings the scalars of a spool to the server, in columnar batches, each record exactly once."""

from __future__ import annotations

import threading
from pathlib import Path

from batuta_courier import layout, tails, troubles
from batuta_courier.ledger import Ledger
from batuta_courier.retrying import Retry
from batuta_courier.scalars_reader import Batch, ScalarReader, SpoolDamaged
from batuta_proto.metrics import v1 as metrics
from batuta_rpc.clock import Clock
from batuta_rpc.errors import ResourceExhausted, RpcError, TooLarge
from batuta_rpc.ids import Ids

BATCH = 32_768
"""Records of one call; a segment is never crossed."""
_SMALLEST_BATCH = 256
_EVERY = 0.1
"""Seconds between two looks for new records."""


class ScalarShipper:
    """Runs in a thread of its own until `stop`. `error` is set when it had to give up."""

    def __init__(
        self,
        spool_dir: Path,
        run: layout.RunInfo,
        stub: metrics.MetricServiceStub,
        ledger: Ledger,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self.error: Exception | None = None
        self._spool_dir = spool_dir
        self._run = run
        self._stub = stub
        self._ledger = ledger
        self._retry = Retry(clock, ids)
        self._hurried = False
        self._batch = BATCH
        self._readers: dict[str, ScalarReader] = {}
        self._stop = threading.Event()
        self._look = threading.Event()

    def run(self) -> None:
        """Ship until `stop` or an error that does not pass."""
        try:
            while not self._stop.is_set():
                self._look.wait(self._pass())
                self._look.clear()
        except (RpcError, SpoolDamaged) as error:
            self.error = error
        finally:
            for reader in self._readers.values():
                reader.close()

    def stop(self) -> None:
        """Make `run` return soon. From any thread."""
        self._stop.set()
        self._look.set()

    def look(self) -> None:
        """Look for new records at once. From any thread."""
        self._look.set()

    def hurry(self) -> None:
        """Try what waits for its next try as soon as the server wanted it: it is back. From any thread."""
        self._hurried = True
        self._look.set()

    def _pass(self) -> float:
        """Ship what is there. Returns the seconds until the next look."""
        if self._hurried:
            self._hurried = False
            self._retry.hurry()
        wait = self._retry.seconds()
        if wait > 0:
            return wait
        try:
            for folder in layout.producers(self._spool_dir):
                self._ship_or_drop(folder)
        except RpcError as error:
            if not troubles.passes(error):
                raise
            self._ledger.failed(error)
            return self._retry.failed(error)
        except OSError as error:  # this machine's trouble (too many open files, a disk that is away) passes too
            return self._retry.failed(error)
        return _EVERY

    def _ship_or_drop(self, folder: Path) -> None:
        """Ship one producer's records. What is too large even in small pieces ends its stream, and no other."""
        while not self._stop.is_set():
            if self._ledger.dropped(folder.name):
                self._settle(folder)
                return
            try:
                self._ship(folder)
                return
            except ResourceExhausted as error:
                # Without a reason of its own it is gRPC's word for a message beyond its size, or a proxy's: smaller
                # ones are worth a try.
                if not isinstance(error, TooLarge) and type(error) is not ResourceExhausted:
                    raise
                if self._batch > _SMALLEST_BATCH:
                    self._batch //= 2
                elif isinstance(error, TooLarge):
                    self._batch = BATCH
                    after = self._ledger.scalars(folder.name)
                    self._ledger.drop(
                        folder.name, f"the scalars of process {folder.name} after the first {after} are lost: {error}"
                    )
                else:
                    raise

    def _settle(self, folder: Path) -> None:
        """Count what the server does not take as stored, and give its place on the disk back."""
        reader = self._reader(folder)
        end = reader.end()
        if self._ledger.put(folder.name, tails.SCALARS, end):
            reader.forget(end)
        reader.close()

    def _reader(self, folder: Path) -> ScalarReader:
        return self._readers.setdefault(folder.name, ScalarReader(folder))

    def _ship(self, folder: Path) -> None:
        reader = self._reader(folder)
        while not self._stop.is_set():
            after = self._ledger.scalars(folder.name)
            # A courier that was killed may have deleted what it had no time to write down as stored.
            start = reader.start()
            batch = reader.read(max(after, start), self._batch)
            if batch is None:
                reader.close()  # a run may have forked thousands of processes: their files are not kept open
                return
            answer = self._stub.AppendScalars(request(self._run, folder.name, batch))
            self._retry.succeeded()
            self._ledger.answered()
            stored = answer.committed_sequence
            if stored < start:
                raise SpoolDamaged(
                    f"the server has {stored} scalars of {folder.name}, the spool begins behind {start}: "
                    "what lies between is lost"
                )
            self._ledger.put(folder.name, tails.SCALARS, stored)
            if stored - start >= reader.records:
                self._ledger.flush()  # before the segments go
                reader.forget(stored)


def request(run: layout.RunInfo, producer: str, batch: Batch) -> metrics.AppendScalarsRequest:
    """A batch as the contract has it."""
    return metrics.AppendScalarsRequest(
        task_id=run.task_id,
        attempt=run.attempt,
        producer=producer,
        first_sequence=batch.first,
        last_sequence=batch.last,
        columns=[
            metrics.ScalarColumn(
                metric=column.metric,
                variant=column.variant,
                iterations=column.iterations,
                time_unix_millis=column.times,
                values=column.values,
            )
            for column in batch.columns
        ],
    )
