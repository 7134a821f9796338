package replica

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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
