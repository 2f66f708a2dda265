"""Generated from protos/batuta/queues/v1; see tools/genproto.sh."""

from .queue_care_pb2 import *
from .queue_entries_pb2 import *
from .queue_history_pb2 import *
from .queue_order_pb2 import *
from .queue_pause_pb2 import *
from .queue_pb2 import *
from .queue_service_pb2 import *

_GRPC = ('queue_service_pb2_grpc',)


def __getattr__(name: str):
    """Finds stubs and servicers, importing grpc when the first of them is asked for."""
    if not name.startswith("_"):
        from importlib import import_module

        for part in _GRPC:
            module = import_module("." + part, __name__)
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError("module %r has no attribute %r" % (__name__, name))
