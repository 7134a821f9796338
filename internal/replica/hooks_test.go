package replica

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What tests break the protocol by, nothing else sets: neither the hooks nor the lengths.
func TestNothingBreaksTheProtocol(t *testing.T) {
	breaks := regexp.MustCompile(`\breplica\.Break\b|\bUsual(\.\w+)?\s*=|\bBreak\s*=`)
	looked := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return errOr(err, fs.SkipDir)
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || path == "../../internal/replica/replica.go" {
			return nil
		}
		looked++
		source, err := os.ReadFile(path)
		if found := breaks.Find(source); found != nil {
			t.Errorf("%s: %s", path, found)
		}
		return err
	})
	if err != nil || looked < 100 {
		t.Errorf("%d files: %v", looked, err)
	}
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// Connections are left when a new timeline is seen, once; when an old one is seen again, only that.
func TestConnectionsToAReplacedServerAreLeft(t *testing.T) {
	var told []bool
	r := New(Config{Clock: SystemClock{}, Deposed: func(justNow bool) { told = append(told, justNow) }})
	for _, seen := range []struct {
		timeline Timeline
		current  bool
	}{{1, true}, {1, true}, {3, true}, {3, true}, {1, false}, {3, true}} {
		if current := r.see(seen.timeline); current != seen.current {
			t.Errorf("timeline %d: current %t", seen.timeline, current)
		}
	}
	if want := []bool{true, false}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}
