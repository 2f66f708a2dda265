from __future__ import annotations

import signal

# A shell that starts the suite in the background has SIGINT ignored, and children inherit that: those that tests
# interrupt would never notice.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
