#!/bin/sh
# Regenerates protos/gen/python and the services' validation rules; run from the repository root.
# With a folder as its argument it writes there instead, for `make check` to compare.
set -eu
root=${1:-.}
work=$(mktemp -d "${TMPDIR:-/tmp}/genproto.XXXXXX")
trap 'rm -rf "$work"' EXIT
buf generate -o "$work"
gen="$work/protos/gen/python"
mv "$gen/batuta" "$gen/batuta_proto"
# Wire names stay batuta.*; the Python package is batuta_proto.
find "$gen/batuta_proto" -name '*.py*' -exec sed -i -E \
  -e "s/^(from|import) batuta\./\1 batuta_proto./" \
  -e "s/(BuildTopDescriptorsAndMessages\(DESCRIPTOR, ')batuta\./\1batuta_proto./" {} +
# The typed-stub plugin writes whole module paths in annotations too.
find "$gen/batuta_proto" -name '*_grpc.pyi' -exec sed -i -E "s/([^a-z_.])batuta\.([a-z]+\.v[0-9])/\1batuta_proto.\2/g" {} +
find "$gen/batuta_proto" -type d | while read -r d; do
  echo '"""Generated from protos/; see tools/genproto.sh."""' > "$d/__init__.py"
done
find "$gen/batuta_proto" -name '*_pb2_grpc.py*' | while read -r f; do
  grep -q 'class .*Stub' "$f" || rm "$f"
done
touch "$gen/batuta_proto/py.typed"
python3 tools/contract_packages.py "$gen/batuta_proto"
buf build --as-file-descriptor-set --exclude-source-info --path protos/batuta -o "$work/contract.binpb"
mkdir -p "$root/protos/gen/python" "$root/services/chassis/batuta_chassis"
rm -rf "$root/protos/gen/python/batuta_proto"
mv "$gen/batuta_proto" "$root/protos/gen/python/batuta_proto"
mv "$work/contract.binpb" "$root/services/chassis/batuta_chassis/contract.binpb"
