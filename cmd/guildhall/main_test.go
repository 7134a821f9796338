package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMain lets tests run this binary as the program.
func TestMain(m *testing.M) {
	if os.Getenv("GUILDHALL_TEST_MAIN") == "1" {
		otherLengths()
		main()
		return
	}
	os.Exit(m.Run())
}

// ran is how a run of the program ended.
type ran struct {
	code           int
	stdout, stderr string
}

// runs runs a command that ends by itself.
func runs(t *testing.T, environ []string, args ...string) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), process{args: args, environ: environ, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr})
	return ran{code, stdout.String(), stderr.String()}
}

// running is a command that serves.
type running struct {
	t      *testing.T
	lines  *bufio.Reader
	stderr *buffer
	stop   context.CancelFunc
	ended  chan int
	once   sync.Once
	rest   string
	code   int
}

// serving runs a command that serves until it is stopped or the test ends.
func serving(t *testing.T, environ []string, args ...string) *running {
	t.Helper()
	reader, writer := io.Pipe()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{t: t, lines: bufio.NewReader(reader), stderr: &buffer{}, stop: stop, ended: make(chan int, 1)}
	go func() {
		code := run(ctx, process{args: args, environ: environ, stdin: strings.NewReader(""), stdout: writer, stderr: r.stderr})
		writer.Close()
		r.ended <- code
	}()
	t.Cleanup(func() { r.end() })
	return r
}

// line is the next line of standard output.
func (r *running) line() string {
	r.t.Helper()
	text, err := r.lines.ReadString('\n')
	if err != nil {
		r.t.Fatalf("no further line: %v; standard error:\n%s", err, r.stderr)
	}
	return strings.TrimSuffix(text, "\n")
}

// end interrupts the command, and gives what it still wrote and its exit code.
func (r *running) end() (rest string, code int) {
	r.t.Helper()
	r.once.Do(func() {
		r.stop()
		raw, _ := io.ReadAll(r.lines)
		r.rest = string(raw)
		r.code = <-r.ended
	})
	return r.rest, r.code
}

// buffer is a bytes.Buffer for two goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (UPDATE=1 rewrites it):\n%s", path, diff)
	}
}

func TestCommandsThatEnd(t *testing.T) {
	for _, c := range []struct {
		golden string
		args   []string
		code   int
	}{
		{"help_serve.txt", []string{"help", "serve"}, 0},
		{"help_serve.txt", []string{"serve", "--help"}, 0},
		{"help_demo.txt", []string{"demo", "-h"}, 0},
		{"help_charter.txt", []string{"help", "charter"}, 0},
		{"help_config.txt", []string{"help", "config"}, 0},
		{"charter_check.txt", []string{"charter", "check", "gateway"}, 0},
		{"charter_check_wrong.txt", []string{"charter", "check", "testdata/wrong.yaml"}, 1},
		{"charter_check_unknown.txt", []string{"charter", "check", "gatway"}, 1},
		{"charter_test.txt", []string{"charter", "test", "documents"}, 0},
		{"charter_show.txt", []string{"charter", "show", "gateway"}, 0},
		{"charter_diff.txt", []string{"charter", "diff", "automation", "documents"}, 0},
		{"charter_diff_nothing.txt", []string{"charter", "diff", "automation", "automation"}, 0},
		{"charter_explain.txt", []string{"charter", "explain", "gateway", "reader", "prompts.promote"}, 0},
		{"charter_explain_unknown.txt", []string{"charter", "explain", "gateway", "raeder", "prompts.promote"}, 2},
		{"charter_usage.txt", []string{"charter", "show"}, 2},
		{"charter_unknown.txt", []string{"charter", "shoe", "gateway"}, 2},
		{"demo_unknown_flag.txt", []string{"demo", "--frehs"}, 2},
		{"demo_argument.txt", []string{"demo", "gateway"}, 2},
		{"serve_unknown_flag.txt", []string{"serve", "--chartre", "x"}, 2},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			got := runs(t, nil, c.args...)
			if got.code != c.code {
				t.Errorf("exit code %d, want %d", got.code, c.code)
			}
			if (got.code == 0) != (got.stderr == "") || (got.code != 0) != (got.stdout == "") {
				t.Errorf("data goes to standard output, errors to standard error; got %q and %q", got.stdout, got.stderr)
			}
			golden(t, c.golden, got.stdout+got.stderr)
		})
	}
}

func TestTheHelpGroupsServerAndUserCommands(t *testing.T) {
	got := runs(t, nil, "help")
	if got.code != 0 {
		t.Fatalf("exit code %d: %s", got.code, got.stderr)
	}
	for _, want := range []string{"serve", "demo", "doctor", "charter", "config", "members", "invitations"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %s in\n%s", want, got.stdout)
		}
	}
}

func TestTheSchemaOfChartersIsPrinted(t *testing.T) {
	got := runs(t, nil, "charter", "schema")
	if got.code != 0 || !strings.Contains(got.stdout, "https://json-schema.org/draft/2020-12/schema") {
		t.Errorf("exit code %d, %.200s", got.code, got.stdout)
	}
}

func TestConfigPrintsWhatHolds(t *testing.T) {
	got := runs(t, []string{"GUILDHALL_SMTP_PASSWORD=hunter2", "GUILDHALL_ADDR=:9"}, "config", "--charter", "gateway")
	text := strings.Join(strings.Fields(got.stdout), " ")
	for _, want := range []string{"addr: :9 # environment GUILDHALL_ADDR", "charter: gateway # flag --charter"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, got.stdout)
		}
	}
	if strings.Contains(got.stdout+got.stderr, "hunter2") {
		t.Error("shows the password")
	}
}
