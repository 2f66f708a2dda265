"""`python -m batuta`: the `batuta` program."""

from __future__ import annotations

import sys

from batuta._cli.main import main

sys.exit(main())
