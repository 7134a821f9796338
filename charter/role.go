package charter

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// RoleID names a role, such as "editor": lower-case letters, digits and underscores, a letter first, at most 40.
type RoleID string

// Role is a named set of permissions.
type Role struct {
	ID          RoleID
	Title       string
	Description string
	// Rank orders roles on a page, the lowest is 0. Rights never compare by rank, but by what is held.
	Rank int
	// Holds is every permission of the role, those of the role that it extends included.
	Holds Set
	// Owner says that it is the owner role: the last one, which holds everything.
	Owner bool

	extends *Role
	all     bool
	grants  []Permission
}

// Can reports whether the role holds a permission, or all parts of a bundle. What is not in the charter nobody can.
func (c *Charter) Can(r *Role, p Permission) bool {
	need, ok := c.Need(p)
	return ok && need.SubsetOf(r.Holds)
}

func (p *parser) roles(n *yaml.Node) {
	before := len(p.errs)
	entries := p.mapping(n, "roles")
	for _, e := range entries {
		r := p.roleEntry(e)
		r.Rank = len(p.c.roles)
		p.c.roles = append(p.c.roles, r)
		p.c.byRole[r.ID] = r
	}
	if len(p.errs) > before {
		return
	}
	if len(entries) < 2 {
		p.fail(n, "at least two roles are needed: the owner role and one below it")
		return
	}
	p.c.OwnerRole().Owner = true
	p.checkRoles(entries)
}

func (p *parser) roleEntry(e entry) *Role {
	r := &Role{ID: RoleID(p.word(e.key, "role"))}
	seen := p.fields(e.value, "role "+e.name, fields{
		"title":       func(n *yaml.Node) { p.title(n, &r.Title) },
		"description": func(n *yaml.Node) { p.title(n, &r.Description) },
		"extends":     func(n *yaml.Node) { r.extends = p.earlierRole(n) },
		"grants":      func(n *yaml.Node) { p.grants(n, r) },
	})
	p.demand(e, seen, "role", "title")
	r.Holds = p.holds(r)
	return r
}

func (p *parser) earlierRole(n *yaml.Node) *Role {
	text, ok := p.text(n)
	if !ok {
		return nil
	}
	r, known := p.c.byRole[RoleID(text)]
	if !known {
		p.fail(n, "no earlier role is called %q%s", text, p.didYouMean(text, p.c.roleWords()))
	}
	return r
}

func (p *parser) grants(n *yaml.Node, r *Role) {
	if n.Kind == yaml.ScalarNode && n.Value == "all" {
		r.all = true
		return
	}
	if n.Kind != yaml.SequenceNode {
		p.fail(n, "grants must be all or a list of permissions, not %s", kindOf(n))
		return
	}
	r.grants = p.permissionList(n)
}

// holds computes what a role holds; roles that it extends are done before it.
func (p *parser) holds(r *Role) Set {
	if r.all {
		return p.c.all
	}
	var holds Set
	if r.extends != nil {
		holds = r.extends.Holds
	}
	for _, id := range r.grants {
		holds = holds.Union(p.c.needs[id])
	}
	return holds
}

// checkRoles checks what has to be true of all roles: each sees the organization, and the last holds everything.
func (p *parser) checkRoles(entries []entry) {
	for i, r := range p.c.roles {
		if !p.c.Can(r, everybodys) {
			p.fail(entries[i].key, "role %q does not hold %q, which every role needs", r.ID, everybodys)
		}
	}
	owner := p.c.OwnerRole()
	if lacks := p.c.IDs(p.c.all.Minus(owner.Holds)); len(lacks) > 0 {
		p.fail(entries[len(entries)-1].key, "role %q is the last and so the owner role, but lacks %s; write grants: all", owner.ID, join(lacks))
	}
}

// role reads the id of a role of the charter.
func (p *parser) role(n *yaml.Node) (*Role, bool) {
	text, ok := p.text(n)
	if !ok {
		return nil, false
	}
	r, known := p.c.byRole[RoleID(text)]
	if !known {
		p.fail(n, "unknown role %q%s", text, p.didYouMean(text, p.c.roleWords()))
	}
	return r, known
}

// roleWords returns the ids of the charter's roles as words for error texts.
func (c *Charter) roleWords() []string {
	words := make([]string, len(c.roles))
	for i, r := range c.roles {
		words[i] = string(r.ID)
	}
	return words
}

// rolesWith returns the ids of the roles that hold a permission, lowest rank first.
func (c *Charter) rolesWith(p Permission) []RoleID {
	var ids []RoleID
	for _, r := range c.roles {
		if c.Can(r, p) {
			ids = append(ids, r.ID)
		}
	}
	return slices.Clip(ids)
}

// join writes ids as a list for people: "a, b, c".
func join[T ~string](ids []T) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = string(id)
	}
	return strings.Join(words, ", ")
}
