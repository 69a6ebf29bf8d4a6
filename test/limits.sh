#!/usr/bin/env bash
# limits.sh [sqlite|postgres] [PAIRS] [SECONDS] measures what limits cost: in turn, PAIRS times (5) for SECONDS (20) each,
# always on an empty store and after as many deposits of ten thousand customers, the core bench into wallets without
# limits and with every limit that there is. It prints each turn to stderr, and to stdout rows of a table with the medians
# and their ratio. It fails if a deposit with limits costs more than 1.15 of one without. For PostgreSQL run it under
# test/postgres.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

store=${1:-sqlite} pairs=${2:-5} seconds=${3:-20}
case $store in
sqlite) ;;
postgres) : "${AORTA_TEST_POSTGRES:?names no server: run this under test/postgres.sh}" ;;
*) echo "limits.sh: the store is sqlite or postgres, not $store" >&2 && exit 2 ;;
esac
work=$(mktemp -d "${TMPDIR:-/tmp}/aorta-limits.XXXXXX")
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -o "$work/aorta" ./cmd/aorta

# place gives the flags of a store, made anew.
place() {
	case $store in
	sqlite) rm -rf "$work/data" && mkdir "$work/data" && echo "--data $work/data" ;;
	postgres)
		psql -q "$AORTA_TEST_POSTGRES" -c "DROP DATABASE IF EXISTS limits" -c "CREATE DATABASE limits" 2>/dev/null
		echo "--database $(sed "s,/postgres?,/limits?," <<<"$AORTA_TEST_POSTGRES")"
		;;
	esac
}

# field NAME RESULT gives a number of a result.
field() { sed "s/.*\"$1\":\([0-9.]*\).*/\1/" <<<"$2"; }

median() { sort -n "$1" | awk '{v[NR] = $1} END {print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2}'; }

for ((n = 1; n <= pairs; n++)); do
	for limits in none all; do
		# shellcheck disable=SC2046 # flags are words
		r=$("$work/aorta" bench --core --json --callers 512 --limits "$limits" --prefill 50000 --duration "${seconds}s" $(place) | tail -n 1)
		field payments_per_second "$r" >>"$work/$limits"
		field p50_ms "$r" >>"$work/$limits.p50"
		field p99_ms "$r" >>"$work/$limits.p99"
		echo "$store, turn $n, limits $limits: $(field payments_per_second "$r") payments/s, p99 $(field p99_ms "$r") ms," \
			"$(field allocs_per_payment "$r") allocations" >&2
	done
done
without=$(median "$work/none") with=$(median "$work/all")
echo "| core, deposits into wallets | $store | $without | $(median "$work/none.p50") ms | $(median "$work/none.p99") ms | without limits |"
echo "| with every limit | $store | $with | $(median "$work/all.p50") ms | $(median "$work/all.p99") ms | **$(awk -v a="$without" -v b="$with" 'BEGIN {printf "%.2f", a / b}') times the cost**; at most 1.15 |"
awk -v without="$without" -v with="$with" -v store="$store" 'BEGIN {
	if (with * 1.15 < without) { print "limits.sh: on " store " a deposit with limits costs more than 1.15 of one without"; exit 1 }
}' >&2
