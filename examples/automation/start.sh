#!/usr/bin/env bash
# Starts the workflow platform, with Guildhall in its process, until it is interrupted. Guildhall's demo makes the people
# first: two organizations with one member for each role, each with a session. DATA names a folder that stays; without it
# the data is in a folder of its own that is removed at the end. PORT is the port, 8080 without it. GUILDHALL_BIN names a
# binary of Guildhall; without it, ./guildhall of the repository is built.
set -euo pipefail
cd "$(dirname "$0")/../.."

port=${PORT:-8080}
data=${DATA:-$(mktemp -d)}
process=
finish() {
	trap '' INT TERM
	if [ -n "$process" ]; then
		kill -TERM "$process" 2>/dev/null || true
		wait "$process" 2>/dev/null || true
	fi
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
mkdir -p "$data"
go build -o "$data/automation" ./examples/automation

# The demo prints one line of JSON when everything is there, and serves until it is told to end.
umask 077
"$GUILDHALL_BIN" demo --charter automation --json --addr 127.0.0.1:0 --data "$data/hall" >"$data/people.json" &
process=$!
until grep -q '}$' "$data/people.json"; do
	if ! kill -0 "$process" 2>/dev/null; then
		echo "start: the demo ended before it was ready" >&2
		exit 1
	fi
	sleep 0.1
done
kill -TERM "$process"
wait "$process" || true

# people lists role, session and address of each member of Acme.
people() {
	tr '{' '\n' <"$data/people.json" | sed -n -e '/"slug":"globex"/q' \
		-e 's/.*"role":"\([^"]*\)".*"email":"\([^"]*\)","token":"\([^"]*\)".*/  \1=\3 # \2/p'
}

"$data/automation" --addr "127.0.0.1:$port" --data "$data/hall" --demo &
process=$!
cat <<TEXT
The sessions of Acme's people:
$(people)
Try it:
  curl -sS 'http://localhost:$port/api/workflows?organization=acme' -H "Authorization: Bearer \$owner" -d '{"name": "Hello", "steps": [{"do": "write", "text": "hello"}]}'
Ctrl-C ends it.
TEXT
wait "$process"
