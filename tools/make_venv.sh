#!/bin/sh
# Makes or refreshes .venv from constraints.txt; quick when nothing changed. Run from the repository root.
# PYTHON names the interpreter; else the first of python3, python3.13, python3.12, python3.11 that is 3.11 or newer.
set -eu
enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
if ! { [ -x .venv/bin/python ] && enough .venv/bin/python; }; then
  for python in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    enough "$python" && break
    python=
  done
  [ -n "$python" ] || { echo "batuta: no Python 3.11 or newer on PATH; install one, or say PYTHON=/path/to/python3" >&2; exit 1; }
  rm -rf .venv
  "$python" -m venv .venv
fi
# uv's own pin and hashes are those of the lock.
if ! .venv/bin/python -m uv --version >/dev/null 2>&1; then
  awk '/^uv==/ {on = 1; print; next} on && /^    --hash/ {print; next} {on = 0}' constraints.txt > .venv/uv.txt
  .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r .venv/uv.txt
fi
export VIRTUAL_ENV="$PWD/.venv"
.venv/bin/uv pip sync -q --require-hashes constraints.txt
.venv/bin/uv pip install -q --no-deps --no-build-isolation -e .
touch .venv/stamp
