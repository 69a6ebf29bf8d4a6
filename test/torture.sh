#!/usr/bin/env bash
# torture.sh runs the crash and fault programme as far as it is built and prints one table: fault, injected, survived,
# violations. SEEDS (100000) and KILLS (200, on each store) make it shorter or longer; as it is, it takes most of an
# hour on two processors. Run it under test/postgres.sh. It makes every store itself.
set -euo pipefail
cd "$(dirname "$0")/.."

seeds=${SEEDS:-100000} kills=${KILLS:-200}
work=$(mktemp -d "${TMPDIR:-/tmp}/aorta-torture.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0

# try NAME PACKAGE ARGUMENTS… runs tests and keeps what they said.
try() {
	local name=$1
	shift
	echo "== $name" >&2
	if ! go test -count=1 -v -timeout 60m "$@" >"$work/$name" 2>&1; then
		failed=1
		cat "$work/$name" >&2
	fi
}

# row NAME FAULT N gives a line of the table: all of N were survived, unless the test failed.
row() {
	local name=$1 fault=$2 injected=$3
	if grep -q '^FAIL' "$work/$name"; then
		echo "| $fault | $injected | ? | see above |"
	else
		echo "| $fault | $injected | $injected | 0 |"
	fi
}

# sum WORDS FILE adds the numbers that stand before these words.
sum() { sed -n "s/.* \([0-9]*\) $1.*/\1/p" "$2" | awk '{n += $1} END {print n + 0}'; }

try sim -run 'TestSeeds$' ./test/sim -sim.seeds="$seeds"
try mistakes ./test/mutation
AORTA_KILLS=$kills try kill ./test/kill
try cuts -run 'TestLostCommits|TestTwoProcesses' ./internal/store
try scenario ./test/scenario

{
	echo "| fault | injected | survived | violations |"
	echo "|---|---|---|---|"
	sed -n 's/.*fault \([a-z_]*\) *\([0-9]*\)$/\1 \2/p' "$work/sim" | while read -r fault injected; do
		row sim "simulated: $fault" "$injected"
	done
	row kill "T01 SIGKILL of \`serve\` under load, both stores" "$(sum 'kills in' "$work/kill")"
	row cuts "T03 connection cut at COMMIT" "$(sum 'COMMITs were cut' "$work/cuts")"
	row scenario "T07–T14 what the sandbox's control door knows, both stores" "$(grep -c '^ *--- PASS' "$work/scenario")"
	row mistakes "mistakes made on purpose, seen" "$(grep -c '^    --- PASS' "$work/mistakes")"
	for fault in T02 T04 T05 T06 T15 T16 T17 T18 T19 T20 T21 T22 T23 T26 T30; do
		echo "| $fault | not built | | |"
	done
} | tee torture.md
exit $failed
