// Package cli makes the operations of Guildhall into commands: guildhall <noun> <verb>. Names, arguments, flags, help,
// completion and questions all follow from the table of operations; no command is written by hand.
package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/mattn/go-isatty"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/client"
	"github.com/guildhall/guildhall/op"
)

// Exit codes beside those of op.ErrorKind.
const (
	exitOK        = 0
	exitError     = 1
	exitUsage     = 2
	exitCancelled = 3
)

// Config is what the command line is made of.
type Config struct {
	Operations []op.Any
	// Connect opens the database that --data names, as the operator at this machine. Calls with --server go to that
	// server instead. Nil: only --server works.
	Connect        func(ctx context.Context, g Globals) (b op.Backend, c op.Caller, closeIt func() error, err error)
	Others         []Command // commands that are no operations, such as serve: for help and completion
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Env            func(name string) string
	Now            func() time.Time // nil: time.Now
	// Terminal says whether a stream is a terminal; nil looks.
	Terminal func(stream any) bool
}

// Command is a command that is no operation.
type Command struct{ Name, Summary string }

// Globals are the flags that every command has.
type Globals struct {
	Server         string // --server, GUILDHALL_SERVER
	Data           string // --data, GUILDHALL_DATA
	Organization   string // --org, GUILDHALL_ORG
	Confirm        string
	IfMatch        string
	IdempotencyKey string
	Fields         string // of --json=FIELDS
	TokenFile      string
	Input          string // of guildhall api: a file, or - for standard input
	JSON, Yes      bool
	NoInput        bool
	DryRun         bool
	TokenStdin     bool
	ExitStatus     bool
	Quiet          bool
	Help           bool
}

// app is one run of the command line.
type app struct {
	Config
	nouns    []string // in the order of the table
	commands map[string][]*command
	globals  Globals
}

// Run runs one command and gives the exit code: 0 done, 1 error, 2 wrong use, 3 cancelled, 4 not signed in, 5 denied,
// 6 not found, 7 conflict, 8 rate limited. Standard output is data, everything else goes to standard error.
func Run(ctx context.Context, c Config, args []string) int {
	a := newApp(c)
	if len(args) == 0 {
		a.helpAll(c.Stdout)
		return exitOK
	}
	switch args[0] {
	case "help", "--help", "-h":
		return a.help(args[1:])
	case "completion":
		return a.completion(args[1:])
	}
	return a.run(ctx, args)
}

func newApp(c Config) *app {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Env == nil {
		c.Env = func(string) string { return "" }
	}
	if c.Terminal == nil {
		c.Terminal = isTerminal
	}
	a := &app{Config: c, commands: map[string][]*command{}}
	registry := op.NewRegistry()
	for _, o := range c.Operations {
		command := newCommand(registry, o)
		if len(a.commands[command.noun]) == 0 {
			a.nouns = append(a.nouns, command.noun)
		}
		a.commands[command.noun] = append(a.commands[command.noun], command)
	}
	return a
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// run finds the command of the arguments and does it.
func (a *app) run(ctx context.Context, args []string) int {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		var err error
		if args, err = a.flag(&command{}, values{}, args[0], args[1:]); err != nil {
			return a.misuse("%v", err)
		}
	}
	words, rest := leadingWords(args)
	if len(words) == 0 {
		a.helpAll(a.Stdout)
		return exitOK
	}
	noun := dashed(words[0])
	if noun == "api" {
		return a.api(ctx, args[1:])
	}
	verbs, known := a.commands[noun]
	if !known {
		return a.misuse("unknown command %q%s", words[0], suggestion(noun, a.firstWords()))
	}
	if len(words) == 1 {
		if len(rest) > 0 && (rest[0] == "--help" || rest[0] == "-h") || len(args) == 1 {
			a.helpNoun(a.Stdout, noun)
			return exitOK
		}
		return a.misuse("%s needs a verb: %s", noun, strings.Join(verbNames(verbs), ", "))
	}
	i := slices.IndexFunc(verbs, func(c *command) bool { return c.verb == dashed(words[1]) })
	if i < 0 {
		return a.misuse("%s has no %q%s; it has %s", noun, words[1], suggestion(dashed(words[1]), verbNames(verbs)), strings.Join(verbNames(verbs), ", "))
	}
	return a.do(ctx, verbs[i], args[2:])
}

// leadingWords are at most the two first arguments, as far as they are no flags.
func leadingWords(args []string) (words, rest []string) {
	for len(words) < 2 && len(words) < len(args) && !strings.HasPrefix(args[len(words)], "-") {
		words = append(words, args[len(words)])
	}
	return words, args[len(words):]
}

// dashed is how the command line writes a name: preview-removal for preview_removal.
func dashed(name string) string { return strings.ReplaceAll(name, "_", "-") }

func (a *app) firstWords() []string {
	words := append(slices.Clone(a.nouns), "api", "help", "completion")
	for _, other := range a.Others {
		words = append(words, other.Name)
	}
	return words
}

func verbNames(commands []*command) []string {
	var names []string
	for _, c := range commands {
		names = append(names, c.verb)
	}
	return names
}

func suggestion(word string, among []string) string {
	if near := charter.Nearest(word, among); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ""
}

// misuse says what is wrong with the command itself.
func (a *app) misuse(format string, args ...any) int {
	fmt.Fprintf(a.Stderr, "guildhall: "+format+"\n", args...)
	return exitUsage
}

// do reads the arguments of a command, asks what has to be asked, calls it and shows the answer.
func (a *app) do(ctx context.Context, c *command, args []string) int {
	input, err := a.parse(c, args)
	if a.globals.Help {
		a.helpCommand(a.Stdout, c)
		return exitOK
	}
	if err != nil {
		a.misuse("%v", err)
		fmt.Fprintf(a.Stderr, "usage: %s\n", c.usage())
		return exitUsage
	}
	backend, caller, closeIt, err := a.connect(ctx)
	if err != nil {
		return a.misuse("%v", err)
	}
	defer func() {
		if err := closeIt(); err != nil {
			fmt.Fprintf(a.Stderr, "guildhall: %v\n", err)
		}
	}()
	if err := a.findOrganization(ctx, backend, caller, c, input); err != nil {
		return a.failed(ctx, op.Request{}, err)
	}
	request := op.Request{Caller: caller, Input: input, DryRun: a.globals.DryRun, IfMatch: a.globals.IfMatch, IdempotencyKey: a.globals.IdempotencyKey}
	if ok, code := a.confirm(ctx, backend, c, request); !ok {
		return code
	}
	return a.call(ctx, backend, c, request)
}

// connect gives who runs the operations, and as whom.
func (a *app) connect(ctx context.Context) (op.Backend, op.Caller, func() error, error) {
	g := &a.globals
	if g.Data == "" {
		g.Server = cmp.Or(g.Server, a.Env("GUILDHALL_SERVER"))
	}
	if g.Server != "" && g.Data != "" {
		return nil, op.Caller{}, nil, fmt.Errorf("--server and --data exclude each other")
	}
	if g.Server != "" {
		token, err := a.token()
		agent := client.Agent("guildhall-cli")
		return client.New(g.Server, token, agent), op.Caller{}, func() error { return nil }, err
	}
	g.Data = cmp.Or(g.Data, a.Env("GUILDHALL_DATA"))
	if a.Connect == nil {
		return nil, op.Caller{}, nil, fmt.Errorf("say which server: --server URL, or GUILDHALL_SERVER")
	}
	return a.Connect(ctx, *g)
}

// token reads the credential: never from a flag, which other people at the machine could see.
func (a *app) token() (string, error) {
	g := a.globals
	switch {
	case g.TokenStdin || g.TokenFile == "-":
		line, err := readLine(a.Stdin)
		if err != nil || line == "" {
			return "", fmt.Errorf("no token on standard input")
		}
		return line, nil
	case g.TokenFile != "":
		file, err := os.Open(g.TokenFile)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		defer file.Close()
		line, err := readLine(file)
		if err != nil || line == "" {
			return "", fmt.Errorf("--token-file: %s has no token in its first line", g.TokenFile)
		}
		return line, nil
	}
	return a.Env("GUILDHALL_TOKEN"), nil
}

// streamer is a backend that has streams: the service of this process and the client of another one.
type streamer interface {
	Stream(ctx context.Context, o op.Any, r op.Request, begin func(op.Info) io.Writer) error
}

// call runs the operation and shows its answer.
func (a *app) call(ctx context.Context, b op.Backend, c *command, r op.Request) int {
	if c.info.MediaType != "" {
		s, ok := b.(streamer)
		if !ok {
			return a.misuse("%s %s does not work here", c.noun, c.verb)
		}
		return a.failed(ctx, r, s.Stream(ctx, c.op, r, func(op.Info) io.Writer { return a.Stdout }))
	}
	if c.info.Upload {
		r.Content = &op.Content{Body: a.Stdin, Size: -1}
	}
	response, err := b.Invoke(ctx, c.op, r)
	if err != nil {
		return a.failed(ctx, r, err)
	}
	if response.Replayed {
		a.note("this is the answer of an earlier call with the same key")
	}
	if err := a.show(a.Stdout, c, response.Output); err != nil {
		fmt.Fprintf(a.Stderr, "guildhall: %v\n", err)
		return exitError
	}
	if a.globals.ExitStatus && !allowed(response.Output) {
		return op.Denied.Exit()
	}
	return exitOK
}

// allowed reports whether an answer says yes.
func allowed(output any) bool {
	var answer struct {
		Allow bool `json:"allow"`
	}
	raw, err := json.Marshal(output)
	return err == nil && json.Unmarshal(raw, &answer) == nil && answer.Allow
}

// note tells people something beside the data.
func (a *app) note(format string, args ...any) {
	if !a.globals.Quiet {
		fmt.Fprintf(a.Stderr, format+"\n", args...)
	}
}
