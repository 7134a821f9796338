package charter

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Test is one of the charter's own tests: what a role can and cannot do.
type Test struct {
	Role   RoleID
	Can    []Permission
	Cannot []Permission
	// Line and Column are where the test stands in the file.
	Line   int
	Column int
}

// RunTests runs the charter's own tests. The error is Errors, one for each expectation that does not hold.
// Parse runs them too: a charter that fails its own tests does not load.
func (c *Charter) RunTests() error {
	var errs Errors
	for _, t := range c.Tests {
		r, ok := c.byRole[t.Role]
		if !ok {
			continue
		}
		for _, id := range t.Can {
			if !c.Can(r, id) {
				errs = append(errs, c.failed(t, c.lacks(r, id)))
			}
		}
		for _, id := range t.Cannot {
			if c.Can(r, id) {
				errs = append(errs, c.failed(t, c.holdsBy(r, id)))
			}
		}
	}
	return errs.orNil()
}

func (c *Charter) failed(t Test, why string) *Error {
	return &Error{File: c.file, Line: t.Line, Column: t.Column, Text: fmt.Sprintf("the charter's own test fails: %s", why)}
}

func (p *parser) tests(n *yaml.Node) {
	for _, item := range p.list(n) {
		t := Test{Line: item.Line, Column: item.Column}
		seen := p.fields(item, "a test", fields{
			"role": func(n *yaml.Node) {
				if r, ok := p.role(n); ok {
					t.Role = r.ID
				}
			},
			"can":    func(n *yaml.Node) { t.Can = p.tested(n) },
			"cannot": func(n *yaml.Node) { t.Cannot = p.tested(n) },
		})
		if item.Kind == yaml.MappingNode && (!slices.Contains(seen, "role") || len(seen) < 2) {
			p.fail(item, "a test needs a role, and can or cannot")
		}
		p.c.Tests = append(p.c.Tests, t)
	}
}

// tested reads one permission or a list of them; absent ones can be asked for too, and nobody can do them.
func (p *parser) tested(n *yaml.Node) []Permission {
	var ids []Permission
	for _, item := range p.oneOrMore(n) {
		if item.Kind == yaml.ScalarNode && p.c.isAbsent(Permission(item.Value)) {
			ids = append(ids, Permission(item.Value))
			continue
		}
		if id, ok := p.permission(item); ok {
			ids = append(ids, id)
		}
	}
	return ids
}
