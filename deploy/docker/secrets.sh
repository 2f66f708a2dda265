#!/bin/sh
# Makes the secrets of compose.yml in secrets/ beside it: a password for PostgreSQL, and the settings of the services that
# hold it. Leaves alone what is there. Whoever can read the folder can read everything; give it to nobody.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
if [ ! -e secrets/postgres_password ]; then
  od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > secrets/postgres_password
fi
if [ ! -e secrets/server.toml ]; then
  cat > secrets/server.toml <<TOML
# Settings of API and queue; \`batuta config show\` lists all that there are. compose.yml opens the ports to this machine only.
[all]
database_url = "postgresql://batuta:$(cat secrets/postgres_password)@postgres/batuta"
redis_url = "redis://redis:6379"
allow_plaintext = true
log_level = "INFO"
TOML
fi
# Compose mounts the files as they are, and the services are user 10001; the folder is closed to everybody else.
chmod 0644 secrets/postgres_password secrets/server.toml
