#!/usr/bin/env bash
# Runs every check of the project, one after another, and stops at the first
# that fails. scripts/install.sh has installed what they need.
set -euo pipefail
cd "$(dirname "$0")/.."

unset UPDATE # a golden file that differs is a failure here
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0="$PWD"

# Test databases are thrown away: memory is a better place for them than a disk.
if [ -d /dev/shm ] && [ -w /dev/shm ] && [ "$(df --output=avail -m /dev/shm | tail -n 1)" -gt 4096 ]; then
	TMPDIR=$(mktemp -d /dev/shm/guildhall-test.XXXXXX)
else
	TMPDIR=$(mktemp -d)
fi
chmod 755 "$TMPDIR" # the database runs as another user
export TMPDIR

# As make build builds, so that packages are compiled once for all steps. The race detector needs C, and packages of
# its own.
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath"

summary=()
current=

# step NAME COMMAND... runs a command and notes how long it took.
step() {
	current=$1
	local began=$SECONDS
	echo "=== $1"
	"${@:2}"
	summary+=("$(printf '%5ds  %s' $((SECONDS - began)) "$1")")
	current=
}

finish() {
	local code=$?
	rm -rf "$TMPDIR"
	echo
	printf '%s\n' "${summary[@]+"${summary[@]}"}"
	if [ "$code" -eq 0 ]; then
		printf '%5ds  all passed\n' "$SECONDS"
	else
		printf '%5ds  FAILED: %s\n' "$SECONDS" "${current:-start}"
	fi
}
trap finish EXIT

# sources PATTERN lists the project's files that match, each ended by a NUL.
sources() {
	local file
	git ls-files -z --cached --others --exclude-standard "$1" | while IFS= read -r -d '' file; do
		if [ -f "$file" ]; then
			printf '%s\0' "$file"
		fi
	done
}

formatted() {
	local files
	files=$(sources '*.go' | xargs -0 -r gofmt -l)
	if [ -n "$files" ]; then
		printf 'not formatted, run gofmt -w on:\n%s\n' "$files"
		return 1
	fi
}

generated_files() {
	sources '*_templ.go' | xargs -0 -r sha256sum
}

# Generated files are committed: generating them again has to change nothing.
templates() {
	local before after
	before=$(generated_files)
	go tool templ generate
	after=$(generated_files)
	if [ "$before" != "$after" ]; then
		echo "generated files were out of date; they are not any more: commit them"
		diff <(echo "$before") <(echo "$after") || true
		return 1
	fi
}

# The race detector does not watch SQLite's engine, which is C made Go: it works on memory outside of Go's heap, where the
# detector sees nothing, and would take most of the time.
unwatched=()
for package in sqlite/lib libc/... memory; do
	unwatched+=("-gcflags=modernc.org/$package=-race=false")
done

# Packages whose tests make one call after another, but for a few. Under the race detector they take about ten times as
# long and show it nothing: it watches those few, which atonce finds, and the next step runs all without it.
calls=(./artifacts ./audit ./billing ./billing/stripe ./charter ./credential ./directory ./federation ./feedback ./governance ./requestlog
	./signin ./usage ./server/internal/console ./server/internal/scim)

go_tests() {
	local rest few
	rest=$(go list ./... | grep -vxF "$(go list "${calls[@]}")")
	few=$(go run ./internal/atonce "${calls[@]}")
	# shellcheck disable=SC2086
	watched $rest && watched $few
}

# watched ARGUMENT... tests under the race detector. As many packages at once as there are cores, which is go's default:
# they share one PostgreSQL. go vet has been run.
watched() {
	go run ./internal/testdb/cluster -- env CGO_ENABLED=1 go test -race "${unwatched[@]}" -vet=off -timeout 40m "$@"
}

# The tests of several real servers that fail in every way: those that leave the race detector out.
servers() {
	awk '/^func Test/ { sub(/\(.*/, "", $2); name = $2 } /testing.Short\(\) \|\| raceEnabled/ { print name }' cmd/guildhall/*_test.go | paste -sd '|'
}

# What the race detector has no use for, one call after another, is left to this step: here nothing may be skipped. Nor
# has it any for servers in processes of their own, which are too slow under it for their leases.
whole_loops() {
	local log="$TMPDIR/whole-loops.log"
	# More at once than there are cores: one half of them waits for PostgreSQL.
	if ! { go run ./internal/testdb/cluster -- go test -vet=off -v -parallel 4 -timeout 40m . "${calls[@]}" &&
		go test -vet=off -v -timeout 20m -run "^($(servers))$" ./cmd/guildhall; } >"$log" 2>&1; then
		grep -vE '^ *(=== |--- PASS)' "$log"
		return 1
	fi
	if grep -E '^ *--- SKIP' "$log"; then
		echo "skipped in both steps"
		return 1
	fi
	grep -F 'not tried' "$log" || true
	printf '%s tests passed\n' "$(grep -cE '^ *--- PASS' "$log")"
}

# What is asked of Stripe, against its own description of its API: a module of its own.
stripe_shapes() {
	(cd test/stripeshapes && go test -vet=off ./...) | grep -vE '^(Request|Response)'
}

# The TypeScript client, and the example that uses it on a real server.
typescript() {
	(cd web && npm run --silent build && npm --silent test)
	(cd examples/documents && npm run --silent build && GUILDHALL_BIN="$PWD/../../guildhall" npm --silent test)
}

# The two tours through every page take longest: they begin first, beside each other.
browser_tests() (
	local tours=(pages.test.mjs charters.test.mjs) rest=()
	cd test/browser
	for file in *.test.mjs; do
		[[ " ${tours[*]} " == *" $file "* ]] || rest+=("$file")
	done
	CHROMIUM=$(command -v chromium) node --test --test-concurrency=2 --test-reporter=spec "${tours[@]}" "${rest[@]}"
)

step "gofmt" formatted
step "go vet" go vet ./...
step "staticcheck" go tool staticcheck ./...
step "templates" templates
step "build" make --no-print-directory build
step "go test -race" go_tests
step "go test, whole loops" whole_loops
step "shapes of Stripe's API" stripe_shapes
step "TypeScript" typescript
if [ -d test/browser ]; then
	step "browser tests" browser_tests
fi
