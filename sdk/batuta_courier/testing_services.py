"""The services of `testing.FakeApi`, but for tasks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import grpc

from batuta_courier.testing import ACCESS_KEY, ASKED, LOG, SCALARS, SECRET_KEY, STORED, FakeState, refuse
from batuta_courier.testing_tasks import FakeTasks
from batuta_proto.logs import v1 as logs
from batuta_proto.metrics import v1 as metrics
from batuta_proto.tasks import v1 as tasks
from batuta_proto.users import v1 as users
from batuta_rpc.errors import CredentialInvalid, LogGap, LogQuota, RpcError

F = TypeVar("F", bound=Callable[..., Any])


def add_services(server: grpc.Server, state: FakeState) -> None:
    """Register every service of the fake. What a fake leaves out answers UNIMPLEMENTED."""
    tasks.add_TaskServiceServicer_to_server(cast("Any", FakeTasks)(state), server)
    metrics.add_MetricServiceServicer_to_server(cast("Any", FakeMetrics)(state), server)
    logs.add_LogServiceServicer_to_server(cast("Any", FakeLogs)(state), server)
    users.add_UserServiceServicer_to_server(cast("Any", FakeUsers)(), server)


def answered(method: F) -> F:
    """Errors become statuses; `answers_to_lose` calls act and then fail."""

    @functools.wraps(method)
    def call(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        state: FakeState = self.state
        try:
            with state.changed:
                state.calls.append(method.__name__)
                producer = getattr(request, "producer", "")
                state.on_step(method.__name__, ASKED, producer)
                answer = method(self, request, context)
                state.on_step(method.__name__, STORED, producer)
                state.changed.notify_all()
                if state.answers_to_lose > 0:
                    state.answers_to_lose -= 1
                    context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")
                return answer
        except RpcError as error:
            refuse(context, error)

    return call  # type: ignore[return-value]


class FakeMetrics(metrics.MetricServiceServicer):
    """Scalars in lists."""

    def __init__(self, state: FakeState) -> None:
        self.state = state

    @answered
    def AppendScalars(
        self, request: metrics.AppendScalarsRequest, context: grpc.ServicerContext
    ) -> metrics.AppendScalarsResponse:
        """Store a batch whose first sequence is the next one."""
        self.state.caller(context, request.task_id)
        last = request.last_sequence
        run = self.state.writable(request.task_id, request.attempt, request.producer, SCALARS, last)
        known = run.sequences.get(request.producer, 0)
        if request.first_sequence == known + 1:
            count = 0
            for column in request.columns:
                for iteration, millis, value in zip(column.iterations, column.time_unix_millis, column.values):
                    run.points.append((column.metric, column.variant, iteration, millis, value))
                    count += 1
            assert count == request.last_sequence - request.first_sequence + 1
            known = run.sequences[request.producer] = last
            status = self.state.task(request.task_id).status
            greatest = max(max(column.iterations) for column in request.columns)
            status.last_iteration = max(
                greatest, status.last_iteration if status.HasField("last_iteration") else greatest
            )
        return metrics.AppendScalarsResponse(committed_sequence=known)

    def ReadScalars(
        self, request: metrics.ReadScalarsRequest, context: grpc.ServicerContext
    ) -> Iterator[metrics.ReadScalarsResponse]:
        """All points, once."""
        columns: dict[tuple[str, str], metrics.ScalarColumn] = {}
        for metric, variant, iteration, millis, value in self.state.points(request.task_id):
            column = columns.setdefault((metric, variant), metrics.ScalarColumn(metric=metric, variant=variant))
            column.iterations.append(iteration)
            column.time_unix_millis.append(millis)
            column.values.append(value)
        yield metrics.ReadScalarsResponse(columns=list(columns.values()), position=1, synced=True)


class FakeLogs(logs.LogServiceServicer):
    """Logs in byte arrays."""

    def __init__(self, state: FakeState) -> None:
        self.state = state

    def AppendLog(
        self, request_iterator: Iterator[logs.AppendLogRequest], context: grpc.ServicerContext
    ) -> Iterator[logs.AppendLogResponse]:
        """Store chunks by offset."""
        task_id, attempt, producer = "", 0, ""
        for request in request_iterator:
            if not task_id:
                task_id, attempt, producer = request.task_id, request.attempt, request.producer
            try:
                with self.state.changed:
                    self.state.changed.notify_all()  # heard when the lock is let go, whatever the answer is
                    self.state.on_step("AppendLog", ASKED, producer)
                    committed = self._append(task_id, attempt, producer, request)
                    self.state.on_step("AppendLog", STORED, producer)
            except RpcError as error:
                refuse(context, error)
            yield logs.AppendLogResponse(committed_offset=committed)

    def _append(self, task_id: str, attempt: int, producer: str, request: logs.AppendLogRequest) -> int:
        end = request.offset + len(request.data)
        run = self.state.writable(task_id, attempt, producer, LOG, end if request.data else 0)
        log = run.logs.setdefault(producer, bytearray())
        if request.offset > len(log):
            raise LogGap("a gap", committed_offset=len(log))
        log += request.data[len(log) - request.offset :]
        quota = self.state.log_quota
        if quota is not None and len(log) > quota:
            del log[quota:]
            raise LogQuota("the attempt has written all the log it may", committed_offset=quota)
        return len(log)

    @staticmethod
    def _chunks(state: FakeState, task_id: str) -> list[logs.LogChunk]:
        with state.changed:
            return [
                logs.LogChunk(attempt=attempt, producer=producer, data=bytes(data))
                for (owner, attempt), run in state.runs.items()
                if owner == task_id
                for producer, data in run.logs.items()
            ]

    def ReadLog(self, request: logs.ReadLogRequest, context: grpc.ServicerContext) -> Iterator[logs.ReadLogResponse]:
        """Everything, once."""
        yield logs.ReadLogResponse(chunks=self._chunks(self.state, request.task_id), position=1, synced=True)


class FakeUsers(users.UserServiceServicer):
    """One credential."""

    def IssueToken(self, request: users.IssueTokenRequest, context: grpc.ServicerContext) -> users.IssueTokenResponse:
        """A token that is good for ten minutes."""
        if (request.access_key, request.secret_key) != (ACCESS_KEY, SECRET_KEY):
            refuse(context, CredentialInvalid("unknown access key or wrong secret key"))
        answer = users.IssueTokenResponse(token="member-token")
        answer.expire_time.GetCurrentTime()
        answer.expire_time.seconds += 600
        return answer
