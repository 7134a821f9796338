package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/op"
)

// confirm climbs the ladder: L1 asks, or needs --yes; L2 shows the dry run and needs --yes; L3 needs --confirm with the
// name of what is meant. Without ok the exit code says why.
func (a *app) confirm(ctx context.Context, b op.Backend, c *command, r op.Request) (ok bool, exit int) {
	if r.DryRun || c.info.Kind == op.Read {
		return true, exitOK
	}
	switch c.info.Confirm {
	case op.L1:
		return a.ask(c, r)
	case op.L2:
		if a.globals.Yes {
			return true, exitOK
		}
		return a.stop(ctx, b, c, r, "nothing was changed: repeat it with --yes")
	case op.L3:
		return a.named(ctx, b, c, r)
	}
	return true, exitOK
}

// ask asks a person; where there is none, --yes has to be said beforehand.
func (a *app) ask(c *command, r op.Request) (bool, int) {
	if a.globals.Yes {
		return true, exitOK
	}
	if a.globals.NoInput || !a.Terminal(a.Stdin) || !a.Terminal(a.Stderr) {
		fmt.Fprintf(a.Stderr, "guildhall: %s %s needs --yes\n", c.noun, c.verb)
		return false, exitUsage
	}
	fmt.Fprintf(a.Stderr, "%s: %s\nGo on? [y/N] ", c.info.Summary, strings.Join(meant(c, r), ", "))
	answer, _ := readLine(a.Stdin)
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer == "y" || answer == "yes" {
		return true, exitOK
	}
	fmt.Fprintln(a.Stderr, "cancelled: nothing was changed")
	return false, exitCancelled
}

// named wants the name of what is meant once more: one of those that the command names.
func (a *app) named(ctx context.Context, b op.Backend, c *command, r op.Request) (bool, int) {
	names := meant(c, r)
	if a.globals.Confirm != "" && slices.Contains(names, a.globals.Confirm) {
		return true, exitOK
	}
	return a.stop(ctx, b, c, r, "this cannot be undone. Nothing was changed: repeat it with --confirm "+names[0])
}

// meant are the names of what the command acts on, the nearest first.
func meant(c *command, r op.Request) []string {
	in, _ := r.Input.(values)
	var names []string
	for _, f := range slices.Backward(c.positional) {
		names = append(names, fmt.Sprint(in[f.name]))
	}
	if name, ok := in[organization].(string); ok {
		names = append(names, name)
	}
	if len(names) == 0 {
		names = append(names, c.noun)
	}
	return names
}

// stop shows what would happen, where the operation can say it, and does nothing.
func (a *app) stop(ctx context.Context, b op.Backend, c *command, r op.Request, why string) (bool, int) {
	if c.info.DryRun {
		r.DryRun = true
		response, err := b.Invoke(ctx, c.op, r)
		if err != nil {
			return false, a.failed(ctx, r, err)
		}
		if err := a.show(a.Stderr, c, response.Output); err != nil {
			fmt.Fprintf(a.Stderr, "guildhall: %v\n", err)
			return false, exitError
		}
	}
	fmt.Fprintf(a.Stderr, "%s: %s\n", c.info.Summary, why)
	return false, exitCancelled
}
