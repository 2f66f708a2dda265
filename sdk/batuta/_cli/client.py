"""A server as commands see it: the stubs of the contract over one channel."""

from __future__ import annotations

from batuta_proto.agents import v1 as agents
from batuta_proto.artifacts import v1 as artifacts
from batuta_proto.audit import v1 as audit
from batuta_proto.logs import v1 as logs
from batuta_proto.metrics import v1 as metrics
from batuta_proto.projects import v1 as projects
from batuta_proto.queues import v1 as queues
from batuta_proto.tasks import v1 as tasks
from batuta_proto.users import v1 as users
from batuta_rpc.auth import CredentialTokens
from batuta_rpc.channel import open_sync
from batuta_rpc.clock import Clock
from batuta_rpc.config import Connection

CLIENT_NAME = "cli"


class Client:
    """Stubs by area. Calls raise `batuta_rpc.errors.RpcError`."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        """Nothing is dialled yet. Raises `ValueError` for an address that cannot be read, or authorities."""
        self.api = connection.api
        self.trust = connection.trust
        keys = connection.access_key, connection.secret_key
        tokens = CredentialTokens(connection.api, *keys, clock, CLIENT_NAME, self.trust)
        self._channel = open_sync(connection.api, tokens, CLIENT_NAME, trust=self.trust)
        self.agents = agents.AgentServiceStub(self._channel)
        self.audit = audit.AuditServiceStub(self._channel)
        self.artifacts = artifacts.ArtifactServiceStub(self._channel)
        self.logs = logs.LogServiceStub(self._channel)
        self.metrics = metrics.MetricServiceStub(self._channel)
        self.projects = projects.ProjectServiceStub(self._channel)
        self.queues = queues.QueueServiceStub(self._channel)
        self.tasks = tasks.TaskServiceStub(self._channel)
        self.users = users.UserServiceStub(self._channel)

    def close(self) -> None:
        """End all calls and the connection."""
        self._channel.close()
