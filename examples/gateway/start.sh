#!/usr/bin/env bash
# Starts Guildhall's demo, the gateway and a reverse proxy in front of it, until they are interrupted. DATA names a folder
# that stays; without it the data is in a folder of its own that is removed at the end. PROXY is nginx or caddy; without
# it, whichever is installed. GUILDHALL_PORT and PRODUCT_PORT are ports of this machine, 8080 and 8082 without them; the
# proxy's is 8081, which the demo hands people back to. GUILDHALL_BIN names a binary of Guildhall; without it, ./guildhall
# of the repository is built.
set -euo pipefail
cd "$(dirname "$0")/../.."

export PATH=$PATH:/usr/sbin # where Debian has nginx
guildhall=127.0.0.1:${GUILDHALL_PORT:-8080}
product=127.0.0.1:${PRODUCT_PORT:-8082}
proxy=${PROXY:-$(command -v nginx >/dev/null && echo nginx || echo caddy)}
command -v "$proxy" >/dev/null || { echo "start: $proxy is missing: install nginx or caddy" >&2; exit 1; }

data=${DATA:-$(mktemp -d)}
processes=()
finish() {
	trap '' INT TERM
	for process in "${processes[@]}"; do
		kill -TERM "$process" 2>/dev/null || true
		wait "$process" 2>/dev/null || true
	done
	if [ -z "${DATA:-}" ]; then
		rm -rf "$data"
	fi
}
trap finish EXIT
trap 'exit 0' INT TERM

if [ -z "${GUILDHALL_BIN:-}" ]; then
	make --no-print-directory build
	GUILDHALL_BIN=./guildhall
fi
umask 077
mkdir -p "$data/proxy"
go build -o "$data/gateway" ./examples/gateway

# The demo prints one line of JSON when everything is there.
"$GUILDHALL_BIN" demo --charter gateway --json --addr "$guildhall" --data "$data/hall" >"$data/people.json" &
processes=($!)
until grep -q '}$' "$data/people.json"; do
	if ! kill -0 "${processes[0]}" 2>/dev/null; then
		echo "start: the demo ended before it was ready" >&2
		exit 1
	fi
	sleep 0.1
done

# The secrets of the product: what the proxy proves itself with, new at each start, and its key at Guildhall.
GATEWAY_PROXY_SECRET=$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')
GUILDHALL_SERVICE_KEY=$(sed -n 's/.*"service_key":"\([^"]*\)".*/\1/p' "$data/people.json")
export GATEWAY_PROXY_SECRET GUILDHALL_SERVICE_KEY
"$data/gateway" --addr "$product" --data "$data/product" --guildhall "http://localhost:${guildhall##*:}" &
processes=($! "${processes[@]}")

if [ "$proxy" = nginx ]; then
	conf=$(<examples/gateway/nginx.conf) # by the shell itself: what sed is told stands in the process list
	conf=${conf//@DIR@/$data/proxy} conf=${conf//@LISTEN@/127.0.0.1:8081} conf=${conf//@GUILDHALL@/$guildhall}
	conf=${conf//@PRODUCT@/$product} conf=${conf//@SECRET@/$GATEWAY_PROXY_SECRET}
	printf '%s\n' "$conf" >"$data/proxy/nginx.conf"
	nginx -p "$data/proxy" -c "$data/proxy/nginx.conf" -e stderr &
else
	# Caddy keeps a copy of its configuration, with the secret in it: it goes where the rest of the data goes.
	GUILDHALL_ADDR=$guildhall PRODUCT_ADDR=$product XDG_CONFIG_HOME=$data/proxy XDG_DATA_HOME=$data/proxy \
		caddy run --config examples/gateway/Caddyfile --adapter caddyfile 2>"$data/proxy/log" &
fi
processes=($! "${processes[@]}")

# people lists role, session and address of each member of Acme.
people() {
	tr '{' '\n' <"$data/people.json" | sed -n -e '/"slug":"globex"/q' \
		-e 's/.*"role":"\([^"]*\)".*"email":"\([^"]*\)","token":"\([^"]*\)".*/  \1=\3 # \2/p'
}
cat <<TEXT
In the browser: http://localhost:8081 (mails with sign-in links: http://localhost:${guildhall##*:}/dev/mail)
The sessions of Acme's people:
$(people)
Try it:
  curl -sS http://localhost:8081/api/prompts -H "Authorization: Bearer \$owner" -d '{"name": "Hello", "text": "Hello {{name}}"}'
Ctrl-C ends it.
TEXT
wait -n
echo "start: a process ended" >&2
exit 1
