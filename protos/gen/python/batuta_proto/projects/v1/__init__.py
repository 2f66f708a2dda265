"""Generated from protos/batuta/projects/v1; see tools/genproto.sh."""

from .project_access_pb2 import *
from .project_pb2 import *
from .project_service_pb2 import *

_GRPC = ('project_service_pb2_grpc',)


def __getattr__(name: str):
    """Finds stubs and servicers, importing grpc when the first of them is asked for."""
    if not name.startswith("_"):
        from importlib import import_module

        for part in _GRPC:
            module = import_module("." + part, __name__)
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError("module %r has no attribute %r" % (__name__, name))
