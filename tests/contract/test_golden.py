"""Bytes of every release are read for ever; stubs bring nothing of the validation rules along."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

RELEASES = sorted((Path(__file__).parent / "golden").glob("*.json"))


def test_there_are_bytes_of_a_release() -> None:
    assert RELEASES


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.stem)
def test_bytes_of_the_release_are_still_understood(release: Path, messages: dict[str, Descriptor]) -> None:
    for name, text in json.loads(release.read_text()).items():
        assert name in messages, f"{name} of {release.stem} is gone"
        message = GetMessageClass(messages[name]).FromString(bytes.fromhex(text))
        assert not len(UnknownFieldSet(message)), f"{name}: a field of {release.stem} is gone"
        assert message.SerializeToString(deterministic=True).hex() == text, name


def test_stubs_bring_no_package_named_buf() -> None:
    program = (
        "import sys, importlib, pathlib, batuta_proto\n"
        "top = pathlib.Path(batuta_proto.__file__).parent\n"
        "for path in top.rglob('*_pb2*.py'):\n"
        "    importlib.import_module('batuta_proto.' + '.'.join(path.relative_to(top).with_suffix('').parts))\n"
        "print(*[name for name in sys.modules if name.split('.')[0] in ('buf', 'protovalidate', 'batuta')])\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
