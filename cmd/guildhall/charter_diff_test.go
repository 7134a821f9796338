package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
)

// changed writes the automation charter with something in it replaced, and gives the file's path.
func changed(t *testing.T, replace ...string) string {
	t.Helper()
	source := string(charter.Source("automation"))
	after := strings.NewReplacer(replace...).Replace(source)
	if after == source {
		t.Fatalf("%q changes nothing", replace)
	}
	path := filepath.Join(t.TempDir(), "automation.yaml")
	if err := os.WriteFile(path, []byte(after), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDiffSaysWhoIsTouched asks the data of a demo that runs.
func TestDiffSaysWhoIsTouched(t *testing.T) {
	dir := t.TempDir()
	d := startDemo(t, "--data", dir)
	less := changed(t, "      - workflows.deploy\n", "", "workflows.run, workflows.deploy, mcp_servers.register", "workflows.run, mcp_servers.register")
	dropped := changed(t, "\n  viewer:", "\n  watcher:", "extends: viewer", "extends: watcher", "role: viewer", "role: watcher")
	for _, c := range []struct {
		name         string
		args         []string
		code         int
		says, errors string
	}{
		{"members", []string{"automation", less, "--data", dir}, 0, ": 1 member: role Editor loses workflows.deploy: Bo\n", ""},
		{"keys", []string{"automation", less, "--data", dir}, 0, ": 1 key: loses workflows.deploy: Bo - demo\n", ""},
		{"flags anywhere", []string{"--data=" + dir, "automation", less}, 0, "In the data\n", ""},
		{"by the database", []string{"automation", less, "--database", "sqlite:" + filepath.Join(dir, databaseFile)}, 0, "role Editor loses workflows.deploy", ""},
		{"nothing", []string{"automation", "automation", "--data", dir}, 0, "nobody and nothing in the data is touched", ""},
		{"a role that somebody has", []string{"automation", dropped, "--data", dir}, 1, "role Viewer is dropped", "the data forbids this change\n"},
		{"no database", []string{"automation", less, "--data", t.TempDir()}, 1, "loses", "no such file"},
		{"two databases", []string{"automation", less, "--data", dir, "--database", "x"}, 2, "", "want: guildhall charter diff BEFORE AFTER"},
		{"one charter", []string{"automation", "--data", dir}, 2, "", "want: guildhall charter diff BEFORE AFTER"},
		{"a mistyped flag", []string{"automation", less, "--dta", dir}, 2, "", "did you mean --data?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := runs(t, nil, append([]string{"charter", "diff"}, c.args...)...)
			if got.code != c.code || !strings.Contains(got.stdout, c.says) || !strings.Contains(got.stderr, c.errors) {
				t.Errorf("exit code %d, want %d, with %q and %q; got\n%s\n%s", got.code, c.code, c.says, c.errors, got.stdout, got.stderr)
			}
		})
	}
	d.stopWell()
}
