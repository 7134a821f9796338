package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTestsThatDoSeveralThingsAtOnce(t *testing.T) {
	const text = `package p

func TestGoroutine(t *testing.T) { go run() }

func TestGroup(t *testing.T) { group.Go(run) }

func TestServer(t *testing.T) { httptest.NewServer(nil) }

func TestByHelper(t *testing.T) { helps(t) }

func TestByTable(t *testing.T) { rows[0](t) }

func TestOneAfterAnother(t *testing.T) { run(); call(t) }

func Testing(t *testing.T) { go run() }

func ExampleBeside() { helps(nil) }

func helps(t *testing.T) { person{}.together(t) }

func (person) together(t *testing.T) { t.Parallel() }

var rows = []func(*testing.T){func(*testing.T) { go run() }}

func call(t *testing.T) {}
`
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "p_test.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := atOnce(folder)
	want := []string{"ExampleBeside", "TestByHelper", "TestByTable", "TestGoroutine", "TestGroup", "TestServer"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}

	if err := os.WriteFile(filepath.Join(folder, "p.go"), []byte("package p\n\nfunc serve() { go run() }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := atOnce(folder); err == nil {
		t.Errorf("a package that begins goroutines itself: %v", got)
	}
}
