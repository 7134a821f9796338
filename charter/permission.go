package charter

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Permission names something that can be allowed: noun.verb, such as "workflows.run".
// Noun and verb are lower-case letters, digits and underscores, a letter first, at most 40 each.
type Permission string

var permissionForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}\.[a-z][a-z0-9_]{0,39}$`)

// Info is what a charter says of one permission.
type Info struct {
	ID    Permission
	Title string
	// Group is the heading that the permission stands under; unsaid: its noun.
	Group string
	// Includes are the parts of a bundle, as the charter lists them; empty for a permission.
	Includes []Permission
	// Bit is the permission's place in a Set; -1 for a bundle.
	Bit int
	// Own says that it is one of Guildhall's own and not the product's.
	Own bool
}

// absent reads which of Guildhall's own permissions do not exist in the charter.
func (p *parser) absent(n *yaml.Node) {
	for _, item := range p.list(n) {
		text, ok := p.text(item)
		id := Permission(text)
		switch {
		case !ok:
		case !isOwn(id):
			p.fail(item, "%q is not one of Guildhall's own permissions%s", text, p.didYouMean(text, ownIDs()))
		case id == everybodys:
			p.fail(item, "%q cannot be absent: every role needs it", text)
		case slices.Contains(p.c.absent, id):
			p.fail(item, "%q is listed twice", text)
		default:
			p.c.absent = append(p.c.absent, id)
		}
	}
}

// permissions gathers Guildhall's own permissions and the file's, and gives each its bit. The node may be nil.
func (p *parser) permissions(n *yaml.Node) {
	for _, info := range own {
		if !slices.Contains(p.c.absent, info.ID) {
			info.Own = true
			p.addPermission(info)
		}
	}
	if n == nil {
		p.resolve(nil)
		return
	}
	bundles := map[Permission]*yaml.Node{}
	for _, e := range p.mapping(n, "permissions") {
		p.declare(e, bundles)
	}
	if p.bits > MaxPermissions {
		p.fail(n, "there are %d permissions, and %d is the most", p.bits, MaxPermissions)
	}
	p.resolve(bundles)
}

func (p *parser) addPermission(info Info) {
	info.Bit = -1
	if len(info.Includes) == 0 {
		info.Bit = p.bits
		p.bits++
		p.c.all = p.c.all.With(info.Bit)
	}
	p.c.byID[info.ID] = len(p.c.permissions)
	p.c.permissions = append(p.c.permissions, info)
}

// declare reads one entry of permissions: a new permission, a bundle, or another title for one of Guildhall's own.
func (p *parser) declare(e entry, bundles map[Permission]*yaml.Node) {
	info, includes := p.permissionEntry(e)
	switch i, known := p.c.byID[info.ID]; {
	case slices.Contains(p.c.absent, info.ID):
		p.fail(e.key, "permission %q is declared absent", info.ID)
	case !permissionForm.MatchString(string(info.ID)):
		p.fail(e.key, "permission %q is not noun.verb in lower-case letters, digits and underscores", info.ID)
	case known && includes != nil:
		p.fail(includes, "%q is one of Guildhall's own permissions and cannot be a bundle", info.ID)
	case known:
		retitle(&p.c.permissions[i], info)
	default:
		if info.Group == "" {
			info.Group = nounOf(info.ID)
		}
		p.addPermission(info)
		if includes != nil {
			bundles[info.ID] = includes
		}
	}
}

func retitle(info *Info, said Info) {
	info.Title = said.Title
	if said.Group != "" {
		info.Group = said.Group
	}
}

// permissionEntry reads what stands behind a permission's id: a title, or a mapping. The node is its includes, if it has some.
func (p *parser) permissionEntry(e entry) (Info, *yaml.Node) {
	info := Info{ID: Permission(e.name)}
	if e.value.Kind != yaml.MappingNode {
		p.title(e.value, &info.Title)
		return info, nil
	}
	var includes *yaml.Node
	seen := p.fields(e.value, "permission "+e.name, fields{
		"title": func(n *yaml.Node) { p.title(n, &info.Title) },
		"group": func(n *yaml.Node) { p.title(n, &info.Group) },
		"includes": func(n *yaml.Node) {
			includes = n
			for _, item := range p.list(n) {
				info.Includes = append(info.Includes, Permission(item.Value))
			}
			if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
				p.fail(n, "a bundle includes at least one permission")
			}
		},
	})
	p.demand(e, seen, "permission", "title")
	return info, includes
}

// nounOf makes a heading of a permission's noun: "mcp_servers.register" stands under "Mcp servers".
func nounOf(id Permission) string {
	noun, _, _ := strings.Cut(string(id), ".")
	noun = strings.ReplaceAll(noun, "_", " ")
	return strings.ToUpper(noun[:1]) + noun[1:]
}

// resolve fills in what each permission needs, once all are known.
func (p *parser) resolve(bundles map[Permission]*yaml.Node) {
	for _, info := range p.c.permissions {
		if info.Bit >= 0 {
			p.c.needs[info.ID] = Set{}.With(info.Bit)
		}
	}
	for _, info := range p.c.permissions {
		if n := bundles[info.ID]; n != nil {
			p.permissionList(n)
		}
	}
	for _, info := range p.c.permissions {
		if info.Bit < 0 {
			p.needOf(info, bundles, nil)
		}
	}
}

// needOf returns what a permission needs, remembers it, and reports a bundle that includes itself.
func (p *parser) needOf(info Info, bundles map[Permission]*yaml.Node, path []Permission) Set {
	if need, done := p.c.needs[info.ID]; done {
		return need
	}
	if slices.Contains(path, info.ID) {
		p.fail(bundles[info.ID], "bundle %q includes itself", info.ID)
		p.c.needs[info.ID] = Set{}
		return Set{}
	}
	var need Set
	for _, part := range info.Includes {
		if i, ok := p.c.byID[part]; ok {
			need = need.Union(p.needOf(p.c.permissions[i], bundles, append(path, info.ID)))
		}
	}
	p.c.needs[info.ID] = need
	return need
}

// permissionList reads a list of different permissions of the charter.
func (p *parser) permissionList(n *yaml.Node) []Permission {
	var ids []Permission
	for _, item := range p.list(n) {
		id, ok := p.permission(item)
		if !ok {
			continue
		}
		if slices.Contains(ids, id) {
			p.fail(item, "permission %q is listed twice", id)
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// permission reads the id of a permission or bundle of the charter.
func (p *parser) permission(n *yaml.Node) (Permission, bool) {
	text, ok := p.text(n)
	if !ok {
		return "", false
	}
	id := Permission(text)
	if slices.Contains(p.c.absent, id) {
		p.fail(n, "permission %q is declared absent", id)
		return "", false
	}
	if _, known := p.c.byID[id]; !known {
		p.fail(n, "unknown permission %q%s", id, p.didYouMean(text, p.c.permissionWords()))
		return "", false
	}
	return id, true
}

// permissionWords returns the ids of the charter's permissions as words for error texts.
func (c *Charter) permissionWords() []string {
	words := make([]string, len(c.permissions))
	for i, info := range c.permissions {
		words[i] = string(info.ID)
	}
	return words
}
