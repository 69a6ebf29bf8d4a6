#!/usr/bin/env bash
# The tests of `make test`, after the static checks, with PostgreSQL running. SLOW is a regular expression of
# packages that are tested without the race detector. Fuzz seeds run with their packages.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${AORTA_TEST_POSTGRES:?run me under test/postgres.sh}"

# In here a judge that is missing is a failure, not a skipped test.
export AORTA_TEST_ALL=1

fast=() slow=() outside=()
for pkg in $(go list ./...); do
	case $pkg in
	aorta/test/browser | aorta/test/sdk) outside+=("$pkg") ;;
	*) if [[ $pkg =~ $SLOW ]]; then slow+=("$pkg"); else fast+=("$pkg"); fi ;;
	esac
done

# One build for every test that starts the binary.
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
CGO_ENABLED=0 go build -o "$bin/aorta" ./cmd/aorta
export AORTA_BIN=$bin/aorta

echo "== under the race detector"
go test -race -timeout 10m "${fast[@]}"
if [ ${#slow[@]} -gt 0 ]; then
	echo "== the slow ones"
	go test -p 1 -timeout 30m "${slow[@]}"
fi
# Last and one after the other: they start the built binary and a browser, which want the processor for themselves.
# -count=1 because the test cache cannot see the binary.
echo "== official clients and a browser against the built binary"
go test -count=1 -p 1 -timeout 10m "${outside[@]}"
