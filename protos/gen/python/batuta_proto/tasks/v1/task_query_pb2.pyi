from batuta_proto.tasks.v1 import task_pb2 as _task_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MetricSummary(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METRIC_SUMMARY_UNSPECIFIED: _ClassVar[MetricSummary]
    METRIC_SUMMARY_LAST: _ClassVar[MetricSummary]
    METRIC_SUMMARY_MIN: _ClassVar[MetricSummary]
    METRIC_SUMMARY_MAX: _ClassVar[MetricSummary]

class ArchivedFilter(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ARCHIVED_FILTER_UNSPECIFIED: _ClassVar[ArchivedFilter]
    ARCHIVED_FILTER_EXCLUDE: _ClassVar[ArchivedFilter]
    ARCHIVED_FILTER_ONLY: _ClassVar[ArchivedFilter]
    ARCHIVED_FILTER_INCLUDE: _ClassVar[ArchivedFilter]

class TaskOrderField(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_ORDER_FIELD_UNSPECIFIED: _ClassVar[TaskOrderField]
    TASK_ORDER_FIELD_CREATE_TIME: _ClassVar[TaskOrderField]
    TASK_ORDER_FIELD_UPDATE_TIME: _ClassVar[TaskOrderField]
    TASK_ORDER_FIELD_START_TIME: _ClassVar[TaskOrderField]
    TASK_ORDER_FIELD_END_TIME: _ClassVar[TaskOrderField]
    TASK_ORDER_FIELD_DISPLAY_NAME: _ClassVar[TaskOrderField]
    TASK_ORDER_FIELD_PROJECT_NAME: _ClassVar[TaskOrderField]
    TASK_ORDER_FIELD_STATE: _ClassVar[TaskOrderField]
    TASK_ORDER_FIELD_TYPE: _ClassVar[TaskOrderField]
    TASK_ORDER_FIELD_OWNER: _ClassVar[TaskOrderField]
    TASK_ORDER_FIELD_LAST_ITERATION: _ClassVar[TaskOrderField]
    TASK_ORDER_FIELD_QUEUE_NAME: _ClassVar[TaskOrderField]
    TASK_ORDER_FIELD_HOST: _ClassVar[TaskOrderField]
    TASK_ORDER_FIELD_DURATION: _ClassVar[TaskOrderField]
    TASK_ORDER_FIELD_PARAMETER: _ClassVar[TaskOrderField]
    TASK_ORDER_FIELD_METRIC: _ClassVar[TaskOrderField]
METRIC_SUMMARY_UNSPECIFIED: MetricSummary
METRIC_SUMMARY_LAST: MetricSummary
METRIC_SUMMARY_MIN: MetricSummary
METRIC_SUMMARY_MAX: MetricSummary
ARCHIVED_FILTER_UNSPECIFIED: ArchivedFilter
ARCHIVED_FILTER_EXCLUDE: ArchivedFilter
ARCHIVED_FILTER_ONLY: ArchivedFilter
ARCHIVED_FILTER_INCLUDE: ArchivedFilter
TASK_ORDER_FIELD_UNSPECIFIED: TaskOrderField
TASK_ORDER_FIELD_CREATE_TIME: TaskOrderField
TASK_ORDER_FIELD_UPDATE_TIME: TaskOrderField
TASK_ORDER_FIELD_START_TIME: TaskOrderField
TASK_ORDER_FIELD_END_TIME: TaskOrderField
TASK_ORDER_FIELD_DISPLAY_NAME: TaskOrderField
TASK_ORDER_FIELD_PROJECT_NAME: TaskOrderField
TASK_ORDER_FIELD_STATE: TaskOrderField
TASK_ORDER_FIELD_TYPE: TaskOrderField
TASK_ORDER_FIELD_OWNER: TaskOrderField
TASK_ORDER_FIELD_LAST_ITERATION: TaskOrderField
TASK_ORDER_FIELD_QUEUE_NAME: TaskOrderField
TASK_ORDER_FIELD_HOST: TaskOrderField
TASK_ORDER_FIELD_DURATION: TaskOrderField
TASK_ORDER_FIELD_PARAMETER: TaskOrderField
TASK_ORDER_FIELD_METRIC: TaskOrderField

class TimeRange(_message.Message):
    __slots__ = ("until",)
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    until: _timestamp_pb2.Timestamp
    def __init__(self, until: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class NumberRange(_message.Message):
    __slots__ = ("low", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class ParameterCondition(_message.Message):
    __slots__ = ("section", "name", "equals", "between")
    SECTION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EQUALS_FIELD_NUMBER: _ClassVar[int]
    BETWEEN_FIELD_NUMBER: _ClassVar[int]
    section: str
    name: str
    equals: str
    between: NumberRange
    def __init__(self, section: _Optional[str] = ..., name: _Optional[str] = ..., equals: _Optional[str] = ..., between: _Optional[_Union[NumberRange, _Mapping]] = ...) -> None: ...

class MetricCondition(_message.Message):
    __slots__ = ("metric", "variant", "summary", "between")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    BETWEEN_FIELD_NUMBER: _ClassVar[int]
    metric: str
    variant: str
    summary: MetricSummary
    between: NumberRange
    def __init__(self, metric: _Optional[str] = ..., variant: _Optional[str] = ..., summary: _Optional[_Union[MetricSummary, str]] = ..., between: _Optional[_Union[NumberRange, _Mapping]] = ...) -> None: ...

class TaskOrder(_message.Message):
    __slots__ = ("field", "group", "name", "summary", "ascending")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ASCENDING_FIELD_NUMBER: _ClassVar[int]
    field: TaskOrderField
    group: str
    name: str
    summary: MetricSummary
    ascending: bool
    def __init__(self, field: _Optional[_Union[TaskOrderField, str]] = ..., group: _Optional[str] = ..., name: _Optional[str] = ..., summary: _Optional[_Union[MetricSummary, str]] = ..., ascending: bool = ...) -> None: ...

class MetricColumn(_message.Message):
    __slots__ = ("metric", "variant", "summary")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    metric: str
    variant: str
    summary: MetricSummary
    def __init__(self, metric: _Optional[str] = ..., variant: _Optional[str] = ..., summary: _Optional[_Union[MetricSummary, str]] = ...) -> None: ...

class ParameterColumn(_message.Message):
    __slots__ = ("section", "name")
    SECTION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    section: str
    name: str
    def __init__(self, section: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class ColumnValues(_message.Message):
    __slots__ = ("metrics", "parameters")
    class Metric(_message.Message):
        __slots__ = ("value",)
        VALUE_FIELD_NUMBER: _ClassVar[int]
        value: float
        def __init__(self, value: _Optional[float] = ...) -> None: ...
    class Parameter(_message.Message):
        __slots__ = ("value",)
        VALUE_FIELD_NUMBER: _ClassVar[int]
        value: str
        def __init__(self, value: _Optional[str] = ...) -> None: ...
    METRICS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedCompositeFieldContainer[ColumnValues.Metric]
    parameters: _containers.RepeatedCompositeFieldContainer[ColumnValues.Parameter]
    def __init__(self, metrics: _Optional[_Iterable[_Union[ColumnValues.Metric, _Mapping]]] = ..., parameters: _Optional[_Iterable[_Union[ColumnValues.Parameter, _Mapping]]] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ("filter", "page_size", "page_token", "order_by", "metric_columns", "parameter_columns")
    class Filter(_message.Message):
        __slots__ = ("project_name", "display_name", "states", "tags", "include_subprojects", "name_regex", "types", "any_tags", "no_tags", "parent_task_id", "owners", "queue_id", "create_time", "update_time", "start_time", "end_time", "parameters", "metrics", "archived", "deleted")
        PROJECT_NAME_FIELD_NUMBER: _ClassVar[int]
        DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
        STATES_FIELD_NUMBER: _ClassVar[int]
        TAGS_FIELD_NUMBER: _ClassVar[int]
        INCLUDE_SUBPROJECTS_FIELD_NUMBER: _ClassVar[int]
        NAME_REGEX_FIELD_NUMBER: _ClassVar[int]
        TYPES_FIELD_NUMBER: _ClassVar[int]
        ANY_TAGS_FIELD_NUMBER: _ClassVar[int]
        NO_TAGS_FIELD_NUMBER: _ClassVar[int]
        PARENT_TASK_ID_FIELD_NUMBER: _ClassVar[int]
        OWNERS_FIELD_NUMBER: _ClassVar[int]
        QUEUE_ID_FIELD_NUMBER: _ClassVar[int]
        CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
        UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
        START_TIME_FIELD_NUMBER: _ClassVar[int]
        END_TIME_FIELD_NUMBER: _ClassVar[int]
        PARAMETERS_FIELD_NUMBER: _ClassVar[int]
        METRICS_FIELD_NUMBER: _ClassVar[int]
        ARCHIVED_FIELD_NUMBER: _ClassVar[int]
        DELETED_FIELD_NUMBER: _ClassVar[int]
        project_name: str
        display_name: str
        states: _containers.RepeatedScalarFieldContainer[_task_pb2.TaskState]
        tags: _containers.RepeatedScalarFieldContainer[str]
        include_subprojects: bool
        name_regex: str
        types: _containers.RepeatedScalarFieldContainer[_task_pb2.TaskType]
        any_tags: _containers.RepeatedScalarFieldContainer[str]
        no_tags: _containers.RepeatedScalarFieldContainer[str]
        parent_task_id: str
        owners: _containers.RepeatedScalarFieldContainer[str]
        queue_id: str
        create_time: TimeRange
        update_time: TimeRange
        start_time: TimeRange
        end_time: TimeRange
        parameters: _containers.RepeatedCompositeFieldContainer[ParameterCondition]
        metrics: _containers.RepeatedCompositeFieldContainer[MetricCondition]
        archived: ArchivedFilter
        deleted: bool
        def __init__(self, project_name: _Optional[str] = ..., display_name: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_task_pb2.TaskState, str]]] = ..., tags: _Optional[_Iterable[str]] = ..., include_subprojects: bool = ..., name_regex: _Optional[str] = ..., types: _Optional[_Iterable[_Union[_task_pb2.TaskType, str]]] = ..., any_tags: _Optional[_Iterable[str]] = ..., no_tags: _Optional[_Iterable[str]] = ..., parent_task_id: _Optional[str] = ..., owners: _Optional[_Iterable[str]] = ..., queue_id: _Optional[str] = ..., create_time: _Optional[_Union[TimeRange, _Mapping]] = ..., update_time: _Optional[_Union[TimeRange, _Mapping]] = ..., start_time: _Optional[_Union[TimeRange, _Mapping]] = ..., end_time: _Optional[_Union[TimeRange, _Mapping]] = ..., parameters: _Optional[_Iterable[_Union[ParameterCondition, _Mapping]]] = ..., metrics: _Optional[_Iterable[_Union[MetricCondition, _Mapping]]] = ..., archived: _Optional[_Union[ArchivedFilter, str]] = ..., deleted: bool = ...) -> None: ...
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    METRIC_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    filter: ListTasksRequest.Filter
    page_size: int
    page_token: str
    order_by: TaskOrder
    metric_columns: _containers.RepeatedCompositeFieldContainer[MetricColumn]
    parameter_columns: _containers.RepeatedCompositeFieldContainer[ParameterColumn]
    def __init__(self, filter: _Optional[_Union[ListTasksRequest.Filter, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., order_by: _Optional[_Union[TaskOrder, _Mapping]] = ..., metric_columns: _Optional[_Iterable[_Union[MetricColumn, _Mapping]]] = ..., parameter_columns: _Optional[_Iterable[_Union[ParameterColumn, _Mapping]]] = ...) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ("tasks", "next_page_token", "values")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[_task_pb2.Task]
    next_page_token: str
    values: _containers.RepeatedCompositeFieldContainer[ColumnValues]
    def __init__(self, tasks: _Optional[_Iterable[_Union[_task_pb2.Task, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., values: _Optional[_Iterable[_Union[ColumnValues, _Mapping]]] = ...) -> None: ...
