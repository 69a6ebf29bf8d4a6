#!/usr/bin/env bash
# bench.sh FILE runs the benchmarks of docs/performance.md on both stores, SECONDS_EACH (20) each, those of a ratio PAIRS
# (5) times in turn, and writes their table to FILE: twenty minutes; SECONDS_EACH=5 PAIRS=1 is a look at it. Run it
# under test/postgres.sh, on a machine that does nothing else. It fails if a ratio misses its target; what depends on the
# machine is told beside its aim. The growth and ten-minute runs are test/growth.sh and
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

# worn makes the server's log as that of one that has run for a while: there, to be written over.
worn() {
	for setting in "min_wal_size = '2GB'" "max_wal_size = '4GB'"; do
		psql -q "$AORTA_TEST_POSTGRES" -c "ALTER SYSTEM SET $setting"
	done
	psql -qAt "$AORTA_TEST_POSTGRES" -c "SELECT pg_reload_conf()" \
		-c "CREATE TABLE worn AS SELECT repeat(md5(n::text), 60) AS t FROM generate_series(1, 800000) n" -c "DROP TABLE worn" \
		-c CHECKPOINT -c CHECKPOINT >/dev/null
}
worn

# field NAME RESULT gives a number of a result.
field() { sed "s/.*\"$1\":\([0-9.]*\).*/\1/" <<<"$2"; }

{
	missed=0 # a target; the table is made whole all the same
	echo "| benchmark | store | a second | p50 | p99 | |"
	echo "|---|---|---|---|---|---|"
	for store in sqlite postgres; do
		test/ratio.sh "$store" "$pairs" "$seconds" || missed=1
		test/limits.sh "$store" "$pairs" "$seconds" || missed=1
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
	for store in sqlite postgres; do
		# shellcheck disable=SC2046
		r=$("$work/aorta" bench --flow round --json --duration "${seconds}s" $(place $store) | tail -n 1)
		echo "| /v1: rounds, stake and win, $(field callers "$r") callers | $store | $(field rounds_per_second "$r") | | | aim 3,000; $(field serve_cpu_ms "$r") ms of processor a round, the client $(field bench_cpu_ms "$r") ms |"
		echo "| /v1: a round at half of that | $store | $(field half_rate "$r") | $(field round_p50_ms "$r") ms | $(field round_p99_ms "$r") ms | from when it was due, both answers; aim 15 ms |"
		echo "| /v1: one answer of it | $store | | $(field answer_p50_ms "$r") ms | $(field answer_p99_ms "$r") ms | |"
	done
	for store in sqlite postgres; do
		for callers in 16 64; do
			# shellcheck disable=SC2046
			r=$("$work/aorta" bench --flow debit --json --callers "$callers" --duration "${seconds}s" $(place $store) | tail -n 1)
			echo "| /v1: debits of one customer, $callers callers | $store | $(field transfers_per_second "$r") | $(field p50_ms "$r") ms | $(field p99_ms "$r") ms | one durable transfer a request; $(field serve_cpu_ms "$r") ms of processor each |"
		done
	done
	for store in sqlite postgres; do
		for limits in none all; do
			of=/v1
			[ $limits = none ] || of="/v1, licensed"
			# shellcheck disable=SC2046
			r=$("$work/aorta" bench --flow payout --json --limits $limits --duration "${seconds}s" $(place $store) | tail -n 1)
			echo "| $of: payouts until they are paid, $(field in_flight "$r") under way | $store | $(field payouts_per_second "$r") | | | $(field serve_cpu_ms "$r") ms of processor a payout |"
			echo "| $of: payout init at half of that | $store | $(field half_rate "$r") | $(field init_p50_ms "$r") ms | $(field init_p99_ms "$r") ms | from when it was due; aim 25 ms |"
		done
	done
	for store in sqlite postgres; do
		# shellcheck disable=SC2046
		r=$("$work/aorta" bench --flow history --json --duration "${seconds}s" $(place $store) | tail -n 1)
		echo "| /v1: a round of a customer with $(field many "$r") transfers | $store | | $(field round_many_ms "$r") ms | | **ratio of one with $(field few "$r") to it $(field round_ratio "$r")** |"
		echo "| /v1: the first page of their statement | $store | | $(field statement_many_ms "$r") ms | | **ratio $(field statement_ratio "$r")** |"
		awk -v store="$store" -v round="$(field round_ratio "$r")" -v page="$(field statement_ratio "$r")" '
		function told(ratio) { return ratio ~ /^[0-9]+(\.[0-9]+)?$/ } # else the field is missing
		BEGIN {
			if (!told(round) || round+0 < 0.9) { print "bench.sh: on " store " a round costs more the longer the history is, or was not measured"; missed = 1 }
			if (!told(page) || page+0 < 0.9) { print "bench.sh: on " store " a statement costs more the longer the history is, or was not measured"; missed = 1 }
			exit missed
		}' >&2 || missed=1
	done
	test/two.sh "$pairs" "$seconds" || missed=1
	exit $missed
} | tee "$file"
