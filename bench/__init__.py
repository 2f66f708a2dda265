"""What we answer for in speed, measured: `python -m bench` runs each row beside its limit and prints one table.

Charter: measuring only. Nothing here is imported by the product. docs/benchmarks.md says what each row does.
"""

from __future__ import annotations
