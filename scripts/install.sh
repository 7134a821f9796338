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
		sudo -n --preserve-env=DEBIAN_FRONTEND,RUNLEVEL "$@"
	fi
}

if ! command -v go >/dev/null; then
	echo "install: Go is missing: see https://go.dev/doc/install" >&2
	exit 1
fi

need 'command -v gcc && test -e /usr/include/stdlib.h' gcc libc6-dev # for the race detector
need 'command -v curl' curl # the documentation's commands are run
need 'ls /usr/lib/postgresql/*/bin/initdb || command -v initdb' postgresql
need 'command -v nginx || test -x /usr/sbin/nginx' nginx-light # the gateways' recipes are run
need 'command -v caddy' caddy
if [ -d test/browser ]; then
	need 'command -v chromium' chromium fonts-liberation
	need 'command -v node' nodejs
	need 'command -v npm' npm
	need 'test -e /usr/share/simplesamlphp/www/index.php && php -r "exit(extension_loaded(\"dom\") && extension_loaded(\"mbstring\") ? 0 : 1);"' \
		simplesamlphp php-cli php-cgi php-xml php-mbstring # an identity provider; php-cgi, so that no Apache comes along
fi

if [ ${#missing[@]} -gt 0 ]; then
	echo "install: from Debian: ${missing[*]}"
	if [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then
		echo "install: needs root; run: apt-get install ${missing[*]}" >&2
		exit 1
	fi
	as_root apt-get update -qq
	RUNLEVEL=1 as_root apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

if [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
	echo "install: Node.js 20 or later is needed, here is $(node --version): see https://nodejs.org/en/download" >&2
	exit 1
fi

# npm_ci FOLDER installs what its lock file says, once.
npm_ci() {
	if [ -d "$1" ] && [ ! "$1/node_modules/.installed" -nt "$1/package-lock.json" ]; then
		echo "install: npm packages of $1, by its lock file"
		(cd "$1" && npm ci --no-audit --no-fund)
		mkdir -p "$1/node_modules"
		touch "$1/node_modules/.installed"
	fi
}

npm_ci test/browser
npm_ci web
npm_ci examples/documents
