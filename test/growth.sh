#!/usr/bin/env bash
# growth.sh [sqlite|postgres] [PAYMENTS] [PAIRS] [SECONDS] measures what history costs: the core bench on a store that
# holds PAYMENTS already (1000000) and on an empty one, in turn, PAIRS times (5) for SECONDS (20) each. It prints each
# run and the ratio of the medians, and fails if that is below 0.85 on PostgreSQL. For PostgreSQL run it under test/postgres.sh, or name a server in
# AORTA_TEST_POSTGRES. Every run ends with a verification of all that is stored.
#
# FULL names a store that a bench has filled before, a directory or the address of a database, which is used as it is
# instead of filling one; it grows by the runs' payments. The empty one lies beside it: on the same disk, or the same
# server. VERIFY=end verifies once, in the end: of ten million payments that takes minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

store=${1:-sqlite} payments=${2:-1000000} pairs=${3:-5} seconds=${4:-20}
case $store in sqlite | postgres) ;; *) echo "growth.sh: the store is sqlite or postgres, not $store" >&2 && exit 2 ;; esac
verify=${VERIFY:-each}
case $verify in each | end) ;; *) echo "growth.sh: VERIFY is each or end, not $verify" >&2 && exit 2 ;; esac
near=${TMPDIR:-/tmp}
if [ -n "${FULL:-}" ]; then
	case $store in
	sqlite) near=$(dirname "$FULL") ;;
	postgres) AORTA_TEST_POSTGRES=$FULL ;;
	esac
fi
work=$(mktemp -d "$near/aorta-growth.XXXXXX")
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -o "$work/aorta" ./cmd/aorta

# place NAME gives the flags of a store of that name, made anew.
place() {
	case $store in
	sqlite) rm -rf "${work:?}/$1" && mkdir "$work/$1" && echo "--data $work/$1" ;;
	postgres)
		psql -q "$AORTA_TEST_POSTGRES" -c "DROP DATABASE IF EXISTS growth_$1" -c "CREATE DATABASE growth_$1" 2>/dev/null
		echo "--database $(sed -E "s,^([a-z]+://[^/]*)/[^?]*,\1/growth_$1," <<<"$AORTA_TEST_POSTGRES")"
		;;
	esac
}

# rate FLAGS… gives the payments a second of one run.
rate() {
	"$work/aorta" bench --core --json --callers 512 --duration "${seconds}s" "$@" |
		tail -n 1 | sed 's/.*"payments_per_second":\([0-9.]*\).*/\1/'
}

median() { sort -n | awk '{v[NR] = $1} END {print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2}'; }

# What is verified in the end need not be at each run.
each=()
[ "$verify" = each ] || each=(--no-verify)

if [ -z "${FULL:-}" ]; then
	full=$(place own)
	# shellcheck disable=SC2086 # flags are words
	rate $full --prefill "$payments" --duration 1s "${each[@]}" >"$work/prefill"
elif [ "$store" = sqlite ]; then
	full="--data $FULL" payments="those of $FULL"
else
	full="--database $FULL" payments="those of the filled database"
fi
for ((n = 1; n <= pairs; n++)); do
	# shellcheck disable=SC2086
	{
		rate $full "${each[@]}" >>"$work/full.rates"
		rate $(place empty) "${each[@]}" >>"$work/empty.rates"
	}
	echo "pair $n: $(tail -n 1 "$work/full.rates") payments/s with history, $(tail -n 1 "$work/empty.rates") without"
done
with=$(median <"$work/full.rates") without=$(median <"$work/empty.rates")
echo "$store: $with with $payments payments stored before, $without without: ratio $(awk -v a="$with" -v b="$without" 'BEGIN {printf "%.2f", a / b}')"
if [ "$verify" = end ]; then
	# shellcheck disable=SC2086
	"$work/aorta" verify --json $full
fi
awk -v with="$with" -v without="$without" -v store="$store" 'BEGIN {
	if (store == "postgres" && with < 0.85 * without) { print "growth.sh: history costs more than 0.15 of the rate"; exit 1 }
}' >&2
