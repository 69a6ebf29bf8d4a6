#!/usr/bin/env bash
# torture.sh runs the whole crash and fault programme (torture.md) and prints one table: fault, injected, survived,
# violations; torture.md has it too. SEEDS (100000) and BUBBLES (1000) make the simulators shorter or longer. It makes
# every store itself; AORTA_TORTURE_DATABASE may name an empty PostgreSQL database instead. Run it under
# test/postgres.sh, on a machine that does nothing else: it takes most of an hour on two processors.
set -euo pipefail
cd "$(dirname "$0")/.."

seeds=${SEEDS:-100000} bubbles=${BUBBLES:-1000}
for count in "$seeds" "$bubbles"; do
	[[ $count =~ ^[1-9][0-9]{0,6}$ ]] || {
		echo "torture.sh: SEEDS and BUBBLES are whole numbers from 1 to 9999999, not $count" >&2
		exit 2
	}
done
work=$(mktemp -d "${TMPDIR:-/tmp}/aorta-torture.XXXXXX")
trap 'rm -rf "$work"' EXIT
export AORTA_TORTURE=full AORTA_TORTURE_TABLE=$work/rows AORTA_TEST_ALL=1
failed=0

CGO_ENABLED=0 go build -o "$work/aorta" ./cmd/aorta
export AORTA_BIN=$work/aorta

# A given database that is not empty is refused now, and not after half an hour.
go test -count=1 -run '^$' ./test/torture >&2

# try NAME PACKAGE ARGUMENTS… runs tests and keeps what they said.
try() {
	local name=$1 begun=$SECONDS
	shift
	if go test -count=1 -v -timeout 60m "$@" >"$work/$name" 2>&1; then
		echo "== $name held in $((SECONDS - begun)) s" >&2
	else
		failed=1
		echo "== $name did not hold, after $((SECONDS - begun)) s" >&2
		cat "$work/$name" >&2
	fi
}

# What real time is measured in comes first; the others' clocks are virtual.
try processes ./test/torture
try kills ./test/kill
try scenarios ./test/scenario
try bubbles ./test/bubble -bubble.seeds="$bubbles"
AORTA_TORTURE_TABLE= try mistakes ./test/mutation
try simulator ./test/sim -sim.seeds="$seeds"

go run ./test/torture/table "$AORTA_TORTURE_TABLE" >"$work/table" || failed=1
{
	cat "$work/table"
	echo
	echo "$seeds seeds of the simulator, each fault as often as it occurred in them:"
	echo
	echo "| fault | injected |"
	echo "|---|---|"
	sed -n 's/.*fault \([a-z_]*\) *\([0-9]*\)$/| `\1` | \2 |/p' "$work/simulator"
	echo
	echo "$(grep -c '^    --- PASS' "$work/mistakes") mistakes made on purpose were seen."
} | tee torture.md
exit $failed
