"""Generated from protos/batuta/queues/v1; see tools/genproto.sh."""

from .queue_care_pb2 import *
from .queue_entries_pb2 import *
from .queue_history_pb2 import *
from .queue_order_pb2 import *
from .queue_pause_pb2 import *
from .queue_pb2 import *
from .queue_service_pb2 import *
from .queue_service_pb2_grpc import *
