"""Generated from protos/batuta/metrics/v1; see tools/genproto.sh."""

from .metric_service_pb2 import *
from .scalar_pb2 import *
from .metric_service_pb2_grpc import *
