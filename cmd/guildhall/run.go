package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/cmd/guildhall/internal/config"
)

// process is what a run of the program is given.
type process struct {
	args           []string
	environ        []string // "NAME=value"
	stdin          io.Reader
	stdout, stderr io.Writer
}

// exit codes beside those of the operations' errors.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// usageError is an error of whoever typed the command.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// command is one of the server's own commands.
type command struct {
	name, summary string
	run           func(ctx context.Context, p process) error
}

// commands are the server's own commands, in the order of the help.
func commands() []command {
	return []command{
		{"serve", "serve an installation", serve},
		{"demo", "serve the product with made-up people, on this machine", runDemo},
		{"config", "print the configuration that serve would use, and where each value came from", showConfig},
		{"doctor", "read the whole database and list every rule that does not hold", doctor},
		{"charter", "work on a charter file", runCharter},
		{"watch-key", "watch a key die on every server at once", watchKey},
		{"version", "print the version", version},
	}
}

// run is the program: it gives the exit code. Whatever is not a command of the server is one of its users.
func run(ctx context.Context, p process) int {
	name := ""
	if len(p.args) > 0 {
		name = p.args[0]
	}
	if name == "help" && len(p.args) > 1 && ours(p.args[1]) {
		return p.exit(helpOn(p, p.args[1]))
	}
	for _, c := range commands() {
		if c.name != name {
			continue
		}
		p.args = p.args[1:]
		if wantsHelp(p.args) {
			return p.exit(helpOn(p, c.name))
		}
		return p.exit(c.run(ctx, p))
	}
	return operations(ctx, p)
}

func wantsHelp(args []string) bool {
	return len(args) > 0 && (args[0] == "--help" || args[0] == "-h" || args[0] == "help")
}

// exit tells an error and gives the exit code for it.
func (p process) exit(err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(p.stderr, "guildhall: %v\n", err)
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitError
}

// ours reports whether a name is one of the server's own commands.
func ours(name string) bool {
	return slices.ContainsFunc(commands(), func(c command) bool { return c.name == name })
}

// texts are the pages of help of the server's commands.
var texts = map[string]string{
	"serve": `guildhall serve [--config FILE] [--addr HOST:PORT] [--charter NAME|FILE] ...

Serves an installation until it is interrupted. At the first start, on an empty database,
it prints a link for the first owner. guildhall help config lists every setting.
`,
	"demo": `guildhall demo [--charter NAME|FILE] [--addr HOST:PORT] [--data DIR] [--database postgres://...] [--return-to URL] [--config FILE] [--fresh] [--json]

Serves the product with made-up people: two organizations with one member for each role, a
mailbox that catches all mail, and a clock that can be moved. It prints what to open.

  --charter   automation (default), gateway, documents, or a charter file
  --addr      where to listen; default 127.0.0.1:8080, port 0 takes a free one
  --data      the folder with what stays; default ./guildhall-data
  --database  PostgreSQL instead of a file in that folder
  --return-to an address of your product that a sign-in may lead back to; may be said again
  --config    a configuration file, of which the demo reads google_*, github_*, outbound_* and dns_server
  --fresh     forget the data of an earlier demo first
  --json      print one line of JSON for programs
`,
	"doctor": `guildhall doctor [flags of serve]

Reads the whole database and lists every rule that does not hold: owners, roles, invitations,
the audit chain. Exits 1 if there is any.
`,
	"charter": `guildhall charter check CHARTER                    find every mistake
guildhall charter test CHARTER                     run the tests that it carries
guildhall charter show CHARTER                     print the permission matrix
guildhall charter diff BEFORE AFTER                say in words who gains and who loses what; with
                [--data DIR | --database URL]      a database also who and what in it is touched
guildhall charter explain CHARTER ROLE PERMISSION  say why a role may or may not
guildhall charter schema                           print the JSON Schema, for editors

CHARTER is automation, gateway, documents, or the path of a file.
`,
	"watch-key": `GUILDHALL_KEY=... guildhall watch-key [--permission PERMISSION --organization ORGANIZATION] URL...

Asks every server some hundred times a second about a key until all of them refuse it, and prints
when each of them did. Revoke the key meanwhile, anywhere. GUILDHALL_KEY is a service key, which asks;
it is the key that is watched, unless GUILDHALL_WATCHED is another one: a key, token or session of an
organization, which has the permission there. Exits 1 if anything was accepted after all had refused.
`,
	"version": "guildhall version\n\nPrints the version.\n",
}

// helpOn says more about one command.
func helpOn(p process, name string) error {
	if name == "config" {
		return config.Help(p.stdout)
	}
	_, err := fmt.Fprint(p.stdout, texts[name])
	return err
}

// version prints the version that the binary was built from.
func version(_ context.Context, p process) error {
	built := "unknown"
	info, ok := debug.ReadBuildInfo()
	if ok && info.Main.Version != "" {
		built = info.Main.Version
	}
	_, err := fmt.Fprintln(p.stdout, "guildhall", strings.Trim(built, "()"))
	return err
}

// showConfig prints the configuration.
func showConfig(_ context.Context, p process) error {
	loaded, err := config.Load(p.args, p.environ)
	if err != nil {
		return usageError{err}
	}
	return loaded.Show(p.stdout)
}
