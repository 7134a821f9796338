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
	// Reads says that it changes nothing, so that a read-only credential keeps it; a bundle reads when all its parts do.
	Reads bool
	// Feature is what a plan has to have for the permission to be held; "": any plan will do. A bundle has none.
	Feature string
}

// Access says what a permission does to what it is about.
type Access string

// What a permission does.
const (
	// ReadAccess looks and changes nothing.
	ReadAccess Access = "read"
	// WriteAccess changes something.
	WriteAccess Access = "write"
)

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
			info.Own, info.Reads = true, readsByVerb(info.ID)
			p.addPermission(info)
			if !slices.Contains(unscoped, info.ID) {
				p.c.explicit = p.c.explicit.With(p.bits - 1)
			}
		}
	}
	if n == nil {
		p.resolve(nil)
		return
	}
	bundles := map[Permission]*yaml.Node{}
	for _, e := range p.mapping(n, "permissions") {
		p.declare(p.permissionEntry(e), bundles)
	}
	if p.bits > MaxPermissions {
		p.fail(n, "there are %d permissions, and %d is the most", p.bits, MaxPermissions)
	}
	p.resolve(bundles)
}

func (p *parser) addPermission(info Info) {
	info.Bit = -1
	if info.Group == "" {
		info.Group = nounOf(info.ID)
	}
	if len(info.Includes) == 0 {
		info.Bit = p.bits
		p.bits++
		p.c.all = p.c.all.With(info.Bit)
	}
	p.c.byID[info.ID] = len(p.c.permissions)
	p.c.permissions = append(p.c.permissions, info)
}

// declared is what one entry of permissions says, with the nodes of what it need not say; nil: it does not.
type declared struct {
	info                      Info
	key                       *yaml.Node
	includes, access, feature *yaml.Node
}

// permissionEntry reads what stands behind a permission's id: a title, or a mapping.
func (p *parser) permissionEntry(e entry) declared {
	d := declared{info: Info{ID: Permission(e.name)}, key: e.key}
	d.info.Reads = readsByVerb(d.info.ID)
	if e.value.Kind != yaml.MappingNode {
		p.title(e.value, &d.info.Title)
		return d
	}
	seen := p.fields(e.value, "permission "+e.name, fields{
		"title":    func(n *yaml.Node) { p.title(n, &d.info.Title) },
		"group":    func(n *yaml.Node) { p.title(n, &d.info.Group) },
		"includes": func(n *yaml.Node) { d.includes = n; p.includes(n, &d.info) },
		"access":   func(n *yaml.Node) { d.access = n; p.access(n, &d.info) },
		"feature":  func(n *yaml.Node) { d.feature = n; d.info.Feature = p.word(n, "feature") },
	})
	p.demand(e, seen, "permission", "title")
	return d
}

func (p *parser) includes(n *yaml.Node, info *Info) {
	for _, item := range p.list(n) {
		info.Includes = append(info.Includes, Permission(item.Value))
	}
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		p.fail(n, "a bundle includes at least one permission")
	}
}

func (p *parser) access(n *yaml.Node, info *Info) {
	var access Access
	choose(p, n, &access, ReadAccess, WriteAccess)
	info.Reads = access == ReadAccess
}

// declare adds what an entry declares: a new permission, a bundle, or another title for one of Guildhall's own.
func (p *parser) declare(d declared, bundles map[Permission]*yaml.Node) {
	info := d.info
	switch i, known := p.c.byID[info.ID]; {
	case slices.Contains(p.c.absent, info.ID):
		p.fail(d.key, "permission %q is declared absent", info.ID)
	case !permissionForm.MatchString(string(info.ID)):
		p.fail(d.key, "permission %q is not noun.verb in lower-case letters, digits and underscores", info.ID)
	case d.includes != nil:
		p.declareBundle(d, known, bundles)
	case known && d.access != nil:
		p.fail(d.access, "%q is one of Guildhall's own permissions, and its access is settled", info.ID)
	case info.ID == everybodys && d.feature != nil:
		p.fail(d.feature, "%q cannot need a feature: every role needs it", info.ID)
	case known:
		retitle(&p.c.permissions[i], info)
		p.needsFeature(d)
	default:
		p.addPermission(info)
		p.needsFeature(d)
	}
}

// needsFeature remembers what a permission needs of a plan until the plans are read.
func (p *parser) needsFeature(d declared) {
	if d.feature != nil {
		p.featured = append(p.featured, d.feature)
	}
}

func (p *parser) declareBundle(d declared, known bool, bundles map[Permission]*yaml.Node) {
	if known {
		p.fail(d.includes, "%q is one of Guildhall's own permissions and cannot be a bundle", d.info.ID)
		return
	}
	for what, n := range map[string]*yaml.Node{"access": d.access, "feature": d.feature} {
		if n != nil {
			p.fail(n, "%q is a bundle; its parts say their %s", d.info.ID, what)
		}
	}
	p.addPermission(d.info)
	bundles[d.info.ID] = d.includes
}

func retitle(info *Info, said Info) {
	info.Title, info.Feature = said.Title, said.Feature
	if said.Group != "" {
		info.Group = said.Group
	}
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
	p.resolveReads()
}

// resolveReads gathers the permissions that read; a bundle is one when all its parts are.
func (p *parser) resolveReads() {
	for _, info := range p.c.permissions {
		if info.Reads {
			p.c.reads = p.c.reads.With(info.Bit)
		}
	}
	for i, info := range p.c.permissions {
		if info.Bit < 0 {
			p.c.permissions[i].Reads = p.c.needs[info.ID].SubsetOf(p.c.reads)
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
