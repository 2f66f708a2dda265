from batuta_proto.types.v1 import attempt_pb2 as _attempt_pb2
from batuta_proto.types.v1 import lease_pb2 as _lease_pb2
from batuta_proto.types.v1 import parameter_pb2 as _parameter_pb2
from batuta_proto.types.v1 import resources_pb2 as _resources_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATE_UNSPECIFIED: _ClassVar[TaskState]
    TASK_STATE_DRAFT: _ClassVar[TaskState]
    TASK_STATE_QUEUED: _ClassVar[TaskState]
    TASK_STATE_RUNNING: _ClassVar[TaskState]
    TASK_STATE_STOPPING: _ClassVar[TaskState]
    TASK_STATE_COMPLETED: _ClassVar[TaskState]
    TASK_STATE_FAILED: _ClassVar[TaskState]
    TASK_STATE_ABORTED: _ClassVar[TaskState]
    TASK_STATE_PUBLISHED: _ClassVar[TaskState]

class TaskType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_TYPE_UNSPECIFIED: _ClassVar[TaskType]
    TASK_TYPE_TRAINING: _ClassVar[TaskType]
    TASK_TYPE_TESTING: _ClassVar[TaskType]
    TASK_TYPE_INFERENCE: _ClassVar[TaskType]
    TASK_TYPE_DATA_PROCESSING: _ClassVar[TaskType]
    TASK_TYPE_APPLICATION: _ClassVar[TaskType]
    TASK_TYPE_MONITOR: _ClassVar[TaskType]
    TASK_TYPE_CONTROLLER: _ClassVar[TaskType]
    TASK_TYPE_OPTIMIZER: _ClassVar[TaskType]
    TASK_TYPE_SERVICE: _ClassVar[TaskType]
    TASK_TYPE_QC: _ClassVar[TaskType]
    TASK_TYPE_CUSTOM: _ClassVar[TaskType]
TASK_STATE_UNSPECIFIED: TaskState
TASK_STATE_DRAFT: TaskState
TASK_STATE_QUEUED: TaskState
TASK_STATE_RUNNING: TaskState
TASK_STATE_STOPPING: TaskState
TASK_STATE_COMPLETED: TaskState
TASK_STATE_FAILED: TaskState
TASK_STATE_ABORTED: TaskState
TASK_STATE_PUBLISHED: TaskState
TASK_TYPE_UNSPECIFIED: TaskType
TASK_TYPE_TRAINING: TaskType
TASK_TYPE_TESTING: TaskType
TASK_TYPE_INFERENCE: TaskType
TASK_TYPE_DATA_PROCESSING: TaskType
TASK_TYPE_APPLICATION: TaskType
TASK_TYPE_MONITOR: TaskType
TASK_TYPE_CONTROLLER: TaskType
TASK_TYPE_OPTIMIZER: TaskType
TASK_TYPE_SERVICE: TaskType
TASK_TYPE_QC: TaskType
TASK_TYPE_CUSTOM: TaskType

class Task(_message.Message):
    __slots__ = ("id", "etag", "display_name", "tags", "spec", "status", "create_time", "update_time", "owner", "archive_time", "delete_time", "purge_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    DELETE_TIME_FIELD_NUMBER: _ClassVar[int]
    PURGE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    display_name: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    spec: TaskSpec
    status: TaskStatus
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    owner: str
    archive_time: _timestamp_pb2.Timestamp
    delete_time: _timestamp_pb2.Timestamp
    purge_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ..., display_name: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., spec: _Optional[_Union[TaskSpec, _Mapping]] = ..., status: _Optional[_Union[TaskStatus, _Mapping]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., owner: _Optional[str] = ..., archive_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., delete_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., purge_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TaskSpec(_message.Message):
    __slots__ = ("project_id", "project_name", "type", "comment", "parent_task_id", "source", "environment", "parameters", "resources", "retry")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    PARENT_TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    project_name: str
    type: TaskType
    comment: str
    parent_task_id: str
    source: Source
    environment: Environment
    parameters: _containers.RepeatedCompositeFieldContainer[_parameter_pb2.Parameter]
    resources: _resources_pb2.Resources
    retry: _lease_pb2.RetryPolicy
    def __init__(self, project_id: _Optional[str] = ..., project_name: _Optional[str] = ..., type: _Optional[_Union[TaskType, str]] = ..., comment: _Optional[str] = ..., parent_task_id: _Optional[str] = ..., source: _Optional[_Union[Source, _Mapping]] = ..., environment: _Optional[_Union[Environment, _Mapping]] = ..., parameters: _Optional[_Iterable[_Union[_parameter_pb2.Parameter, _Mapping]]] = ..., resources: _Optional[_Union[_resources_pb2.Resources, _Mapping]] = ..., retry: _Optional[_Union[_lease_pb2.RetryPolicy, _Mapping]] = ...) -> None: ...

class Source(_message.Message):
    __slots__ = ("repository_url", "branch", "commit", "diff", "entry_point", "working_directory", "script")
    REPOSITORY_URL_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    DIFF_FIELD_NUMBER: _ClassVar[int]
    ENTRY_POINT_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    repository_url: str
    branch: str
    commit: str
    diff: str
    entry_point: str
    working_directory: str
    script: str
    def __init__(self, repository_url: _Optional[str] = ..., branch: _Optional[str] = ..., commit: _Optional[str] = ..., diff: _Optional[str] = ..., entry_point: _Optional[str] = ..., working_directory: _Optional[str] = ..., script: _Optional[str] = ...) -> None: ...

class Environment(_message.Message):
    __slots__ = ("python_version", "requirements", "container")
    PYTHON_VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUIREMENTS_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    python_version: str
    requirements: _containers.RepeatedScalarFieldContainer[str]
    container: Container
    def __init__(self, python_version: _Optional[str] = ..., requirements: _Optional[_Iterable[str]] = ..., container: _Optional[_Union[Container, _Mapping]] = ...) -> None: ...

class Container(_message.Message):
    __slots__ = ("image", "arguments", "setup_script")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    SETUP_SCRIPT_FIELD_NUMBER: _ClassVar[int]
    image: str
    arguments: _containers.RepeatedScalarFieldContainer[str]
    setup_script: str
    def __init__(self, image: _Optional[str] = ..., arguments: _Optional[_Iterable[str]] = ..., setup_script: _Optional[str] = ...) -> None: ...

class TaskStatus(_message.Message):
    __slots__ = ("state", "reason", "message", "attempt", "attempt_open", "phase", "local", "queue_id", "queue_name", "agent_id", "host", "exit_code", "signal", "last_iteration", "enqueue_time", "start_time", "end_time", "last_proof_time")
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_OPEN_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    LOCAL_FIELD_NUMBER: _ClassVar[int]
    QUEUE_ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_NAME_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    LAST_ITERATION_FIELD_NUMBER: _ClassVar[int]
    ENQUEUE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_PROOF_TIME_FIELD_NUMBER: _ClassVar[int]
    state: TaskState
    reason: str
    message: str
    attempt: int
    attempt_open: bool
    phase: _attempt_pb2.AttemptPhase
    local: bool
    queue_id: str
    queue_name: str
    agent_id: str
    host: str
    exit_code: int
    signal: int
    last_iteration: int
    enqueue_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    last_proof_time: _timestamp_pb2.Timestamp
    def __init__(self, state: _Optional[_Union[TaskState, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., attempt: _Optional[int] = ..., attempt_open: bool = ..., phase: _Optional[_Union[_attempt_pb2.AttemptPhase, str]] = ..., local: bool = ..., queue_id: _Optional[str] = ..., queue_name: _Optional[str] = ..., agent_id: _Optional[str] = ..., host: _Optional[str] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., last_iteration: _Optional[int] = ..., enqueue_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., last_proof_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
