#!/usr/bin/env bash
# A release before and this one, side by side on one database: make upgrade FROM=REVISION.
set -euo pipefail
cd "$(dirname "$0")/.."

# Without FROM it is the newest release that is not this very commit.
from=${FROM:-$(git tag --list 'v*' --no-contains HEAD --sort=-version:refname | head -n 1)}
if [ -z "$from" ]; then
	echo "make upgrade: there is no tag v* that would be the release before: say which revision is, as in make upgrade FROM=HEAD~20" >&2
	exit 2
fi
if ! commit=$(git rev-parse --verify --quiet "$from^{commit}"); then
	echo "make upgrade: git knows no revision $from" >&2
	exit 2
fi
if ! git grep --quiet GUILDHALL_TEST_LEASE "$commit" -- cmd/guildhall; then
	echo "make upgrade: $from is too old: its servers cannot be told how long their lease is (GUILDHALL_TEST_LEASE)" >&2
	exit 2
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/source"
git archive "$commit" | tar -x -C "$dir/source"
echo "=== building $from ($(git log -1 --format='%h, %cs' "$commit"))"
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath"
(cd "$dir/source" && "${GO:-go}" test -c -vet=off -o "$dir/previous" ./cmd/guildhall)
rm -rf "$dir/source"
echo "=== $from and this tree"
GUILDHALL_SOAK=1 GUILDHALL_PREVIOUS="$dir/previous" "${GO:-go}" test -count=1 -vet=off -v -timeout 1h -run '^TestSoakUpgrade$' ./cmd/guildhall
