#!/usr/bin/env bash
# ratio.sh [sqlite|postgres] [PAIRS] [SECONDS] measures, in turn, PAIRS times (5) for SECONDS (20) each, always on an
# empty store: the core bench; the bare limit in batches of the sizes that the core has just had (test/limit); and the
# core bench over a hundred PSP accounts, projects and currencies. It prints each turn to stderr, and to stdout rows of a
# table with the medians and their ratios. It fails if the core reaches less than 0.6 of the limit, or one account less
# than 0.85 of a hundred. For PostgreSQL run it under test/postgres.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

store=${1:-sqlite} pairs=${2:-5} seconds=${3:-20}
case $store in
sqlite) ;;
postgres) : "${AORTA_TEST_POSTGRES:?names no server: run this under test/postgres.sh}" ;;
*) echo "ratio.sh: the store is sqlite or postgres, not $store" >&2 && exit 2 ;;
esac
work=$(mktemp -d "${TMPDIR:-/tmp}/aorta-ratio.XXXXXX")
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -o "$work/aorta" ./cmd/aorta
CGO_ENABLED=0 go build -o "$work/limit" ./test/limit

# place gives the flags of a store, made anew.
place() {
	case $store in
	sqlite) rm -rf "$work/data" && mkdir "$work/data" && echo "--data $work/data" ;;
	postgres)
		psql -q "$AORTA_TEST_POSTGRES" -c "DROP DATABASE IF EXISTS ratio" -c "CREATE DATABASE ratio" 2>/dev/null
		echo "--database $(sed "s,/postgres?,/ratio?," <<<"$AORTA_TEST_POSTGRES")"
		;;
	esac
}

# field NAME RESULT gives a number of a result.
field() { sed "s/.*\"$1\":\([0-9.]*\).*/\1/" <<<"$2"; }

median() { sort -n "$1" | awk '{v[NR] = $1} END {print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2}'; }

for ((n = 1; n <= pairs; n++)); do
	# shellcheck disable=SC2046 # flags are words
	core=$("$work/aorta" bench --core --json --callers 512 --duration "${seconds}s" $(place) | tail -n 1)
	batches=$(sed 's/.*"batch_deciles":\[\([0-9,]*\)\].*/\1/' <<<"$core")
	# shellcheck disable=SC2046
	limit=$("$work/limit" --json --batch "$batches" --duration "${seconds}s" $(place))
	# shellcheck disable=SC2046
	hundred=$("$work/aorta" bench --core --json --callers 512 --accounts 100 --duration "${seconds}s" $(place) | tail -n 1)
	field payments_per_second "$core" >>"$work/core"
	field p50_ms "$core" >>"$work/p50"
	field p99_ms "$core" >>"$work/p99"
	field payments_per_second "$limit" >>"$work/limit.rates"
	field p50_ms "$limit" >>"$work/limit.p50"
	field p99_ms "$limit" >>"$work/limit.p99"
	field payments_per_second "$hundred" >>"$work/hundred"
	echo "$store, turn $n: core $(field payments_per_second "$core") payments/s ($(field acts_per_batch "$core") acts a batch)," \
		"limit $(field payments_per_second "$limit") ($(field acts_per_batch "$limit")), p99 $(field p99_ms "$core") and $(field p99_ms "$limit") ms," \
		"a hundred accounts $(field payments_per_second "$hundred")" >&2
done

ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2f", a / b}'; }
p99=$(median "$work/p99") limit_p99=$(median "$work/limit.p99")
core=$(median "$work/core") limit=$(median "$work/limit.rates") hundred=$(median "$work/hundred")
echo "| core, 512 callers | $store | $core | $(median "$work/p50") ms | $p99 ms | of three acts, one after another |"
echo "| bare limit | $store | $limit | $(median "$work/limit.p50") ms | $limit_p99 ms | **ratio of core to limit $(ratio "$core" "$limit")**; of its p99 to the limit's $(ratio "$p99" "$limit_p99") |"
echo "| core, 100 PSP accounts | $store | $hundred | | | **ratio of one account to a hundred $(ratio "$core" "$hundred")** |"
awk -v core="$core" -v limit="$limit" -v hundred="$hundred" -v store="$store" 'BEGIN {
	if (core < 0.6 * limit) { print "ratio.sh: on " store " the core reaches less than 0.6 of the bare limit"; missed = 1 }
	if (core < 0.85 * hundred) { print "ratio.sh: on " store " one account reaches less than 0.85 of a hundred"; missed = 1 }
	exit missed
}' >&2
