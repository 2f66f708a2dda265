"""Turns what the generators wrote into the package `batuta_proto`.

Wire names stay `batuta.tasks.v1`; the Python package is `batuta_proto.tasks.v1`, and each version package holds all of
its contract: `from batuta_proto.tasks import v1 as tasks`. Messages come at once; stubs and servicers on first use,
because they import grpc, and a training script that only writes messages must not.
"""

from __future__ import annotations

import re
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
RENAMES = (
    (re.compile(r"^(from|import) batuta\.", re.MULTILINE), r"\1 batuta_proto."),
    (re.compile(r"(BuildTopDescriptorsAndMessages\(DESCRIPTOR, ')batuta\."), r"\1batuta_proto."),
)


def rename(path: Path) -> None:
    """Makes one generated file import from `batuta_proto`, or removes it where it has nothing to say."""
    text = path.read_text()
    if "_pb2_grpc.py" in path.name and not re.search(r"^class \w+Stub", text, re.MULTILINE):
        path.unlink()
        return
    for pattern, heir in RENAMES:
        text = pattern.sub(heir, text)
    path.write_text(text)


def write_init(package: Path) -> None:
    """Writes `__init__.py` and `__init__.pyi` of one version package."""
    docstring = f'"""Generated from protos/batuta/{package.parent.name}/{package.name}; see tools/genproto.sh."""\n\n'
    messages = sorted(path.stem for path in package.glob("*_pb2.py"))
    services = sorted(path.stem for path in package.glob("*_pb2_grpc.py"))
    stars = "".join(f"from .{name} import *\n" for name in messages)
    lazy = f"\n_GRPC = {tuple(services)!r}\n{LAZY}" if services else ""
    (package / "__init__.py").write_text(docstring + stars + lazy)
    (package / "__init__.pyi").write_text(docstring + stars + "".join(f"from .{name} import *\n" for name in services))


def main(generated: Path) -> None:
    """Renames `generated/batuta` to `generated/batuta_proto` and completes it."""
    top = (generated / "batuta").rename(generated / "batuta_proto")
    for path in [*top.rglob("*.py"), *top.rglob("*.pyi")]:
        rename(path)
    for folder in [top, *(path for path in top.rglob("*") if path.is_dir())]:
        (folder / "__init__.py").write_text('"""Generated from protos/; see tools/genproto.sh."""\n')
    (top / "py.typed").touch()
    for package in sorted(top.glob("*/v*")):
        write_init(package)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
