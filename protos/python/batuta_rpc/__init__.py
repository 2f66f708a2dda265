"""What both ends of a call need: channels, the retry table, errors, ids, clocks, tokens on calls.

Charter: small, hand-written, no state of its own, no knowledge of any service. Runs on Python 3.9 with grpcio,
protobuf and googleapis-common-protos only. `batuta_rpc.clock` and `batuta_rpc.ids` do not import grpc.
"""

from __future__ import annotations
