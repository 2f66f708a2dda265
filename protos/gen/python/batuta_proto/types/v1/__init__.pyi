"""Generated from protos/batuta/types/v1; see tools/genproto.sh."""

from .access_pb2 import *
from .attempt_pb2 import *
from .lease_pb2 import *
from .parameter_pb2 import *
from .resources_pb2 import *
