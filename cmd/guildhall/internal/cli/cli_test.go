package cli_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/cmd/guildhall/internal/cli"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testhall"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server"
)

// shell runs command lines against a hall, as Ada at a pipe unless a test says otherwise.
type shell struct {
	*testhall.Hall
	as       string
	input    string
	terminal bool
	env      map[string]string
	closed   int
}

func open(t *testing.T) *shell {
	t.Helper()
	h := testhall.New(t, testdb.SQLite(t), nil)
	return &shell{Hall: h, as: h.Ada, env: map[string]string{"GUILDHALL_ORG": "acme"}}
}

// result is what a command line left behind.
type result struct {
	exit        int
	out, errors string
}

func (s *shell) run(t *testing.T, line ...string) result {
	t.Helper()
	var out, errors bytes.Buffer
	config := cli.Config{
		Operations: s.Service.Operations(),
		Others:     []cli.Command{{Name: "serve", Summary: "Serve"}, {Name: "demo", Summary: "Serve a demo"}},
		Connect: func(context.Context, cli.Globals) (op.Backend, op.Caller, func() error, error) {
			return s.Service, op.Caller{Credential: s.as, RequestID: "req_cli"}, func() error { s.closed++; return nil }, nil
		},
		Stdin: strings.NewReader(s.input), Stdout: &out, Stderr: &errors,
		Env: func(name string) string { return s.env[name] },
		Now: func() time.Time { return testhall.Start }, Terminal: func(any) bool { return s.terminal },
	}
	return result{cli.Run(t.Context(), config, line), out.String(), errors.String()}
}

func words(line string) []string { return strings.Fields(line) }

func TestCommands(t *testing.T) {
	s := open(t)
	tests := []struct {
		name, line  string
		exit        int
		out, errors string // what they contain
	}{
		{"a list", "notes list", 0, `"id": "note_2"`, ""},
		{"a list with a limit", "notes list --limit 1", 0, `"has_more": true`, ""},
		{"flags before the command", "--org acme notes list --contains sec", 0, `"text": "second"`, ""},
		{"one by its place", "notes get note_1", 0, `"text": "first"`, ""},
		{"one by its flag", "notes get --note note_1", 0, `"text": "first"`, ""},
		{"one with a flag and a sign", "notes get --note=note_1", 0, `"text": "first"`, ""},
		{"another organization", "notes get note_9 --org globex", 6, "", "not found"},
		{"nothing of that name", "notes get note_0", 6, "", "request: req_cli"},
		{"the body's first required field by its place", "notes create hello --tags a,b --tags c", 0, `"c"`, ""},
		{"a time from now", "notes create hello --expires-at 30d", 0, `"expires_at": "2026-03-31T12:00:00Z"`, ""},
		{"a time in weeks", "notes create hello --expires-at 2w", 0, `"expires_at": "2026-03-15T12:00:00Z"`, ""},
		{"a time in hours", "notes create hello --expires-at 1h30m", 0, `"expires_at": "2026-03-01T13:30:00Z"`, ""},
		{"a day", "notes create hello --expires-at 2026-05-01", 0, `"expires_at": "2026-05-01T00:00:00Z"`, ""},
		{"no time", "notes create hello --expires-at soon", 2, "", "expires_at"},
		{"a fact", "notes create hello --pinned", 0, `"text": "hello"`, ""},
		{"no fact", "notes create hello --no-pinned", 0, `"text": "hello"`, ""},
		{"a fact that is none", "notes create hello --pinned=perhaps", 2, "", `true or false, not "perhaps"`},
		{"text with a hyphen", "notes create -- --hello", 0, `"text": "--hello"`, ""},
		{"text from standard input", "notes create -", 0, `"text": "from a pipe"`, ""},
		{"a conflict", "notes create taken", 7, "", "note: note_1"},
		{"a dry run", "notes update note_1 --text x --dry-run", 0, `"dry_run": true`, ""},
		{"a dry run of what has none", "notes create x --dry-run", 2, "", "no --dry-run"},
		{"a version that is gone", `notes update note_1 --text x --yes --if-match "9"`, 7, "", "changed in the meantime"},
		{"an internal error", "notes fail --yes", 1, "", "internal error"},
		{"some fields of one", "notes get note_1 --json=text", 0, "{\n  \"text\": \"first\"\n}\n", ""},
		{"some fields of a list", "notes list --limit 1 --json=text,id", 0, "[\n  {\n    \"id\": \"note_1\",\n    \"text\": \"first\"\n  }\n]\n", ""},
		{"a field that is none", "notes create x --json=txt", 2, "", `there is no field "txt": did you mean "text"?`},
		{"an exit status of what says no yes", "notes get note_1 --exit-status", 2, "", "no --exit-status"},
		{"a stream", "notes export", 0, "id,text\nnote_1,first\n", ""},
		{"underscores and hyphens", "notes create x --expires_at 1d", 0, `"expires_at"`, ""},

		{"an unknown noun", "note list", 2, "", `unknown command "note": did you mean "notes"?`},
		{"another command's name", "server", 2, "", `did you mean "serve"?`},
		{"an unknown verb", "notes remov note_1", 2, "", `did you mean "remove"?`},
		{"an unknown flag", "notes list --limt 3", 2, "", `unknown flag --limt: did you mean "limit"?`},
		{"a flag without its value", "notes list --limit", 2, "", "--limit needs a value"},
		{"no number", "notes list --limit many", 2, "", `"many" is no whole number`},
		{"too few", "notes get", 2, "", "<note> is missing: The note"},
		{"too many", "notes get note_1 note_2", 2, "", `"note_2" is one argument too many`},
		{"no verb", "notes --json", 2, "", "notes needs a verb: list, get"},
		{"too long", "notes create " + strings.Repeat("x", 201), 2, "", "text"},
		{"a limit beyond", "notes list --limit 1000", 2, "", "limit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.input = "from a pipe\nand more\n"
			s.check(t, s.run(t, words(tt.line)...), tt.exit, tt.out, tt.errors)
		})
	}
}

func (s *shell) check(t *testing.T, got result, exit int, out, errors string) {
	t.Helper()
	if got.exit != exit || !strings.Contains(got.out, out) || !strings.Contains(got.errors, errors) {
		t.Errorf("got exit %d\nout: %s\nerrors: %s\nwant exit %d, out with %q, errors with %q", got.exit, got.out, got.errors, exit, out, errors)
	}
	if exit != 0 && got.out != "" {
		t.Errorf("a failure printed data: %s", got.out)
	}
}

func TestAnOrganizationIsNeeded(t *testing.T) {
	s := open(t)
	s.env = nil
	s.check(t, s.run(t, "notes", "list"), 2, "", "--org NAME, or GUILDHALL_ORG")
	s.check(t, s.run(t, "notes", "list", "--org", "acme"), 0, "note_1", "")
	s.check(t, s.run(t, "echo", "say", "hi"), 0, `"word": "hi"`, "")
}

func TestADenialSaysWhomToAsk(t *testing.T) {
	s := open(t)
	s.as = s.Vic
	got := s.run(t, "notes", "create", "x")
	s.check(t, got, 5, "", "role Viewer lacks settings.update")
	for _, want := range []string{"needs settings.update", "ask Ada (owner)", "mend it: /docs/permissions#settings-update", "request: req_cli"} {
		if !strings.Contains(got.errors, want) {
			t.Errorf("no %q in\n%s", want, got.errors)
		}
	}
	s.as = ""
	s.check(t, s.run(t, "notes", "list"), 4, "", "set GUILDHALL_TOKEN")
	if s.closed != 2 {
		t.Errorf("closed %d times, want 2", s.closed)
	}
}

func TestTheConfirmLadder(t *testing.T) {
	tests := []struct {
		name, line, input string
		terminal          bool
		exit              int
		errors            string
		gone              bool // note_1 was changed or removed
	}{
		{"L1 at a terminal, yes", "notes update note_1 --text x", "y\n", true, 0, "Change a note: note_1, acme\nGo on? [y/N]", true},
		{"L1 at a terminal, no", "notes update note_1 --text x", "n\n", true, 3, "cancelled: nothing was changed", false},
		{"L1 at a terminal, nothing", "notes update note_1 --text x", "", true, 3, "cancelled", false},
		{"L1 at a terminal without asking", "notes update note_1 --text x --no-input", "y\n", true, 2, "needs --yes", false},
		{"L1 in a pipe", "notes update note_1 --text x", "y\n", false, 2, "notes update needs --yes", false},
		{"L1 with --yes", "notes update note_1 --text x --yes", "", false, 0, "", true},
		{"L2 shows what would happen", "notes remove note_1", "y\n", true, 3, "the note goes", false},
		{"L2 says how to go on", "notes remove note_1", "", false, 3, "Nothing was changed: repeat it with --yes", false},
		{"L2 with --yes", "notes remove note_1 -y", "", false, 0, "", true},
		{"L2 as a dry run", "notes remove note_1 --dry-run", "", false, 0, "", false},
		{"L3 with --yes", "notes erase --yes", "y\n", true, 3, "repeat it with --confirm acme", false},
		{"L3 with another name", "notes erase --confirm globex", "", false, 3, "cannot be undone", false},
		{"L3 with the name", "notes erase --confirm acme", "", false, 0, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			s.terminal, s.input = tt.terminal, tt.input
			got := s.run(t, words(tt.line)...)
			if got.exit != tt.exit || !strings.Contains(strings.ToLower(got.errors), strings.ToLower(tt.errors)) {
				t.Errorf("got exit %d: %s, want %d with %q", got.exit, got.errors, tt.exit, tt.errors)
			}
			after := s.run(t, "notes", "get", "note_1", "--json")
			if gone := !strings.Contains(after.out, `"first"`); gone != tt.gone {
				t.Errorf("the note is now %s", after.out)
			}
		})
	}
}

func TestATerminalSeesTables(t *testing.T) {
	s := open(t)
	s.terminal = true
	got := s.run(t, "notes", "list", "--limit", "1")
	want := "ID      ORGANIZATION  TEXT   SECRET SHOWN  VERSION\nnote_1  org_acme      first  no            1\n"
	if diff := cmp.Diff(want, trimmed(got.out)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !strings.Contains(got.errors, "there are more: --cursor ") {
		t.Errorf("no cursor: %s", got.errors)
	}
	s.check(t, s.run(t, "notes", "list", "--contains", "nothing"), 0, "", "none")
	one := trimmed(s.run(t, "notes", "get", "note_1").out)
	if want := "id            note_1\norganization  org_acme\ntext          first\ntags\nsecret_shown  no\nversion       1\n"; one != want {
		t.Errorf("got\n%swant\n%s", one, want)
	}
	if got := s.run(t, "notes", "get", "note_1", "--json"); !strings.HasPrefix(got.out, "{\n") {
		t.Errorf("--json at a terminal: %s", got.out)
	}
}

// trimmed is text without spaces at the ends of lines.
func trimmed(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// T-094
func TestDataDoesNotSteerTheTerminal(t *testing.T) {
	s := open(t)
	s.terminal = true
	got := s.run(t, "notes", "create", "a\x1b[31mred\u202eder\r\nx")
	if got.exit != 0 || strings.ContainsAny(got.out, "\x1b\r\u202e") {
		t.Errorf("exit %d: %q", got.exit, got.out)
	}
}

func TestAServerIsCalledWithAToken(t *testing.T) {
	s := open(t)
	listener := httptest.NewServer(server.New(server.Config{Service: s.Service, BaseURL: "https://hall.test", Log: slog.New(slog.DiscardHandler)}))
	defer listener.Close()
	s.as = "nobody"
	s.check(t, s.run(t, "notes", "list", "--server", listener.URL), 4, "", "sign in")
	s.env["GUILDHALL_TOKEN"] = s.Ada
	s.check(t, s.run(t, "notes", "list", "--server", listener.URL), 0, "note_1", "")
	s.env["GUILDHALL_SERVER"] = listener.URL
	s.check(t, s.run(t, "notes", "get", "note_0"), 6, "", "request: req_0")
	s.check(t, s.run(t, "notes", "export"), 0, "note_1,first", "")
	s.env["GUILDHALL_TOKEN"] = ""
	s.input = s.Ada + "\n"
	s.check(t, s.run(t, "notes", "create", "x", "--token-stdin"), 0, `"text": "x"`, "")
	s.check(t, s.run(t, "notes", "list", "--token-file", "-"), 0, "note_1", "")
	s.input = ""
	s.check(t, s.run(t, "notes", "list", "--token-stdin"), 2, "", "no token on standard input")
	s.check(t, s.run(t, "notes", "list", "--token-file", "-"), 2, "", "no token on standard input")
	s.check(t, s.run(t, "notes", "list", "--token-file", file(t, s.Ada+"\n")), 0, "note_1", "")
	s.check(t, s.run(t, "notes", "list", "--token-file", file(t, "")), 2, "", "has no token in its first line")
	s.check(t, s.run(t, "notes", "list", "--token-file", "/nowhere"), 2, "", "--token-file: open /nowhere")
	s.check(t, s.run(t, "notes", "list", "--server", listener.URL, "--data", "x"), 2, "", "exclude each other")
	if s.closed != 0 {
		t.Error("the database was opened")
	}
}

// file writes a file and gives its path.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnyRequestCanBeSent(t *testing.T) {
	s := open(t)
	s.check(t, s.run(t, "api", "GET", "/v1/organizations/acme/notes"), 2, "", "api needs a server that runs")
	listener := httptest.NewServer(server.New(server.Config{Service: s.Service, BaseURL: "https://hall.test", Log: slog.New(slog.DiscardHandler)}))
	defer listener.Close()
	s.env["GUILDHALL_SERVER"], s.env["GUILDHALL_TOKEN"] = listener.URL, s.Ada
	note := file(t, `{"text": "from a file"}`)
	for _, tt := range []struct {
		name        string
		line        []string
		exit        int
		out, errors string
	}{
		{"a list", []string{"api", "GET", "/v1/organizations/acme/notes?limit=1"}, 0, "{\n  \"data\": [\n", ""},
		{"a method in small letters", []string{"api", "get", "/v1/organizations/acme/notes"}, 0, "note_1", ""},
		{"flags before and after", []string{"--quiet", "api", "--json", "GET", "/v1/organizations/acme/notes"}, 0, "note_1", ""},
		{"a stream", []string{"api", "GET", "/v1/organizations/acme/notes.csv"}, 0, "id,text\nnote_1,first\n", ""},
		{"what is no operation", []string{"api", "GET", "/healthz"}, 0, "ok\n", ""},
		{"a body from a file", []string{"api", "POST", "/v1/organizations/acme/notes", "--input", note}, 0, `"text": "from a file"`, ""},
		{"a body from standard input", []string{"api", "POST", "/v1/organizations/acme/notes", "--input=-"}, 0, `"text": "over\n two lines"`, ""},
		{"not found", []string{"api", "GET", "/v1/organizations/acme/notes/note_0"}, 6, "", "not found"},
		{"invalid", []string{"api", "POST", "/v1/organizations/acme/notes", "--input", file(t, "{}")}, 2, "", "text"},
		{"a path elsewhere", []string{"api", "GET", "https://evil.test/"}, 2, "", "begins with a slash"},
		{"a path that changes the host", []string{"api", "GET", "@evil.test/"}, 2, "", "begins with a slash"},
		{"no path", []string{"api", "GET"}, 2, "", "usage: guildhall api METHOD PATH"},
		{"an unknown flag", []string{"api", "GET", "/healthz", "--inptu", "x"}, 2, "", "unknown flag --inptu"},
		{"no file", []string{"api", "POST", "/healthz", "--input", "/nowhere"}, 2, "", "--input: open /nowhere"},
		{"help", []string{"help", "api"}, 0, "usage: guildhall api METHOD PATH", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.input = "{\"text\":\n \"over\\n two lines\"}"
			s.check(t, s.run(t, tt.line...), tt.exit, tt.out, tt.errors)
		})
	}
}

// decided answers yes or no.
var decided = &op.Op[decision, decision]{
	Name: "echo.decide", Route: "GET /v1/decide", Scope: op.Public, Allow: op.Anyone, Summary: "Decide",
	Do: func(_ context.Context, _ *op.Tx, in decision) (decision, error) { return in, nil },
}

type decision struct {
	Allow bool `json:"allow"`
}

func TestTheAnswerNoIsAnExitStatusWhereItIsWanted(t *testing.T) {
	s := &shell{Hall: testhall.New(t, testdb.SQLite(t), func(c *op.Config) { c.Operations = append(c.Operations, decided) }), env: map[string]string{}}
	for _, tt := range []struct {
		line string
		exit int
	}{
		{"echo decide --allow", 0}, {"echo decide --no-allow", 0},
		{"echo decide --allow --exit-status", 0}, {"echo decide --no-allow --exit-status", 5},
	} {
		if got := s.run(t, words(tt.line)...); got.exit != tt.exit || !strings.Contains(got.out, `"allow"`) {
			t.Errorf("%s: exit %d, want %d: %s%s", tt.line, got.exit, tt.exit, got.out, got.errors)
		}
	}
}

func TestCancellingIsNoError(t *testing.T) {
	s := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errors bytes.Buffer
	exit := cli.Run(ctx, cli.Config{Operations: s.Service.Operations(), Stderr: &errors, Stdout: &errors, Connect: func(context.Context, cli.Globals) (op.Backend, op.Caller, func() error, error) {
		return s.Service, op.Caller{Credential: s.Ada}, func() error { return nil }, nil
	}}, words("notes list --org acme"))
	if exit != 3 || !strings.Contains(errors.String(), "cancelled") {
		t.Errorf("got exit %d: %s", exit, errors.String())
	}
}

func TestHelp(t *testing.T) {
	s := open(t)
	for name, line := range map[string]string{
		"help.txt": "help", "help-noun.txt": "help notes", "help-create.txt": "notes create --help", "help-remove.txt": "help notes remove",
		"help-exit-codes.txt": "help exit-codes",
	} {
		t.Run(name, func(t *testing.T) {
			got := s.run(t, words(line)...)
			if got.exit != 0 || got.errors != "" {
				t.Errorf("got exit %d: %s", got.exit, got.errors)
			}
			golden(t, name, got.out)
		})
	}
	if all, none := s.run(t, "help"), s.run(t); all != none {
		t.Error("guildhall alone says something else than guildhall help")
	}
	if long, short := s.run(t, "notes", "--help"), s.run(t, "notes"); long != short {
		t.Error("guildhall notes alone says something else than with --help")
	}
}

// golden compares text with a file in testdata; UPDATE=1 rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got); UPDATE=1 rewrites it\n%s", path, diff)
	}
}

func TestBashCompletes(t *testing.T) {
	s := open(t)
	script := s.run(t, "completion", "bash").out
	tests := []struct{ typed, want string }{
		{"guildhall not", "notes"},
		{"guildhall se", "serve"},
		{"guildhall notes cr", "create"},
		{"guildhall notes create --pin", "--pinned"},
		{"guildhall notes get x --no", "--note --no-input"},
		{"guildhall completion f", "fish"},
		{"guildhall a", "api"},
		{"guildhall nothing x", ""},
	}
	for _, tt := range tests {
		t.Run(tt.typed, func(t *testing.T) {
			typed := words(tt.typed)
			complete := script + "COMP_WORDS=(" + tt.typed + "); COMP_CWORD=" + string(rune('0'+len(typed)-1)) + "; _guildhall; echo ${COMPREPLY[*]}"
			out, err := exec.CommandContext(t.Context(), "bash", "-c", complete).CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != tt.want {
				t.Errorf("got %q %v, want %q", out, err, tt.want)
			}
		})
	}
}

func TestOtherShellsComplete(t *testing.T) {
	s := open(t)
	for _, shell := range []string{"zsh", "fish", "powershell"} {
		if got := s.run(t, "completion", shell); got.exit != 0 || !strings.Contains(got.out, "expires-at") || !strings.Contains(got.out, "notes") {
			t.Errorf("%s: exit %d\n%s", shell, got.exit, got.out)
		}
	}
	s.check(t, s.run(t, "completion", "tcsh"), 2, "", "bash|zsh|fish|powershell")
	for _, row := range []string{"    'completion' = 'bash zsh fish powershell'\n", "    'notes' = 'list get ", "    'notes create' = '--text "} {
		if script := s.run(t, "completion", "powershell").out; !strings.Contains(script, row) {
			t.Errorf("PowerShell's table has no %q:\n%s", row, script)
		}
	}
}
