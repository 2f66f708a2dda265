#!/bin/sh
# Unpacks Debian packages with what they need beyond what is installed, without root and without installing anything.
# Arguments: the folder, then the packages. Prints nothing when all goes well.
set -eu
folder=$1; shift
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo "needs Debian's or Ubuntu's packages: $*" >&2; exit 3; }
[ "$(cat "$folder/.packages" 2>/dev/null)" = "$*" ] && exit 0
rm -rf "$folder" && mkdir -p "$folder/.debs"
names=$(apt-get install -s --reinstall --no-install-recommends "$@" 2>/dev/null | awk '/^Inst / {print $2}')
[ -n "$names" ] || { echo "apt-get does not know $*: run apt-get update as root" >&2; exit 3; }
(cd "$folder/.debs" && apt-get download -q $names >said 2>&1) || { cat "$folder/.debs/said" >&2; exit 1; }
for package in "$folder"/.debs/*.deb; do dpkg-deb -x "$package" "$folder"; done
rm -rf "$folder/.debs"
echo "$*" > "$folder/.packages"
