#!/usr/bin/env bash
# Fuzzes each target of each package for FUZZTIME. A find is written to the package's testdata/fuzz, where every
# later test run repeats it.
set -euo pipefail
cd "$(dirname "$0")/.."
git grep -lE '^func Fuzz[A-Za-z0-9_]*\(' -- '*_test.go' | xargs -rn1 dirname | sort -u | while read -r dir; do
	for target in $(go test -list '^Fuzz' "./$dir" | grep '^Fuzz'); do
		echo "== $dir $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" "./$dir"
	done
done
