#!/usr/bin/env bash
# Runs every generator and fails when a committed file changes. Contents are compared, not commits, so it also
# holds in a checkout with work in progress.
set -euo pipefail
cd "$(dirname "$0")/.."
sums() {
	{
		git ls-files --cached --others --exclude-standard web/dist web/inventory.json \
			clients/openapi.json clients/typescript/src/api.ts clients/typescript/dist
		git grep -lE --untracked '^// Code generated .* DO NOT EDIT\.$' -- '*.go' || true
	} | sort -u | xargs -r sha256sum
}
before=$(sums)
go generate ./...
if ! diff <(echo "$before") <(sums) >&2; then
	echo "generated files were out of date; commit what 'make generate' wrote" >&2
	exit 1
fi
