"""Generated from protos/batuta/users/v1; see tools/genproto.sh."""

from .credential_pb2 import *
from .user_pb2 import *
from .user_service_pb2 import *
from .user_service_pb2_grpc import *
