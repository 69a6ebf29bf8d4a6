#!/usr/bin/env bash
# postgres.sh COMMAND… runs COMMAND with AORTA_TEST_POSTGRES naming a PostgreSQL server of its own, and removes
# the server afterwards. Loopback only, a free port, no password, and fsync as in production: tests that kill
# the server mean it. The role in the URL may create databases; each test makes and drops its own.
set -euo pipefail

bin=$(dirname "$(readlink -f "$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)")")
# PostgreSQL refuses to run as root.
as_owner=()
if [ "$(id -u)" = 0 ]; then
	as_owner=(runuser -u postgres --)
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/aorta-postgres.XXXXXX")
stop() {
	# The tests are over: nothing in this cluster is worth a clean shutdown.
	"${as_owner[@]}" "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || true
	rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
[ ${#as_owner[@]} = 0 ] || chown postgres "$dir"

# The server's working directory must be one its owner may read.
cd_back=$PWD
cd "$dir"
"${as_owner[@]}" "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >"$dir.log" 2>&1 || {
	cat "$dir.log" >&2
	rm -f "$dir.log"
	exit 1
}
rm -f "$dir.log"

for attempt in 1 2 3 4 5; do
	port=$((20000 + RANDOM % 12000))
	if "${as_owner[@]}" "$bin/pg_ctl" -D "$dir/data" -l "$dir/data/log" -w -t 60 \
		-o "-c listen_addresses=127.0.0.1 -p $port -c unix_socket_directories=$dir -c max_connections=200" start >/dev/null; then
		break
	fi
	if [ "$attempt" = 5 ]; then
		cat "$dir/data/log" >&2
		exit 1
	fi
done
cd "$cd_back"

export AORTA_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable"
# Not exec: the trap must outlive the command.
"$@"
