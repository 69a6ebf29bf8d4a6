#!/usr/bin/env bash
# profile.sh renews cmd/aorta/default.pgo, by which the compiler optimises the program: processor profiles of `serve` under
# the deposit bench, on both stores. Run it under test/postgres.sh, on a machine that does nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d "${TMPDIR:-/tmp}/aorta-profile.XXXXXX")
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -o "$work/aorta" ./cmd/aorta
psql -q "$AORTA_TEST_POSTGRES" -c "CREATE DATABASE profile"

for store in sqlite postgres; do
	place=()
	if [ "$store" = postgres ]; then
		place=(--database "$(sed "s,/postgres?,/profile?," <<<"$AORTA_TEST_POSTGRES")")
	fi
	mkdir "$work/$store"
	TMPDIR=$work/$store "$work/aorta" bench --flow deposit --json --callers 256 --duration 12s "${place[@]}" >"$work/$store.result" &
	bench=$!
	sleep 4
	ops=$(sed -n 's/^ops_listen = "\(.*\)"/\1/p' "$work/$store"/*/aorta.toml)
	curl -sf "http://$ops/debug/pprof/profile?seconds=7" >"$work/$store.prof"
	wait "$bench"
done
go tool pprof -proto "$work/sqlite.prof" "$work/postgres.prof" >cmd/aorta/default.pgo
