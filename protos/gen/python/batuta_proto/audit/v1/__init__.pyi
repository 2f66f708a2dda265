"""Generated from protos/batuta/audit/v1; see tools/genproto.sh."""

from .audit_pb2 import *
from .audit_service_pb2 import *
from .audit_service_pb2_grpc import *
