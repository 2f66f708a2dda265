#!/bin/sh
# Writes constraints.txt anew from pyproject.toml: every extra, every platform, hashes, no registry's address.
# Say `sh tools/lock.sh --upgrade` to take newer releases. Run from the repository root.
set -eu
uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --all-extras "$@" \
  -o constraints.txt pyproject.toml
