"""The `batuta` program: what people type.

Charter: reads arguments, makes calls, prints tables or JSON. Knows the contract and nothing of any server. What the
server and agent extras add comes as plug-ins (`plugins.py`); nothing here imports grpc before a command needs it.
"""

from __future__ import annotations
