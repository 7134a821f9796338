#!/usr/bin/env bash
# Installs what the tests need and the machine lacks, from Debian and, by lock
# file, from npm. Needs Go, git and make; asks nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

export DEBIAN_FRONTEND=noninteractive
missing=()

# need COMMAND-THAT-SUCCEEDS-WHERE-IT-IS-THERE PACKAGE...
need() {
	if ! eval "$1" >/dev/null 2>&1; then
		missing+=("${@:2}")
	fi
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo -n --preserve-env=DEBIAN_FRONTEND "$@"
	fi
}

if ! command -v go >/dev/null; then
	echo "install: Go is missing: see https://go.dev/doc/install" >&2
	exit 1
fi

need 'command -v gcc && test -e /usr/include/stdlib.h' gcc libc6-dev # for the race detector
need 'command -v curl' curl # the documentation's commands are run
need 'ls /usr/lib/postgresql/*/bin/initdb || command -v initdb' postgresql
if [ -d test/browser ]; then
	need 'command -v chromium' chromium fonts-liberation
	need 'command -v node' nodejs
	need 'command -v npm' npm
fi

if [ ${#missing[@]} -gt 0 ]; then
	echo "install: from Debian: ${missing[*]}"
	if [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then
		echo "install: needs root; run: apt-get install ${missing[*]}" >&2
		exit 1
	fi
	as_root apt-get update -qq
	as_root apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

if [ -d test/browser ] && [ ! test/browser/node_modules/.installed -nt test/browser/package-lock.json ]; then
	echo "install: npm packages of test/browser, by its lock file"
	(cd test/browser && npm ci --no-audit --no-fund)
	mkdir -p test/browser/node_modules
	touch test/browser/node_modules/.installed
fi
