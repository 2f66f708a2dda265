"""Generated from protos/batuta/agents/v1; see tools/genproto.sh."""

from .agent_history_pb2 import *
from .agent_pb2 import *
from .agent_service_pb2 import *
from .assignment_pb2 import *
from .dispatch_service_pb2 import *
from .session_pb2 import *
from .agent_service_pb2_grpc import *
from .dispatch_service_pb2_grpc import *
