"""Generated from protos/batuta/tasks/v1; see tools/genproto.sh."""

from .attempt_pb2 import *
from .task_lifecycle_pb2 import *
from .task_pb2 import *
from .task_query_pb2 import *
from .task_service_pb2 import *
from .task_upkeep_pb2 import *
from .task_watch_pb2 import *
from .task_service_pb2_grpc import *
