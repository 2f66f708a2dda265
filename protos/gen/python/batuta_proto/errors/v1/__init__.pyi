"""Generated from protos/batuta/errors/v1; see tools/genproto.sh."""

from .reason_pb2 import *
