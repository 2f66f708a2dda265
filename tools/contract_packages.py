"""Writes each contract package's `__init__`: `from batuta_proto.tasks import v1 as tasks` holds all of tasks.v1.

Messages come at once; stubs and servicers on first use, because they import grpc, and a training script that only
writes messages must not.
"""

from __future__ import annotations

import sys
from pathlib import Path

LAZY = '''

def __getattr__(name: str):
    """Finds stubs and servicers, importing grpc when the first of them is asked for."""
    if not name.startswith("_"):
        from importlib import import_module

        for part in _GRPC:
            module = import_module("." + part, __name__)
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError("module %r has no attribute %r" % (__name__, name))
'''


def write(package: Path) -> None:
    """Writes `__init__.py` and `__init__.pyi` of one version package."""
    docstring = f'"""Generated from protos/batuta/{package.parent.name}/{package.name}; see tools/genproto.sh."""\n\n'
    messages = sorted(path.stem for path in package.glob("*_pb2.py"))
    services = sorted(path.stem for path in package.glob("*_pb2_grpc.py"))
    stars = "".join(f"from .{name} import *\n" for name in messages)
    lazy = f"\n_GRPC = {tuple(services)!r}\n{LAZY}" if services else ""
    (package / "__init__.py").write_text(docstring + stars + lazy)
    (package / "__init__.pyi").write_text(docstring + stars + "".join(f"from .{name} import *\n" for name in services))


if __name__ == "__main__":
    for found in sorted(Path(sys.argv[1]).glob("*/v*")):
        write(found)
