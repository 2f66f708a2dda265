#!/bin/sh
# Regenerates protos/gen/python and the services' validation rules; run from the repository root.
# With a folder as its argument it writes there instead, for `make check` to compare.
set -eu
root=${1:-.}
work=$(mktemp -d "${TMPDIR:-/tmp}/genproto.XXXXXX")
trap 'rm -rf "$work"' EXIT
buf generate -o "$work" 2>"$work/said" || { cat "$work/said" >&2; exit 1; }
python tools/contract_packages.py "$work/protos/gen/python"
buf build --as-file-descriptor-set --exclude-source-info --path protos/batuta -o "$work/contract.binpb"
mkdir -p "$root/protos/gen/python" "$root/services/chassis/batuta_chassis"
rm -rf "$root/protos/gen/python/batuta_proto"
mv "$work/protos/gen/python/batuta_proto" "$root/protos/gen/python/batuta_proto"
mv "$work/contract.binpb" "$root/services/chassis/batuta_chassis/contract.binpb"
