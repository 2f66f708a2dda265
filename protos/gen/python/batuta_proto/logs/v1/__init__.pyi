"""Generated from protos/batuta/logs/v1; see tools/genproto.sh."""

from .log_service_pb2 import *
from .log_service_pb2_grpc import *
