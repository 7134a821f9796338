package api

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// Table lists every operation with what matters for its safety, one a line: the text that people review when it
// changes.
func Table(s *op.Service) string {
	return columns("operation\troute\tkind\tscope\tallow\tfeature\tconfirm\tfresh", func(row func(format string, args ...any)) {
		for _, o := range s.Operations() {
			i := o.Info()
			row("%s\t%s %s\t%s\t%s\t%s\t%s\tL%d\t%s", i.Name, i.Method, i.Path, i.Kind, i.Scope, i.Allow, cmp.Or(i.Feature, "-"), i.Confirm, yes(i.Fresh))
		}
	})
}

// Permissions lists every permission of the charter, the roles that hold it and the operations that ask for it.
func Permissions(s *op.Service) string {
	c := s.Charter()
	return columns("permission\troles\toperations", func(row func(format string, args ...any)) {
		for _, info := range c.Permissions() {
			row("%s\t%s\t%s", info.ID, dash(holders(c, info.ID)), dash(askers(s, info.ID)))
		}
	})
}

func holders(c *charter.Charter, p charter.Permission) []string {
	var roles []string
	for _, role := range c.Roles() {
		if c.Can(role, p) {
			roles = append(roles, string(role.ID))
		}
	}
	return roles
}

func askers(s *op.Service, p charter.Permission) []string {
	var names []string
	for _, o := range s.Operations() {
		for _, asked := range o.Info().Allow.Permissions() {
			if asked == p {
				names = append(names, o.Info().Name)
			}
		}
	}
	return names
}

func columns(head string, rows func(row func(format string, args ...any))) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	rows(func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) })
	w.Flush()
	lines := strings.Split(text.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

func dash(names []string) string {
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ", ")
}

func yes(fact bool) string {
	if fact {
		return "yes"
	}
	return "-"
}
