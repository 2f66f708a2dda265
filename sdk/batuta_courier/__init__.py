"""The spool's format and the process that ships it to the server.

The SDK starts one in a local run, the agent in a remote one. Runs on Python 3.9.
"""

from __future__ import annotations
