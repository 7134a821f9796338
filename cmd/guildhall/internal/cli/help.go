package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/guildhall/guildhall/op"
)

// help answers guildhall help [noun [verb]].
func (a *app) help(about []string) int {
	switch {
	case len(about) == 0:
		a.helpAll(a.Stdout)
		return exitOK
	case about[0] == "exit-codes":
		fmt.Fprint(a.Stdout, exitCodes)
		return exitOK
	}
	return a.run(context.Background(), append(slices.Clone(about), "--help"))
}

const exitCodes = `Exit codes

  0  done
  1  error
  2  wrong use, or input that is not valid
  3  cancelled: nothing was changed
  4  not signed in
  5  denied
  6  not found
  7  conflict
  8  rate limited

An answer of no is an answer: guildhall access explain exits 0 for it, and 5 with --exit-status.
`

// helpAll lists every noun with its verbs.
func (a *app) helpAll(w io.Writer) {
	fmt.Fprint(w, "Guildhall gives a product its organizations.\n\nusage: guildhall <noun> <verb> [arguments]\n")
	if len(a.Others) > 0 {
		fmt.Fprint(w, "\nCommands of this machine\n")
		aligned(w, func(row func(cells ...string)) {
			for _, c := range a.Others {
				row(c.Name, c.Summary)
			}
		})
	}
	fmt.Fprint(w, "\nOperations\n")
	aligned(w, func(row func(cells ...string)) {
		for _, noun := range a.nouns {
			row(noun, strings.Join(verbNames(a.commands[noun]), ", "))
		}
	})
	fmt.Fprint(w, "\nguildhall help <noun>, guildhall <noun> <verb> --help, guildhall help exit-codes,\nguildhall api METHOD PATH, guildhall completion bash|zsh|fish|powershell\n")
}

// helpNoun lists the verbs of a noun.
func (a *app) helpNoun(w io.Writer, noun string) {
	fmt.Fprintf(w, "usage: guildhall %s <verb> [arguments]\n\n", noun)
	aligned(w, func(row func(cells ...string)) {
		for _, c := range a.commands[noun] {
			row(c.verb, c.info.Summary)
		}
	})
}

// helpCommand says everything about one command.
func (a *app) helpCommand(w io.Writer, c *command) {
	fmt.Fprintf(w, "%s\n\nusage: %s\n", c.info.Summary, c.usage())
	if len(c.positional) > 0 {
		fmt.Fprint(w, "\nArguments\n")
		aligned(w, func(row func(cells ...string)) {
			for _, f := range c.positional {
				row("<"+f.flag+">", f.doc+f.note())
			}
		})
	}
	if len(c.flags) > len(c.positional) {
		fmt.Fprint(w, "\nFlags\n")
		aligned(w, func(row func(cells ...string)) {
			for _, f := range c.flags {
				if !c.isPositional(f) {
					row("--"+f.flag+f.placeholder(), f.doc+f.note())
				}
			}
		})
	}
	fmt.Fprint(w, "\nFlags of every command\n")
	aligned(w, func(row func(cells ...string)) {
		for _, g := range globalFlags {
			if (g.name != "dry-run" || c.info.DryRun) && (g.name != "exit-status" || c.answers()) {
				row(g.usage(), g.doc)
			}
		}
	})
	fmt.Fprintf(w, "\nWho may: %s\n", c.info.Allow)
	if asks := questions[c.info.Confirm]; asks != "" {
		fmt.Fprintln(w, asks)
	}
	fmt.Fprintf(w, "As HTTP: %s %s\n", c.info.Method, c.info.Path)
}

// questions say what each confirm level wants.
var questions = map[op.Level]string{
	op.L1: "It asks first; --yes answers.",
	op.L2: "It shows what would happen first; --yes does it.",
	op.L3: "It cannot be undone: --confirm NAME does it.",
}

func (g globalFlag) usage() string {
	text := "--" + g.name
	if g.short != "" {
		text = "-" + g.short + ", " + text
	}
	switch {
	case g.fact != nil && g.value != "":
		text += "[=" + g.value + "]"
	case g.value != "":
		text += " " + g.value
	}
	return text
}

// aligned prints rows of two columns.
func aligned(w io.Writer, rows func(row func(cells ...string))) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	rows(func(cells ...string) { fmt.Fprintf(t, "  %s\n", strings.Join(cells, "\t")) })
	t.Flush()
}
