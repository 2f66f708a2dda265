"""What every service process is: settings, server, interceptors, tokens, database, outbox, launcher.

Knows no area of the product; services import it, it imports none of them.
"""

from __future__ import annotations
