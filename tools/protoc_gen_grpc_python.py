"""A protoc plugin that hands buf's request to the gRPC generator inside grpcio-tools."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from grpc_tools import protoc

request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
response = plugin_pb2.CodeGeneratorResponse(supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL)
with tempfile.TemporaryDirectory() as scratch:
    out = Path(scratch, "out")
    out.mkdir()
    described = Path(scratch, "set.binpb")
    described.write_bytes(descriptor_pb2.FileDescriptorSet(file=request.proto_file).SerializeToString())
    args = ["protoc", f"--descriptor_set_in={described}", f"--grpc_python_out={out}"]
    if protoc.main([*args, *request.file_to_generate]):
        response.error = "grpc_python generation failed"
    for path in sorted(out.rglob("*.py")):
        response.file.add(name=str(path.relative_to(out)), content=path.read_text())
sys.stdout.buffer.write(response.SerializeToString())
