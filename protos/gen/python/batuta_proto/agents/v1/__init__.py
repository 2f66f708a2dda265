"""Generated from protos/batuta/agents/v1; see tools/genproto.sh."""

from .agent_history_pb2 import *
from .agent_pb2 import *
from .agent_service_pb2 import *
from .assignment_pb2 import *
from .dispatch_service_pb2 import *
from .session_pb2 import *

_GRPC = ('agent_service_pb2_grpc', 'dispatch_service_pb2_grpc')


def __getattr__(name: str):
    """Finds stubs and servicers, importing grpc when the first of them is asked for."""
    if not name.startswith("_"):
        from importlib import import_module

        for part in _GRPC:
            module = import_module("." + part, __name__)
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError("module %r has no attribute %r" % (__name__, name))
