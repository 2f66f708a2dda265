"""Generated from protos/batuta/artifacts/v1; see tools/genproto.sh."""

from .artifact_pb2 import *
from .artifact_service_pb2 import *
from .artifact_service_pb2_grpc import *
