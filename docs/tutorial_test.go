package docs_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// binary is the guildhall that the documentation's commands are run with.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "guildhall-docs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "guildhall")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "../cmd/guildhall") // as make does
	build.Env, build.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir) // a temporary folder that stays is no failure
	os.Exit(code)
}

// TestCommandsAnswerAsTheDocumentationSays runs every block marked sh, in the order of its page, against a demo of the
// page's own, and compares what is printed with the block after it. Blocks marked console are not run; with -short, only
// those of the README are.
func TestCommandsAnswerAsTheDocumentationSays(t *testing.T) {
	ran := 0
	for _, file := range append([]string{"../README.md"}, sources(t)...) {
		text := read(t, file)
		steps := stepsOf(text)
		if len(steps) == 0 || testing.Short() && ran > 0 {
			continue
		}
		ran += len(steps)
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			d := startDemo(t)
			for i, got := range d.run(steps) {
				steps[i].compare(t, file, got)
			}
			if os.Getenv("UPDATE") != "" {
				update(t, file, steps)
			}
		})
	}
	if ran < 40 && !testing.Short() {
		t.Errorf("only %d blocks were run: the test does not find them", ran)
	}
}

// step is a block of commands with the answer that the page shows; answer is nil if it shows none.
type step struct {
	block
	answer *block
	differ string // what was printed, if it is something else
}

// block is a fenced block of a page.
type block struct {
	line           int // of its first line of code, from 0
	language, code string
}

// blocksOf are the fenced blocks of a page.
func blocksOf(text string) (all []block) {
	var open *block
	for n, line := range strings.Split(text, "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &block{line: n + 1, language: fence}
		case isFence:
			all, open = append(all, *open), nil
		case open != nil:
			open.code += line + "\n"
		}
	}
	return all
}

// stepsOf are the blocks to run. The answer is the block after the commands, with nothing but an empty line between.
func stepsOf(text string) (steps []step) {
	blocks := blocksOf(text)
	for i, b := range blocks {
		if b.language != "sh" {
			continue
		}
		s := step{block: b}
		if i+1 < len(blocks) && blocks[i+1].line == b.line+strings.Count(b.code, "\n")+3 && (blocks[i+1].language == "text" || blocks[i+1].language == "json") {
			s.answer = &blocks[i+1]
		}
		steps = append(steps, s)
	}
	return steps
}

// demo is a running guildhall demo in a folder of its own, where the commands are run.
type demo struct {
	t               *testing.T
	dir             string
	process         *exec.Cmd // nil: it was ended
	url, serviceKey string
	user, token     string // of the owner
}

// interrupt is what ends a demo well.
const interrupt = syscall.SIGTERM

func startDemo(t *testing.T) *demo { t.Helper(); return startDemoIn(t, t.TempDir()) }

func startDemoIn(t *testing.T, dir string) *demo {
	t.Helper()
	d := &demo{t: t, dir: dir}
	command := exec.Command(binary, "demo", "--json", "--addr", "127.0.0.1:0")
	command.Dir, command.Stderr = d.dir, os.Stderr
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	d.process = command
	t.Cleanup(func() {
		if d.process != nil {
			d.stop()
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var told struct {
		URL           string
		ServiceKey    string `json:"service_key"`
		Organizations []struct {
			Members []struct{ Token, User string }
		}
	}
	if err := json.Unmarshal(line, &told); err != nil {
		t.Fatal(err)
	}
	owner := told.Organizations[0].Members[0]
	d.url, d.serviceKey, d.token, d.user = told.URL, told.ServiceKey, owner.Token, owner.User
	return d
}

// documentedURL is where the documentation's demo listens.
const documentedURL = "http://localhost:8080"

// filled puts what this demo printed into commands: the page shows the beginning of each secret.
func (d *demo) filled(commands string) string {
	return strings.NewReplacer(documentedURL, d.url, "gld_svc_…", d.serviceKey, "gld_ses_…", d.token, "usr_…", d.user).Replace(commands)
}

// run runs the blocks one after another in one shell, and gives what each printed, errors too.
func (d *demo) run(steps []step) []string {
	d.t.Helper()
	const end = "\x1e"
	script := strings.Builder{}
	script.WriteString("exec 2>&1\n")
	for _, s := range steps {
		script.WriteString(d.filled(s.code) + "printf '" + end + "'\n")
	}
	shell := exec.Command("bash", "-c", script.String())
	shell.Dir = d.dir
	shell.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"), "HOME="+d.dir)
	out, _ := shell.CombinedOutput() // its exit code is that of the last command
	printed := strings.Split(strings.NewReplacer(d.url, documentedURL, "\r\n", "\n").Replace(string(out)), end)
	if len(printed) != len(steps)+1 {
		d.t.Fatalf("%d of %d blocks ended: %s", len(printed)-1, len(steps), out)
	}
	return printed[:len(steps)]
}

// compare fails unless the block printed what the page shows. In the page, … stands for anything within a line, and a
// line of … for any lines. Every moment is like every other.
func (s *step) compare(t *testing.T, file, printed string) {
	t.Helper()
	want := ""
	if s.answer != nil {
		want = s.answer.code
	}
	if printed != "" && !strings.HasSuffix(printed, "\n") {
		printed += "\n"
	}
	if pattern(want).MatchString(moments.ReplaceAllString(printed, "MOMENT")) {
		return
	}
	s.differ = printed
	if os.Getenv("UPDATE") == "" {
		t.Errorf("%s:%d: these commands\n%s\nprinted\n%s\nand the page shows\n%s", file, s.line+1, s.code, printed, want)
	}
}

var moments = regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)

func pattern(want string) *regexp.Regexp {
	var b strings.Builder
	for line := range strings.Lines(moments.ReplaceAllString(want, "MOMENT")) {
		if strings.TrimSpace(line) == "…" {
			b.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSuffix(line, "\n")), "…", `[^\n]*?`) + `\n`)
	}
	return regexp.MustCompile(`\A` + b.String() + `\z`)
}

// ids are what differs from run to run: ids, secrets, cursors and hashes.
var ids = regexp.MustCompile(`\b([a-z]{3}_)[0-9a-z]{26}\b|\b(gld_[a-z]+_)[0-9A-Za-z]{49}\b|\b[\w-]{64,}\b`)

// update writes what was printed into the page where it differs.
func update(t *testing.T, file string, steps []step) {
	t.Helper()
	lines := strings.Split(read(t, file), "\n")
	for i := len(steps) - 1; i >= 0; i-- {
		s := steps[i]
		if s.differ == "" || s.answer == nil {
			continue
		}
		masked := ids.ReplaceAllString(strings.TrimSuffix(s.differ, "\n"), "$1$2…")
		tail := append(strings.Split(masked, "\n"), lines[s.answer.line+strings.Count(s.answer.code, "\n"):]...)
		lines = append(lines[:s.answer.line:s.answer.line], tail...)
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")))
}

// sources are the documentation's files.
func sources(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.md")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d pages: %v", len(files), err)
	}
	return files
}
