package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/charter"
)

// runCharter dispatches the commands on charter files. None of them needs a server.
func runCharter(_ context.Context, p process) error {
	verbs := map[string]struct {
		arguments string
		run       func(p process) error
	}{
		"check":   {"CHARTER", checkCharter},
		"test":    {"CHARTER", testCharter},
		"show":    {"CHARTER", showCharter},
		"diff":    {"BEFORE AFTER", diffCharters},
		"explain": {"CHARTER ROLE PERMISSION", explainCharter},
		"schema":  {"", charterSchema},
	}
	if len(p.args) == 0 {
		return usagef("charter what? check, test, show, diff, explain or schema")
	}
	verb, ok := verbs[p.args[0]]
	if !ok {
		return usagef("unknown command charter %q: check, test, show, diff, explain or schema", p.args[0])
	}
	name := p.args[0]
	p.args = p.args[1:]
	if len(p.args) != len(strings.Fields(verb.arguments)) {
		return usagef("want: guildhall charter %s", strings.TrimSpace(name+" "+verb.arguments))
	}
	return verb.run(p)
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

func checkCharter(p process) error {
	c, err := loadCharter(p.args[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s: %d permissions, %d roles, %d tests: all in order\n", c.Product, len(c.Permissions()), len(c.Roles()), len(c.Tests))
	return nil
}

func testCharter(p process) error {
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

func showCharter(p process) error {
	c, err := loadCharter(p.args[0])
	if err != nil {
		return err
	}
	return c.Show(p.stdout)
}

func diffCharters(p process) error {
	before, err := loadCharter(p.args[0])
	if err != nil {
		return err
	}
	after, err := loadCharter(p.args[1])
	if err != nil {
		return err
	}
	lines := charter.Diff(before, after)
	if len(lines) == 0 {
		lines = []string{"nothing changes that decides who may do what"}
	}
	_, err = fmt.Fprintln(p.stdout, strings.Join(lines, "\n"))
	return err
}

func explainCharter(p process) error {
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

func charterSchema(p process) error {
	_, err := p.stdout.Write(charter.Schema())
	return err
}
