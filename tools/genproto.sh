#!/bin/sh
# Regenerates protos/gen/python, the services' validation rules and the OpenAPI document; run from the repository root.
# With a folder as its argument it writes there instead, for `make check` to compare.
set -eu
root=${1:-.}
work=$(mktemp -d "${TMPDIR:-/tmp}/genproto.XXXXXX")
trap 'rm -rf "$work"' EXIT
buf generate -o "$work" 2>"$work/said" || { cat "$work/said" >&2; exit 1; }
python tools/contract_packages.py "$work/protos/gen/python"
buf build --as-file-descriptor-set --exclude-source-info --path protos/batuta -o "$work/contract.binpb"
buf build --as-file-descriptor-set --path protos/batuta -o "$work/commented.binpb"
python tools/openapi.py "$work/commented.binpb" > "$work/openapi.json"
mkdir -p "$root/protos/gen/python" "$root/services/chassis/batuta_chassis"
rm -rf "$root/protos/gen/python/batuta_proto"
mv "$work/protos/gen/python/batuta_proto" "$root/protos/gen/python/batuta_proto"
mv "$work/contract.binpb" "$work/openapi.json" "$root/services/chassis/batuta_chassis/"
