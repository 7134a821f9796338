package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/charter"
)

// charterVerb is a command on charter files.
type charterVerb struct {
	arguments string // as its usage says them
	run       func(ctx context.Context, p process) error
}

// charterVerbs are the commands on charter files. None of them needs a server.
func charterVerbs() map[string]charterVerb {
	return map[string]charterVerb{
		"check":   {"CHARTER", checkCharter},
		"test":    {"CHARTER", testCharter},
		"show":    {"CHARTER", showCharter},
		"diff":    {diffUsage, diffCharters},
		"explain": {"CHARTER ROLE PERMISSION", explainCharter},
		"schema":  {"", charterSchema},
	}
}

// runCharter dispatches the commands on charter files.
func runCharter(ctx context.Context, p process) error {
	if len(p.args) == 0 {
		return usagef("charter what? check, test, show, diff, explain or schema")
	}
	name := p.args[0]
	verb, ok := charterVerbs()[name]
	if !ok {
		return usagef("unknown command charter %q: check, test, show, diff, explain or schema", name)
	}
	p.args = p.args[1:]
	if name != "diff" && len(p.args) != len(strings.Fields(verb.arguments)) {
		return usagef("want: guildhall charter %s", strings.TrimSpace(name+" "+verb.arguments))
	}
	return verb.run(ctx, p)
}

// loadCharter reads a ready-made charter by its name, or a file.
func loadCharter(named string) (*charter.Charter, error) {
	if slices.Contains(charter.Names(), named) {
		return charter.Ready(named)
	}
	c, err := charter.Load(named)
	if os.IsNotExist(err) && !strings.ContainsAny(named, "/.") {
		return charter.Ready(named) // for its error, which knows the names
	}
	return c, err
}

func checkCharter(_ context.Context, p process) error {
	c, err := loadCharter(p.args[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s: %d permissions, %d roles, %d tests: all in order\n", c.Product, len(c.Permissions()), len(c.Roles()), len(c.Tests))
	return nil
}

func testCharter(_ context.Context, p process) error {
	c, err := loadCharter(p.args[0])
	if err != nil {
		return err // a charter that fails its own tests does not load
	}
	for _, t := range c.Tests {
		if len(t.Can) > 0 {
			fmt.Fprintf(p.stdout, "ok   %s can %s\n", t.Role, list(t.Can))
		}
		if len(t.Cannot) > 0 {
			fmt.Fprintf(p.stdout, "ok   %s cannot %s\n", t.Role, list(t.Cannot))
		}
	}
	fmt.Fprintf(p.stdout, "%d tests passed\n", len(c.Tests))
	return nil
}

func list(permissions []charter.Permission) string {
	words := make([]string, len(permissions))
	for i, p := range permissions {
		words[i] = string(p)
	}
	return strings.Join(words, ", ")
}

func showCharter(_ context.Context, p process) error {
	c, err := loadCharter(p.args[0])
	if err != nil {
		return err
	}
	return c.Show(p.stdout)
}

func explainCharter(_ context.Context, p process) error {
	c, err := loadCharter(p.args[0])
	if err != nil {
		return err
	}
	text, err := c.Explain(charter.RoleID(p.args[1]), charter.Permission(p.args[2]))
	if err != nil {
		return usageError{err}
	}
	_, err = fmt.Fprintln(p.stdout, text)
	return err
}

func charterSchema(_ context.Context, p process) error {
	_, err := p.stdout.Write(charter.Schema())
	return err
}
