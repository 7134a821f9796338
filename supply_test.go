package guildhall_test

import (
	"crypto/sha256"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/dirhash"
)

// runs runs a command in a folder, and gives what it prints.
func runs(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	command := exec.Command(name, args...)
	command.Dir, command.Env = dir, append(os.Environ(), env...)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// sources are the project's files that end so.
func sources(t *testing.T, end string) (files []string) {
	t.Helper()
	for file := range strings.SplitSeq(runs(t, ".", nil, "git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00") {
		if _, err := os.Stat(file); err == nil && strings.HasSuffix(file, end) {
			files = append(files, file)
		}
	}
	return files
}

// What is built from is what go.sum says, byte for byte, and nothing stands in the place of a module. T-111
func TestModulesAreThoseThatTheirSumsName(t *testing.T) {
	oneAfterAnother(t)
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	const each = "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}} {{if .Replace}}replaced{{end}}{{end}}{{end}}"
	for line := range strings.Lines(runs(t, ".", nil, "go", "list", "-deps", "-test", "-f", each, "./...")) {
		module := strings.Fields(line)
		if len(module) < 3 || seen[line] {
			continue
		}
		seen[line] = true
		sum, err := dirhash.HashDir(module[2], module[0]+"@"+module[1], dirhash.Hash1)
		if err != nil || !strings.Contains(string(sums), module[0]+" "+module[1]+" "+sum+"\n") || len(module) > 3 {
			t.Errorf("%s: %s, %v", strings.Join(module, " "), sum, err)
		}
	}
	if len(seen) < 50 {
		t.Errorf("%d modules looked at", len(seen))
	}
}

// Each npm package has the hash of its bytes in a lock file: T-111.
func TestNpmPackagesHaveHashes(t *testing.T) {
	seen := 0
	for _, file := range sources(t, "package-lock.json") {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var lock struct {
			Packages map[string]struct {
				Link                bool
				Resolved, Integrity string
			}
		}
		if err := json.Unmarshal(raw, &lock); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for name, p := range lock.Packages {
			if !strings.Contains(name, "node_modules/") || p.Link { // the project itself, or a folder of it
				continue
			}
			seen++
			if !strings.HasPrefix(p.Integrity, "sha512-") {
				t.Errorf("%s: %s has no sha512", file, name)
			}
		}
	}
	if seen < 50 {
		t.Errorf("%d packages looked at", seen)
	}
}

// Who builds the same sources elsewhere gets the same bytes, so that anybody can see what a binary was made of: T-111.
func TestTheBinaryIsTheSameWhereverItIsBuilt(t *testing.T) {
	oneAfterAnother(t)
	if testing.Short() {
		t.Skip("builds the binary twice")
	}
	var sums [2][sha256.Size]byte
	for i := range sums {
		dir := filepath.Join(t.TempDir(), strings.Repeat("deeper/", i))
		copyOfSources(t, dir)
		runs(t, dir, []string{"CGO_ENABLED=0", "GOFLAGS="}, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", "guildhall", "./cmd/guildhall")
		built, err := os.ReadFile(filepath.Join(dir, "guildhall"))
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = sha256.Sum256(built)
	}
	if sums[0] != sums[1] {
		t.Errorf("%x and %x", sums[0], sums[1])
	}
}

func copyOfSources(t *testing.T, to string) {
	t.Helper()
	for _, file := range sources(t, "") {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
