"""Generated from protos/batuta/system/v1; see tools/genproto.sh."""

from .system_service_pb2 import *
from .system_service_pb2_grpc import *
