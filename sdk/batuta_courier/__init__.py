"""The spool's format and the process that ships it to the server.

Charter: how one run's events lie on disk (`layout`, `scalars`, `producer`), and the program that brings them to the
server and, for a local run, ends its task (`python -m batuta_courier SPOOL_DIR`). The SDK starts one in a local run,
the agent in a remote one (`launch`). Runs on Python 3.9. The modules of the format import neither grpc nor protobuf,
because they run inside people's training processes.
"""

from __future__ import annotations
