"""The shim: one small process per attempt, which owns the user's process and outlives the agent.

It is started before it is needed, reads one order from its standard input, starts the user's process, writes what
that prints into a file, stops it when told to or when its lease runs out, leaves a record of how it ended, and exits.
Standard library and `batuta_rpc.clock` only, Python 3.9, no event loop, no threads: what must never fail stays
small.

Files in the attempt's folder:

* `state.json`: written by the shim, atomically (`batuta_agent.shim.state`). Making it is the claim: of two shims with
  the same order only one runs it.
* `cancel.json`: written by the agent, `{"grace_seconds": 30.0, "reason": "…"}`, then SIGUSR1.
* `lease.json`: written by the agent after each acknowledged heartbeat, `{"stop_at": <seconds of CLOCK_BOOTTIME>}`.
"""

from __future__ import annotations
