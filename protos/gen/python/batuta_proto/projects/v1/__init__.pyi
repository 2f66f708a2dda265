"""Generated from protos/batuta/projects/v1; see tools/genproto.sh."""

from .project_access_pb2 import *
from .project_pb2 import *
from .project_service_pb2 import *
from .project_service_pb2_grpc import *
