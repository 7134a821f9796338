#!/usr/bin/env bash
# Starts a demo of Guildhall with the documents charter, and this product beside it, until it is interrupted. The data
# is in a folder of its own that is removed then. GUILDHALL_BIN names a binary; without it, ./guildhall of the
# repository is built. GUILDHALL_PORT and PORT are the ports, 8080 and 8090 without them; 0 is any that is free.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

if [ -z "${GUILDHALL_BIN:-}" ]; then
	make --no-print-directory -C "$root" build
	GUILDHALL_BIN=$root/guildhall
fi
cd "$here"
if [ ! -d node_modules ]; then
	npm ci --no-audit --no-fund
fi
npm run --silent build

data=$(mktemp -d)
demo=
product=
finish() {
	trap '' INT TERM
	for process in $product $demo; do
		kill -TERM "$process" 2>/dev/null || true
		wait "$process" 2>/dev/null || true
	done
	rm -rf "$data"
}
trap finish EXIT
trap 'exit 0' INT TERM

# first FILE PID waits for a process's first line.
first() {
	until [ -s "$1" ] && grep -q '}$' "$1"; do
		if ! kill -0 "$2" 2>/dev/null; then
			echo "start: a process ended before it was ready" >&2
			exit 1
		fi
		sleep 0.1
	done
}

# told EXPRESSION reads what the demo told about itself.
told() {
	node -p "const demo = JSON.parse(require('fs').readFileSync('$data/demo.json')); $1"
}

"$GUILDHALL_BIN" demo --charter documents --json --addr "127.0.0.1:${GUILDHALL_PORT:-8080}" --data "$data/guildhall" >"$data/demo.json" &
demo=$!
first "$data/demo.json" "$demo"

GUILDHALL_URL=$(told demo.url) GUILDHALL_SERVICE_KEY=$(told demo.service_key) \
	node dist/main.js --json --port "${PORT:-8090}" --data "$data/product" >"$data/product.json" &
product=$!
first "$data/product.json" "$product"

url=$(node -p "JSON.parse(require('fs').readFileSync('$data/product.json')).url")
ada=$(told "demo.organizations.find((o) => o.slug === 'acme').members.find((m) => m.role === 'owner').token")
cat <<TEXT

Guildhall        $(told demo.url)
The product      $url

As Ada, the owner of Acme:

  product=$url
  ada=$ada
  curl -sS \$product/api/pipelines -H "Authorization: Bearer \$ada" -H 'Organization: acme'

README.md beside this script goes on from there. Interrupt to end both.
TEXT
wait -n "$demo" "$product" || true
