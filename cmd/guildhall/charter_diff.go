package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/cmd/guildhall/internal/cli"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/demo"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

const diffUsage = "BEFORE AFTER [--data DIR | --database URL]"

// diffArgs are the arguments of charter diff.
type diffArgs struct {
	before, after  *charter.Charter
	data, database string
}

func parseDiff(args []string) (diffArgs, error) {
	var d diffArgs
	flags := flag.NewFlagSet("diff", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&d.data, "data", "", "")
	flags.StringVar(&d.database, "database", "", "")
	var named []string
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return d, usagef("charter diff: %v%s", err, nearestFlag(flags, err))
		}
		if args = flags.Args(); len(args) > 0 {
			named, args = append(named, args[0]), args[1:]
		}
	}
	if len(named) != 2 || d.data != "" && d.database != "" {
		return d, usagef("want: guildhall charter diff %s", diffUsage)
	}
	var err, other error
	d.before, err = loadCharter(named[0])
	d.after, other = loadCharter(named[1])
	return d, errors.Join(err, other)
}

// diffCharters says in words what changes, and what the change does to the data of an installation. A change that the
// data forbids is an error.
func diffCharters(ctx context.Context, p process) error {
	d, err := parseDiff(p.args)
	if err != nil {
		return err
	}
	lines := charter.Diff(d.before, d.after)
	if len(lines) == 0 {
		lines = []string{"nothing changes that decides who may do what"}
	}
	if _, err := fmt.Fprintln(p.stdout, strings.Join(lines, "\n")); err != nil || d.data+d.database == "" {
		return err
	}
	touches, err := d.touched(ctx)
	if err != nil {
		return err
	}
	return tell(p.stdout, touches)
}

// touched asks the database what the change does to it. A server that runs on it is not in the way.
func (d diffArgs) touched(ctx context.Context) (touches directory.Touches, err error) {
	c := op.Config{Charter: d.before}
	if d.data != "" {
		d.database = "sqlite:" + filepath.Join(d.data, databaseFile)
		if demo.Owns(d.data) {
			if c.Now, err = demo.Clock(d.data); err != nil {
				return touches, err
			}
		}
	}
	if c.DB, err = sqldb.OpenBeside(ctx, d.database); err != nil {
		return touches, err
	}
	service, err := op.New(c)
	if err == nil {
		err = service.Snapshot(ctx, func(r *op.Reader) error {
			touches, err = directory.Touched(ctx, r, d.before, d.after)
			return err
		})
	}
	return touches, errors.Join(err, c.DB.Close())
}

// tell prints what is touched, a line for each kind of thing in each organization. What forbids the change is its error.
func tell(w io.Writer, t directory.Touches) error {
	var lines []string
	for _, group := range []struct {
		one, many string
		touched   []directory.Touch
	}{
		{"member", "members", t.Members}, {"service account", "service accounts", t.ServiceAccounts}, {"invitation", "invitations", t.Invitations},
		{"role of its own", "roles of its own", t.Roles}, {"key", "keys", t.Keys}, {"token", "tokens", t.Tokens},
	} {
		for _, touch := range group.touched {
			noun := group.many
			if touch.Count == 1 {
				noun = group.one
			}
			lines = append(lines, fmt.Sprintf("%s: %d %s: %s: %s", touch.Organization, touch.Count, noun, touch.Text, namesOf(touch)))
		}
	}
	if len(lines) == 0 {
		lines = []string{"nobody and nothing in the data is touched"}
	}
	if _, err := fmt.Fprintf(w, "\nIn the data\n%s\n", strings.Join(lines, "\n")); err != nil {
		return err
	}
	return refusal(t.Refused)
}

// namesOf are the first names of what is touched.
func namesOf(t directory.Touch) string {
	names := make([]string, len(t.Named))
	for i, one := range t.Named {
		names[i] = cli.Printable(one.Name)
	}
	text := strings.Join(names, ", ")
	if more := t.Count - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// refusal lists what in the data forbids a change; nil: nothing does.
func refusal(forbidden []directory.Touch) error {
	if len(forbidden) == 0 {
		return nil
	}
	lines := []string{"the data forbids this change"}
	for _, touch := range forbidden {
		lines = append(lines, fmt.Sprintf("  %s: %s: %s", touch.Organization, touch.Text, namesOf(touch)))
	}
	return errors.New(strings.Join(lines, "\n"))
}
