#!/usr/bin/env bash
# profile.sh renews cmd/aorta/default.pgo, by which the compiler optimises the program: processor profiles of `serve` under
# the deposit bench and the round bench, on both stores. Run it under test/postgres.sh, on a machine that does nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d "${TMPDIR:-/tmp}/aorta-profile.XXXXXX")
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -o "$work/aorta" ./cmd/aorta

for store in sqlite postgres; do
	for flow in deposit round; do
		place=()
		if [ "$store" = postgres ]; then
			psql -q "$AORTA_TEST_POSTGRES" -c "DROP DATABASE IF EXISTS profile" -c "CREATE DATABASE profile" 2>/dev/null
			place=(--database "$(sed "s,/postgres?,/profile?," <<<"$AORTA_TEST_POSTGRES")")
		fi
		mkdir "$work/$store-$flow"
		TMPDIR=$work/$store-$flow "$work/aorta" bench --flow "$flow" --json --callers 256 --duration 12s "${place[@]}" >"$work/$store-$flow.result" &
		bench=$!
		sleep 4
		ops=$(sed -n 's/^ops_listen = "\(.*\)"/\1/p' "$work/$store-$flow"/*/aorta.toml)
		curl -sf "http://$ops/debug/pprof/profile?seconds=7" >"$work/$store-$flow.prof"
		wait "$bench"
	done
done
go tool pprof -proto "$work"/*.prof >cmd/aorta/default.pgo
