#!/usr/bin/env bash
# two.sh [PAIRS] [SECONDS] measures what a second process on the same PostgreSQL costs: PAIRS times (5), in turn, for
# SECONDS (20) each, always on a new database: one process with two lanes; one with one lane; and two at once with one
# lane each, whose rates are added up. 512 payments are under way each time, and each process has made a thousand before
# it is measured. Run it under test/postgres.sh.
#
# It prints each turn to stderr, and to stdout rows of a table with the medians and their ratios. It fails if two
# processes reach less than 0.7 of one with two lanes, or less than one with one lane, if 1 % of their batches or more
# ran again, or if `aorta verify` finds anything in what they wrote together.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${AORTA_TEST_POSTGRES:?names no server: run this under test/postgres.sh}"
pairs=${1:-5} seconds=${2:-20}
work=$(mktemp -d "${TMPDIR:-/tmp}/aorta-two.XXXXXX")
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -o "$work/aorta" ./cmd/aorta
database=$(sed -E "s,^([a-z]+://[^/]*)/[^?]*,\1/two," <<<"$AORTA_TEST_POSTGRES")

# place makes the database anew, with its tables: two processes begin on it at once.
place() {
	psql -q "$AORTA_TEST_POSTGRES" -c "DROP DATABASE IF EXISTS two" -c "CREATE DATABASE two" 2>/dev/null
	"$work/aorta" migrate --database "$database" >/dev/null
}

# core LANES CALLERS gives the result of one process.
core() {
	"$work/aorta" bench --core --json --no-verify --lanes "$1" --callers "$2" --prefill 1000 --duration "${seconds}s" --database "$database" | tail -n 1
}

# field NAME RESULT gives a number of a result.
field() { sed "s/.*\"$1\":\([-+.0-9e]*\).*/\1/" <<<"$2"; }

# sum NAME RESULT RESULT adds a number of two results up.
sum() { awk -v a="$(field "$1" "$2")" -v b="$(field "$1" "$3")" 'BEGIN {printf "%.2f", a + b}'; }

median() { sort -g "$1" | awk '{v[NR] = $1} END {print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2}'; }

for ((n = 1; n <= pairs; n++)); do
	place
	lanes=$(core 2 512)
	place
	lane=$(core 1 512)
	place
	core 1 256 >"$work/first" &
	second=$(core 1 256)
	wait $! # of the first, or its failure would pass unseen
	first=$(cat "$work/first")
	"$work/aorta" verify --database "$database" >&2
	field payments_per_second "$lanes" >>"$work/lanes"
	field payments_per_second "$lane" >>"$work/lane"
	sum payments_per_second "$first" "$second" >>"$work/two"
	field retries_per_batch "$first" >>"$work/retries"
	field retries_per_batch "$second" >>"$work/retries"
	echo "turn $n: two lanes $(field payments_per_second "$lanes") payments/s ($(field acts_per_batch "$lanes") acts a batch)," \
		"one lane $(field payments_per_second "$lane") ($(field acts_per_batch "$lane"))," \
		"two processes $(field payments_per_second "$first") + $(field payments_per_second "$second")" \
		"($(field acts_per_batch "$first") and $(field acts_per_batch "$second"))," \
		"$(field retries_per_batch "$first") and $(field retries_per_batch "$second") of the batches ran again" >&2
done

lanes=$(median "$work/lanes") lane=$(median "$work/lane") two=$(median "$work/two") retries=$(sort -g "$work/retries" | tail -n 1)
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2f", a / b}'; }
echo "| core, one process of two lanes | postgres | $lanes | | | |"
echo "| core, one process of one lane | postgres | $lane | | | |"
echo "| core, two processes of one lane | postgres | $two | | | **ratio to two lanes $(ratio "$two" "$lanes"), to one $(ratio "$two" "$lane")**; $(awk -v r="$retries" 'BEGIN {printf "%.2f", 100 * r}') % of the batches ran again, at most |"
awk -v two="$two" -v lanes="$lanes" -v lane="$lane" -v retries="$retries" 'BEGIN {
	if (two < 0.7 * lanes) { print "two.sh: two processes reach less than 0.7 of one with two lanes"; missed = 1 }
	if (two < lane) { print "two.sh: two processes reach less than one with one lane"; missed = 1 }
	if (retries >= 0.01) { print "two.sh: 1 % of the batches or more ran again"; missed = 1 }
	exit missed
}' >&2
