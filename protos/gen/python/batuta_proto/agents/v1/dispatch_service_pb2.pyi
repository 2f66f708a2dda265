from batuta_proto.agents.v1 import session_pb2 as _session_pb2
from batuta_proto.types.v1 import access_pb2 as _access_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
