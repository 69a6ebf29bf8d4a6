#!/usr/bin/env bash
# bench.sh FILE runs the benchmarks of docs/performance.md on both stores, SECONDS_EACH (20) each, those of a ratio PAIRS
# (5) times in turn, and writes their table to FILE: a quarter of an hour; SECONDS_EACH=5 PAIRS=1 is a look at it. Run it
# under test/postgres.sh, on a machine that does nothing else. It fails if a target is missed. The history and ten-minute runs are test/growth.sh and
# `aorta bench --core --duration 10m --timeline`.
set -euo pipefail
cd "$(dirname "$0")/.."

file=$1 seconds=${SECONDS_EACH:-20} pairs=${PAIRS:-5}
work=$(mktemp -d "${TMPDIR:-/tmp}/aorta-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -o "$work/aorta" ./cmd/aorta

# place STORE gives the flags of an empty store.
place() {
	rm -rf "$work/data" && mkdir "$work/data"
	if [ "$1" = sqlite ]; then
		echo "--data $work/data"
	else
		psql -q "$AORTA_TEST_POSTGRES" -c "DROP DATABASE IF EXISTS bench" -c "CREATE DATABASE bench" 2>/dev/null
		echo "--database $(sed "s,/postgres?,/bench?," <<<"$AORTA_TEST_POSTGRES")"
	fi
}

# field NAME RESULT gives a number of a result.
field() { sed "s/.*\"$1\":\([0-9.]*\).*/\1/" <<<"$2"; }

{
	missed=0 # a target; the table is made whole all the same
	echo "| benchmark | store | payments/s | p50 | p99 | |"
	echo "|---|---|---|---|---|---|"
	for store in sqlite postgres; do
		test/ratio.sh "$store" "$pairs" "$seconds" || missed=1
	done
	for store in sqlite postgres; do
		sync # what the runs before have left is not for these flushes to carry
		# shellcheck disable=SC2046 # flags are words
		r=$("$work/aorta" bench --core --json --rate 1000 --duration "${seconds}s" $(place $store) | tail -n 1)
		echo "| core, open loop | $store | $(field payments_per_second "$r") | $(field p50_ms "$r") ms | $(field p99_ms "$r") ms | $(field p50_fdatasyncs "$r") and $(field p99_fdatasyncs "$r") times an fdatasync of $(field fdatasync_p50_ms "$r") ms (p50) |"
	done
	for store in sqlite postgres; do
		# shellcheck disable=SC2046
		r=$("$work/aorta" bench --flow deposit --json --duration "${seconds}s" $(place $store) | tail -n 1)
		echo "| deposit, $(field in_flight "$r") in flight | $store | $(field payments_per_second "$r") | | | serve: $(field serve_cpu_ms_per_payment "$r") ms of processor a payment, $(field serve_rss_peak_mib "$r") MiB at its peak, starts in $(field serve_start_ms "$r") ms |"
		echo "| Gate's answer at half of that | $store | $(field half_rate "$r") | $(field gate_p50_ms "$r") ms | $(field gate_p99_ms "$r") ms | from when each sale was due |"
		echo "| sale to final callback | $store | $(field half_rate "$r") | $(field callback_p50_ms "$r") ms | $(field callback_p99_ms "$r") ms | |"
	done
	test/two.sh "$pairs" "$seconds" || missed=1
	exit $missed
} | tee "$file"
