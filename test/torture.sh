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
simulator= # its process group
trap '[ -z "$simulator" ] || kill -- "-$simulator" 2>/dev/null || true; rm -rf "$work"' EXIT
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
		echo "== $name did not hold, after $((SECONDS - begun)) s" >&2
		cat "$work/$name" >&2
		return 1
	fi
}

# Overload measures time, so it has the machine to itself. The simulator, whose clock is virtual, then takes what
# the others leave of the processors: they wait a good deal.
try overload ./test/torture -run '^TestOverload$' || failed=1
set -m
(
	renice -n 19 "$BASHPID" >/dev/null
	try simulator ./test/sim -sim.seeds="$seeds"
) &
simulator=$!
set +m
try processes ./test/torture -skip '^TestOverload$' || failed=1
try kills ./test/kill || failed=1
try scenarios ./test/scenario || failed=1
try bubbles ./test/bubble -bubble.seeds="$bubbles" || failed=1
AORTA_TORTURE_TABLE= try mistakes ./test/mutation || failed=1
wait "$simulator" || failed=1
simulator=

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
