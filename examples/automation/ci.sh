#!/bin/sh
# Runs a workflow as a CI job does, waits until it has ended, and exits by its outcome: 0 it succeeded, 1 it failed,
# 2 it could not be run.
#
#   AUTOMATION_URL=http://localhost:8080 AUTOMATION_TOKEN=gld_tok_... ./ci.sh wf_...
#
# The token is a scoped token for this workflow alone, with workflows.run and workflows.view: README.md says how to make
# one. It goes to curl through standard input, so that it stands in no process list.
set -eu

url=${AUTOMATION_URL:-http://localhost:8080}
token=${AUTOMATION_TOKEN:?set AUTOMATION_TOKEN to a scoped token}
workflow=${1:?usage: ci.sh WORKFLOW}

# call METHOD PATH prints the answer's body; whatever is no success ends the script.
call() {
	body=$(printf 'header = "Authorization: Bearer %s"\n' "$token" |
		curl -sS --fail-with-body -K - -X "$1" "$url$2") || { echo "ci: $1 $2: $body" >&2; exit 2; }
	printf '%s' "$body"
}

# field NAME reads a text field of a flat JSON object on standard input.
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

started=$(call POST "/api/workflows/$workflow/run")
execution=$(printf '%s' "$started" | field id)
echo "ci: $execution runs on $(printf '%s' "$started" | field pool)"

while :; do
	now=$(call GET "/api/executions/$execution")
	status=$(printf '%s' "$now" | field status)
	case $status in
	succeeded) echo "ci: succeeded"; exit 0 ;;
	failed) echo "ci: failed: $(printf '%s' "$now" | field error)"; exit 1 ;;
	queued | running) sleep "${CI_PAUSE:-1}" ;;
	*) echo "ci: unexpected answer: $now" >&2; exit 2 ;;
	esac
done
