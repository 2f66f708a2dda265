"""A small server of ours, real gRPC on loopback with all in memory, and the program run against it in this process."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import grpc
import pytest

from batuta._cli.context import Context
from batuta._cli.main import run
from batuta_proto.agents import v1 as agents
from batuta_proto.artifacts import v1 as artifacts
from batuta_proto.audit import v1 as audit
from batuta_proto.logs import v1 as logs
from batuta_proto.metrics import v1 as metrics
from batuta_proto.projects import v1 as projects
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.types import v1 as types
from batuta_proto.users import v1 as users
from batuta_rpc import config, errors
from batuta_rpc.testing import FakeClock, SeededIds
from tests.cli.artifact_server import Artifacts, Shelf
from tests.pki import Pki

_NOBODY = agents.GetFleetResponse
_OPEN = projects.ProjectAccess
ACCESS, SECRET = "KEY", "s3cret%"


def fail(context: grpc.ServicerContext, error: errors.RpcError) -> NoReturn:
    """End a call as our servers do."""
    status = errors.to_status(error)
    context.set_trailing_metadata(((errors.DETAILS_KEY, status.SerializeToString()),))
    context.abort(error.code, status.message)
    raise AssertionError


@dataclass
class State:
    """What the server holds, and what it was asked."""

    tasks: dict[str, tasks.Task] = field(default_factory=dict[str, Any])
    queues: list[queues.Queue] = field(default_factory=list[Any])
    access: Any = field(default_factory=_OPEN)
    projects: list[projects.Project] = field(default_factory=list[Any])
    entries: list[queues.Entry] = field(default_factory=list[Any])
    queue_points: list[queues.QueuePoint] = field(default_factory=list[Any])
    agent_points: list[agents.AgentPoint] = field(default_factory=list[Any])
    agents: list[agents.Agent] = field(default_factory=list[Any])
    attempts: list[tasks.Attempt] = field(default_factory=list[Any])
    users: dict[str, users.User] = field(default_factory=dict[str, Any])
    changes: list[audit.Change] = field(default_factory=list[Any])
    refusals: list[audit.Refusal] = field(default_factory=list[Any])
    credentials: list[users.Credential] = field(default_factory=list[Any])
    fleet: Any = field(default_factory=_NOBODY)
    log: list[bytes] = field(default_factory=list[Any])
    cut_log_after: list[int] = field(default_factory=list[Any])
    summaries: list[metrics.ScalarSummary] = field(default_factory=list[Any])
    columns: list[metrics.ScalarColumn] = field(default_factory=list[Any])
    asked: list[Any] = field(default_factory=list[Any])

    def task(self, task_id: str, context: grpc.ServicerContext) -> tasks.Task:
        """One task, or TASK_NOT_FOUND."""
        if task_id not in self.tasks:
            fail(context, errors.TaskNotFound(f"there is no task {task_id!r}.", task_id=task_id))
        return self.tasks[task_id]


class Users(users.UserServiceServicer):
    """One credential, an admin's."""

    def __init__(self, state: State) -> None:
        self._state = state

    def IssueToken(self, request: users.IssueTokenRequest, context: grpc.ServicerContext) -> users.IssueTokenResponse:
        if (request.access_key, request.secret_key) != (ACCESS, SECRET):
            fail(context, errors.CredentialInvalid("this credential is not known."))
        answer = users.IssueTokenResponse(token="good")
        answer.expire_time.FromSeconds(4_000_000_000)
        return answer

    def GetCaller(self, request: users.GetCallerRequest, context: grpc.ServicerContext) -> users.GetCallerResponse:
        if ("authorization", "Bearer good") not in list(context.invocation_metadata()):
            fail(context, errors.TokenMissing("no token."))
        return users.GetCallerResponse(subject="admin", roles=[types.ROLE_ADMIN])

    def CreateUser(self, request: users.CreateUserRequest, context: grpc.ServicerContext) -> users.CreateUserResponse:
        made = users.User(name=request.user_name, display_name=request.display_name, role=request.role)
        self._state.users[made.name] = made
        return users.CreateUserResponse(user=made)

    def GetUser(self, request: users.GetUserRequest, context: grpc.ServicerContext) -> users.GetUserResponse:
        return users.GetUserResponse(user=self._user(request.user_name, context))

    def ListUsers(self, request: users.ListUsersRequest, context: grpc.ServicerContext) -> users.ListUsersResponse:
        return users.ListUsersResponse(users=self._state.users.values())

    def UpdateUser(self, request: users.UpdateUserRequest, context: grpc.ServicerContext) -> users.UpdateUserResponse:
        user = self._user(request.user_name, context)
        if request.HasField("display_name"):
            user.display_name = request.display_name
        if request.HasField("role"):
            user.role = request.role
        return users.UpdateUserResponse(user=user)

    def DisableUser(
        self, request: users.DisableUserRequest, context: grpc.ServicerContext
    ) -> users.DisableUserResponse:
        user = self._user(request.user_name, context)
        user.disable_time.FromSeconds(1_770_000_000)
        return users.DisableUserResponse(user=user)

    def EnableUser(self, request: users.EnableUserRequest, context: grpc.ServicerContext) -> users.EnableUserResponse:
        user = self._user(request.user_name, context)
        user.ClearField("disable_time")
        return users.EnableUserResponse(user=user)

    def SetPassword(
        self, request: users.SetPasswordRequest, context: grpc.ServicerContext
    ) -> users.SetPasswordResponse:
        self._state.asked.append(request)
        user = self._user(request.user_name, context)
        user.has_password = True
        return users.SetPasswordResponse(user=user)

    def CreateCredential(
        self, request: users.CreateCredentialRequest, context: grpc.ServicerContext
    ) -> users.CreateCredentialResponse:
        self._state.asked.append(request)
        made = users.Credential(access_key="bk_new", subject=request.subject, roles=request.roles)
        self._state.credentials.append(made)
        return users.CreateCredentialResponse(credential=made, secret_key="bs_new")

    def ListCredentials(
        self, request: users.ListCredentialsRequest, context: grpc.ServicerContext
    ) -> users.ListCredentialsResponse:
        found = [each for each in self._state.credentials if request.subject in ("", each.subject)]
        return users.ListCredentialsResponse(credentials=found)

    def RevokeCredential(
        self, request: users.RevokeCredentialRequest, context: grpc.ServicerContext
    ) -> users.RevokeCredentialResponse:
        for each in self._state.credentials:
            if each.access_key == request.access_key:
                each.revoke_time.FromSeconds(1_770_000_000)
                return users.RevokeCredentialResponse(credential=each)
        fail(context, errors.CredentialNotFound(f"there is no credential {request.access_key}"))

    def _user(self, name: str, context: grpc.ServicerContext) -> users.User:
        if name not in self._state.users:
            fail(context, errors.UserNotFound(f"there is no user {name!r}"))
        return self._state.users[name]

    def CreateJoinToken(
        self, request: users.CreateJoinTokenRequest, context: grpc.ServicerContext
    ) -> users.CreateJoinTokenResponse:
        self._state.asked.append(request)
        answer = users.CreateJoinTokenResponse(join_token="bj_once")
        answer.expire_time.FromSeconds(1_770_000_000)
        return answer


class Tasks(tasks.TaskServiceServicer):
    """Tasks in a dict."""

    def __init__(self, state: State) -> None:
        self._state = state

    def ListTasks(self, request: tasks.ListTasksRequest, context: grpc.ServicerContext) -> tasks.ListTasksResponse:
        self._state.asked.append(request)
        everything = list(self._state.tasks.values())
        start = int(request.page_token or 0)
        end = start + min(request.page_size, 3)
        shown = everything[start:end]
        values = tasks.ColumnValues(
            metrics=[
                tasks.ColumnValues.Metric(value=0.5 if at == 0 else None) for at, _ in enumerate(request.metric_columns)
            ],
            parameters=[tasks.ColumnValues.Parameter(value="0.1") for _ in request.parameter_columns],
        )
        return tasks.ListTasksResponse(
            tasks=shown,
            values=[values for _ in shown] if request.metric_columns or request.parameter_columns else [],
            next_page_token=str(end) if end < len(everything) else "",
        )

    def GetTask(self, request: tasks.GetTaskRequest, context: grpc.ServicerContext) -> tasks.GetTaskResponse:
        return tasks.GetTaskResponse(task=self._state.task(request.task_id, context))

    def EnqueueTask(
        self, request: tasks.EnqueueTaskRequest, context: grpc.ServicerContext
    ) -> tasks.EnqueueTaskResponse:
        self._state.asked.append(request)
        task = self._state.task(request.task_id, context)
        if request.queue_name != "default" and not request.create_queue:
            fail(context, errors.QueueNotFound(f"there is no queue {request.queue_name!r}; there are: default."))
        task.status.state = tasks.TASK_STATE_QUEUED
        task.status.queue_name = request.queue_name
        return tasks.EnqueueTaskResponse(task=task, entry_id="e1")

    def ListAttempts(
        self, request: tasks.ListAttemptsRequest, context: grpc.ServicerContext
    ) -> tasks.ListAttemptsResponse:
        self._state.task(request.task_id, context)
        start = int(request.page_token or 0)
        end = start + min(request.page_size, 3)
        more = str(end) if end < len(self._state.attempts) else ""
        return tasks.ListAttemptsResponse(attempts=self._state.attempts[start:end], next_page_token=more)

    def UpdateTask(self, request: tasks.UpdateTaskRequest, context: grpc.ServicerContext) -> tasks.UpdateTaskResponse:
        self._state.asked.append(request)
        task = self._state.task(request.task.id, context)
        request.update_mask.MergeMessage(request.task, task, replace_message_field=True, replace_repeated_field=True)
        return tasks.UpdateTaskResponse(task=task)

    def AbortTask(self, request: tasks.AbortTaskRequest, context: grpc.ServicerContext) -> tasks.AbortTaskResponse:
        task = self._state.task(request.task_id, context)
        if task.status.state == tasks.TASK_STATE_DRAFT:
            fail(context, errors.IllegalTransition("a task in DRAFT cannot become ABORTED."))
        task.status.state = tasks.TASK_STATE_STOPPING
        task.status.message = request.message
        return tasks.AbortTaskResponse(task=task)

    def CloneTask(self, request: tasks.CloneTaskRequest, context: grpc.ServicerContext) -> tasks.CloneTaskResponse:
        self._state.asked.append(request)
        copy = tasks.Task()
        copy.CopyFrom(self._state.task(request.task_id, context))
        copy.id = "f" * 32
        self._state.tasks[copy.id] = copy
        copy.display_name = request.display_name or copy.display_name
        return tasks.CloneTaskResponse(task=copy)

    def BatchGetTasks(
        self, request: tasks.BatchGetTasksRequest, context: grpc.ServicerContext
    ) -> tasks.BatchGetTasksResponse:
        return tasks.BatchGetTasksResponse(
            results=[tasks.TaskResult(task=self._state.task(each, context)) for each in request.task_ids]
        )

    def BatchChangeTasks(
        self, request: tasks.BatchChangeTasksRequest, context: grpc.ServicerContext
    ) -> tasks.BatchChangeTasksResponse:
        self._state.asked.append(request)
        answer = tasks.BatchChangeTasksResponse()
        for change in request.changes:
            task_id = getattr(change, str(change.WhichOneof("change"))).task_id
            if task_id in self._state.tasks:
                answer.results.add(task=self._state.tasks[task_id])
            else:
                missing = errors.TaskNotFound(f"there is no task {task_id!r}.", task_id=task_id)
                answer.results.add(status=errors.to_status(missing))
        return answer

    def DeleteTask(self, request: tasks.DeleteTaskRequest, context: grpc.ServicerContext) -> tasks.DeleteTaskResponse:
        self._state.asked.append(request)
        task = self._state.task(request.task_id, context)
        task.delete_time.FromSeconds(1_770_000_000)
        return tasks.DeleteTaskResponse(task=task)

    def TagTask(self, request: tasks.TagTaskRequest, context: grpc.ServicerContext) -> tasks.TagTaskResponse:
        self._state.asked.append(request)
        task = self._state.task(request.task_id, context)
        task.tags[:] = request.add
        return tasks.TagTaskResponse(task=task)

    def WatchTasks(
        self, request: tasks.WatchTasksRequest, context: grpc.ServicerContext
    ) -> Iterator[tasks.WatchTasksResponse]:
        self._state.asked.append(tasks.WatchTasksRequest.FromString(request.SerializeToString()))
        if not request.resume_token:
            for task in self._state.tasks.values():
                yield tasks.WatchTasksResponse(task=task)
            yield tasks.WatchTasksResponse(synced=True, resume_token="r1")
            fail(context, errors.ShuttingDown("this process is going down."))
        yield tasks.WatchTasksResponse(gone_task_id="gone", resume_token="r2")


class Audit(audit.AuditServiceServicer):
    """What the test put there, a page of two at a time."""

    def __init__(self, state: State) -> None:
        self._state = state

    def ListChanges(
        self, request: audit.ListChangesRequest, context: grpc.ServicerContext
    ) -> audit.ListChangesResponse:
        self._state.asked.append(request)
        start = int(request.page_token or 0)
        more = str(start + 2) if start + 2 < len(self._state.changes) else ""
        return audit.ListChangesResponse(changes=self._state.changes[start : start + 2], next_page_token=more)

    def ListRefusals(
        self, request: audit.ListRefusalsRequest, context: grpc.ServicerContext
    ) -> audit.ListRefusalsResponse:
        self._state.asked.append(request)
        return audit.ListRefusalsResponse(refusals=self._state.refusals)


class Logs(logs.LogServiceServicer):
    """One log, whose connection is lost where the test says."""

    def __init__(self, state: State) -> None:
        self._state = state

    def ReadLog(self, request: logs.ReadLogRequest, context: grpc.ServicerContext) -> Iterator[logs.ReadLogResponse]:
        self._state.asked.append(request)
        self._state.task(request.task_id, context)
        for place, data in enumerate(self._state.log, start=1):
            if place <= request.after_position:
                continue
            if self._state.cut_log_after and place > self._state.cut_log_after[0]:
                self._state.cut_log_after.pop(0)
                fail(context, errors.ShuttingDown("this process is going down."))
            yield logs.ReadLogResponse(chunks=[logs.LogChunk(data=data)], position=place)


class Metrics(metrics.MetricServiceServicer):
    """What the test put there."""

    def __init__(self, state: State) -> None:
        self._state = state

    def ListScalars(
        self, request: metrics.ListScalarsRequest, context: grpc.ServicerContext
    ) -> metrics.ListScalarsResponse:
        return metrics.ListScalarsResponse(scalars=self._state.summaries)

    def ReadScalars(
        self, request: metrics.ReadScalarsRequest, context: grpc.ServicerContext
    ) -> Iterator[metrics.ReadScalarsResponse]:
        yield metrics.ReadScalarsResponse(columns=self._state.columns, position=1)


class Projects(projects.ProjectServiceServicer):
    """Projects in a list; a change answers with what was asked."""

    def __init__(self, state: State) -> None:
        self._state = state

    def CreateProject(
        self, request: projects.CreateProjectRequest, context: grpc.ServicerContext
    ) -> projects.CreateProjectResponse:
        made = projects.Project(id="p1", etag="1", display_name=request.display_name, description=request.description)
        self._state.projects.append(made)
        return projects.CreateProjectResponse(project=made)

    def ListProjects(
        self, request: projects.ListProjectsRequest, context: grpc.ServicerContext
    ) -> projects.ListProjectsResponse:
        wanted = request.filter.display_name
        found = [each for each in self._state.projects if wanted in ("", each.display_name)]
        return projects.ListProjectsResponse(projects=found)

    def GetProjectAccess(
        self, request: projects.GetProjectAccessRequest, context: grpc.ServicerContext
    ) -> projects.GetProjectAccessResponse:
        return projects.GetProjectAccessResponse(access=self._state.access)

    def SetProjectAccess(
        self, request: projects.SetProjectAccessRequest, context: grpc.ServicerContext
    ) -> projects.SetProjectAccessResponse:
        self._state.asked.append(request)
        self._state.access = projects.ProjectAccess(closed=request.closed, members=request.members)
        return projects.SetProjectAccessResponse(access=self._state.access)

    def GetProjectStatistics(
        self, request: projects.GetProjectStatisticsRequest, context: grpc.ServicerContext
    ) -> projects.GetProjectStatisticsResponse:
        counts = projects.ProjectStatistics(task_count_by_state={10: 2, 50: 1}, task_count=3, archived_count=1)
        return projects.GetProjectStatisticsResponse(statistics=counts)

    def UpdateProject(
        self, request: projects.UpdateProjectRequest, context: grpc.ServicerContext
    ) -> projects.UpdateProjectResponse:
        self._state.asked.append(request)
        return projects.UpdateProjectResponse(project=request.project)

    def MergeProject(
        self, request: projects.MergeProjectRequest, context: grpc.ServicerContext
    ) -> projects.MergeProjectResponse:
        self._state.asked.append(request)
        return projects.MergeProjectResponse(project=self._state.projects[-1])

    def DeleteProject(
        self, request: projects.DeleteProjectRequest, context: grpc.ServicerContext
    ) -> projects.DeleteProjectResponse:
        self._state.asked.append(request)
        if not request.delete_tasks:
            fail(context, errors.ProjectNotEmpty("3 tasks stand in project 'a' or below it."))
        return projects.DeleteProjectResponse(deleted_task_count=3, deleted_project_count=1)


class Queues(queues.QueueServiceServicer):
    """Queues in a list."""

    def __init__(self, state: State) -> None:
        self._state = state

    def CreateQueue(
        self, request: queues.CreateQueueRequest, context: grpc.ServicerContext
    ) -> queues.CreateQueueResponse:
        if any(queue.display_name == request.display_name for queue in self._state.queues):
            fail(context, errors.QueueNameTaken(f"a queue named {request.display_name!r} is there already."))
        queue = queues.Queue(
            id=f"{len(self._state.queues):032x}", display_name=request.display_name, description=request.description
        )
        self._state.queues.append(queue)
        return queues.CreateQueueResponse(queue=queue)

    def GetQueue(self, request: queues.GetQueueRequest, context: grpc.ServicerContext) -> queues.GetQueueResponse:
        for queue in self._state.queues:
            if (request.queue_id or request.display_name) in (queue.id, queue.display_name):
                return queues.GetQueueResponse(queue=queue)
        fail(context, errors.QueueNotFound(f"there is no queue {request.display_name!r}; there are: default."))

    def ListQueues(self, request: queues.ListQueuesRequest, context: grpc.ServicerContext) -> queues.ListQueuesResponse:
        return queues.ListQueuesResponse(queues=self._state.queues)

    def ListEntries(
        self, request: queues.ListEntriesRequest, context: grpc.ServicerContext
    ) -> queues.ListEntriesResponse:
        found = [each for each in self._state.entries if not request.states or each.state in request.states]
        return queues.ListEntriesResponse(entries=found)

    def ReleaseEntry(
        self, request: queues.ReleaseEntryRequest, context: grpc.ServicerContext
    ) -> queues.ReleaseEntryResponse:
        for entry in self._state.entries:
            if entry.id == request.entry_id:
                if entry.state == queues.ENTRY_STATE_HELD:
                    entry.state = queues.ENTRY_STATE_WAITING
                return queues.ReleaseEntryResponse(entry=entry)
        fail(context, errors.EntryNotFound(f"there is no entry {request.entry_id!r}."))

    def GetQueueHistory(
        self, request: queues.GetQueueHistoryRequest, context: grpc.ServicerContext
    ) -> queues.GetQueueHistoryResponse:
        self._state.asked.append(request)
        answer = queues.GetQueueHistoryResponse(points=self._state.queue_points)
        answer.resolution.FromSeconds(60)
        return answer

    def UpdateQueue(
        self, request: queues.UpdateQueueRequest, context: grpc.ServicerContext
    ) -> queues.UpdateQueueResponse:
        self._state.asked.append(request)
        queue = next(each for each in self._state.queues if each.id == request.queue.id)
        request.update_mask.MergeMessage(request.queue, queue)
        return queues.UpdateQueueResponse(queue=queue)

    def DeleteQueue(
        self, request: queues.DeleteQueueRequest, context: grpc.ServicerContext
    ) -> queues.DeleteQueueResponse:
        if self._state.entries and not request.force:
            fail(context, errors.QueueNotEmpty("in queue 'default' 2 entries wait and 0 run; use --force."))
        self._state.queues = [each for each in self._state.queues if each.id != request.queue_id]
        return queues.DeleteQueueResponse(removed_count=len(self._state.entries), running_count=1)

    def ClearQueue(self, request: queues.ClearQueueRequest, context: grpc.ServicerContext) -> queues.ClearQueueResponse:
        taken = self._state.entries[:2]
        del self._state.entries[:2]
        return queues.ClearQueueResponse(removed_count=len(taken), more=bool(self._state.entries))

    def RemoveEntry(
        self, request: queues.RemoveEntryRequest, context: grpc.ServicerContext
    ) -> queues.RemoveEntryResponse:
        entry = next(each for each in self._state.entries if each.id == request.entry_id)
        self._state.entries.remove(entry)
        return queues.RemoveEntryResponse(entry=entry)

    def PauseQueue(self, request: queues.PauseQueueRequest, context: grpc.ServicerContext) -> queues.PauseQueueResponse:
        queue = next(each for each in self._state.queues if each.id == request.queue_id)
        queue.status.pause_time.FromSeconds(1_770_000_000)
        queue.status.paused_by = "ada"
        return queues.PauseQueueResponse(queue=queue)

    def ResumeQueue(
        self, request: queues.ResumeQueueRequest, context: grpc.ServicerContext
    ) -> queues.ResumeQueueResponse:
        queue = next(each for each in self._state.queues if each.id == request.queue_id)
        queue.status.ClearField("pause_time")
        return queues.ResumeQueueResponse(queue=queue)

    def MoveEntry(self, request: queues.MoveEntryRequest, context: grpc.ServicerContext) -> queues.MoveEntryResponse:
        entry = next(each for each in self._state.entries if each.id == request.entry_id)
        entry.queue_id = request.queue_id or entry.queue_id
        rest = [each for each in self._state.entries if each is not entry]
        ids = [each.id for each in rest]
        place = ids.index(request.before_entry_id) if request.before_entry_id else 0 if request.first else len(rest)
        self._state.entries = [*rest[:place], entry, *rest[place:]]
        return queues.MoveEntryResponse(entry=entry)


class Agents(agents.AgentServiceServicer):
    """Agents in a list. Those that are online cannot be lost."""

    def __init__(self, state: State) -> None:
        self._state = state

    def ListAgents(self, request: agents.ListAgentsRequest, context: grpc.ServicerContext) -> agents.ListAgentsResponse:
        return agents.ListAgentsResponse(agents=self._state.agents)

    def GetAgent(self, request: agents.GetAgentRequest, context: grpc.ServicerContext) -> agents.GetAgentResponse:
        return agents.GetAgentResponse(agent=self._find(request.agent_id, context))

    def GetAgentHistory(
        self, request: agents.GetAgentHistoryRequest, context: grpc.ServicerContext
    ) -> agents.GetAgentHistoryResponse:
        self._find(request.agent_id, context)
        answer = agents.GetAgentHistoryResponse(points=self._state.agent_points)
        answer.resolution.FromSeconds(10)
        return answer

    def GetFleet(self, request: agents.GetFleetRequest, context: grpc.ServicerContext) -> agents.GetFleetResponse:
        return self._state.fleet

    def DrainAgent(self, request: agents.DrainAgentRequest, context: grpc.ServicerContext) -> agents.DrainAgentResponse:
        agent = self._find(request.agent_id, context)
        agent.drain.reason = request.reason
        agent.drain.request_time.FromSeconds(1_770_000_000)
        if request.HasField("deadline"):
            agent.drain.deadline.CopyFrom(request.deadline)
        return agents.DrainAgentResponse(agent=agent)

    def UndrainAgent(
        self, request: agents.UndrainAgentRequest, context: grpc.ServicerContext
    ) -> agents.UndrainAgentResponse:
        agent = self._find(request.agent_id, context)
        agent.ClearField("drain")
        return agents.UndrainAgentResponse(agent=agent)

    def DeclareAgentLost(
        self, request: agents.DeclareAgentLostRequest, context: grpc.ServicerContext
    ) -> agents.DeclareAgentLostResponse:
        self._state.asked.append(request)
        agent = self._find(request.agent_id, context)
        if agent.state == agents.AGENT_STATE_ONLINE:
            fail(context, errors.AgentOnline(f"agent {agent.id} is connected, so it is not lost."))
        lost = len(agent.assignments)
        del agent.assignments[:]
        return agents.DeclareAgentLostResponse(agent=agent, lost_count=lost)

    def _find(self, agent_id: str, context: grpc.ServicerContext) -> agents.Agent:
        for agent in self._state.agents:
            if agent.id == agent_id:
                return agent
        fail(context, errors.AgentNotFound(f"there is no agent {agent_id!r}"))


@dataclass
class Server:
    """The running server."""

    api: str
    state: State
    shelf: Shelf
    secure: str
    """The same over TLS."""
    pki: Pki
    """Who signed its certificate."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of its own for each test."""
    state, shelf = State(), Shelf()
    running = grpc.server(futures.ThreadPoolExecutor(8))
    parts: list[tuple[Any, Any]] = [
        (users.add_UserServiceServicer_to_server, Users),
        (tasks.add_TaskServiceServicer_to_server, Tasks),
        (audit.add_AuditServiceServicer_to_server, Audit),
        (logs.add_LogServiceServicer_to_server, Logs),
        (metrics.add_MetricServiceServicer_to_server, Metrics),
        (projects.add_ProjectServiceServicer_to_server, Projects),
        (queues.add_QueueServiceServicer_to_server, Queues),
        (agents.add_AgentServiceServicer_to_server, Agents),
    ]
    for add, servicer in parts:
        add(servicer(state), running)
    artifacts.add_ArtifactServiceServicer_to_server(Artifacts(shelf), running)
    port = running.add_insecure_port("127.0.0.1:0")
    pki = Pki()
    chain, key = pki.issue()
    secure = running.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
    running.start()
    yield Server(f"http://127.0.0.1:{port}", state, shelf, f"https://127.0.0.1:{secure}", pki)
    running.stop(None).wait(5)


@dataclass
class Outcome:
    """What a run of the program left."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """The answer as text."""
        return self.out.decode()


class Program:
    """The program, run in this process with streams of its own."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "batuta.conf"
        self.env = {"BATUTA_CONFIG_FILE": str(self.config)}
        self.clock = FakeClock(auto=True)

    def log_in(self, server: Server) -> None:
        """Keep the right login."""
        config.save_connection(self.config, config.Connection(server.api, ACCESS, SECRET))

    def __call__(self, *argv: str, stdin: io.StringIO | None = None, width: int | None = None) -> Outcome:
        """Run one command."""
        out, err = io.BytesIO(), io.StringIO()
        context = Context(self.env, stdin or io.StringIO(), out, err, self.clock, SeededIds(), width)
        code = run(context, argv)
        return Outcome(code, out.getvalue(), err.getvalue())


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program with no login."""
    return Program(tmp_path)


@pytest.fixture
def batuta(program: Program, server: Server) -> Program:
    """The program logged in to `server`."""
    program.log_in(server)
    return program
