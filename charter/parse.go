package charter

import (
	"bytes"
	"errors"
	"io"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxSize is the greatest size of a charter file in bytes.
const MaxSize = 1 << 20

// maxDepth is how deep a charter can nest; a right one needs less than half of it.
const maxDepth = 16

// Parse reads, checks and compiles a charter and runs the tests that it carries. The file is its name in errors and,
// without a name field, in Charter.Name. The error is Errors with every mistake found, and no charter then.
func Parse(file string, src []byte) (*Charter, error) {
	p := &parser{c: &Charter{
		Name:     strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)),
		Currency: "USD",
		file:     file,
		hash:     hashOf(src),
		byID:     map[Permission]int{},
		needs:    map[Permission]Set{},
		byRole:   map[RoleID]*Role{},
	}}
	if root := p.document(src); root != nil {
		p.charter(root)
	}
	if err := p.errs.orNil(); err != nil {
		return nil, err
	}
	if err := p.c.RunTests(); err != nil {
		return nil, err
	}
	return p.c, nil
}

// document reads the YAML and returns its one document, or nil after recording why not.
func (p *parser) document(src []byte) *yaml.Node {
	start := &yaml.Node{Line: 1, Column: 1}
	if len(src) > MaxSize {
		p.fail(start, "the file is larger than %d bytes", MaxSize)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc, second yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		p.fail(start, "the file is empty")
		return nil
	case err != nil:
		p.syntax(err)
		return nil
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		p.fail(start, "the file has more than one YAML document")
		return nil
	}
	if len(doc.Content) != 1 || !p.plain(doc.Content[0], 1) {
		return nil
	}
	return doc.Content[0]
}

var syntaxForm = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// syntax records an error of the YAML reader, which knows lines but not columns.
func (p *parser) syntax(err error) {
	at, text := &yaml.Node{Line: 1, Column: 1}, err.Error()
	if m := syntaxForm.FindStringSubmatch(text); m != nil {
		text = m[2]
		if line, err := strconv.Atoi(m[1]); err == nil {
			at.Line = line
		}
	}
	p.fail(at, "not YAML: %s", text)
}

// plain reports whether a tree is free of anchors and aliases, which can make a small file huge, and not too deep.
func (p *parser) plain(n *yaml.Node, depth int) bool {
	switch {
	case depth > maxDepth:
		p.fail(n, "nested deeper than %d levels", maxDepth)
		return false
	case n.Kind == yaml.AliasNode:
		p.fail(n, "the alias *%s; a charter has no anchors and aliases", n.Value)
		return false
	case n.Anchor != "":
		p.fail(n, "the anchor &%s; a charter has no anchors and aliases", n.Anchor)
		return false
	}
	for _, child := range n.Content {
		if !p.plain(child, depth+1) {
			return false
		}
	}
	return true
}

// charter reads the parts in the order in which they need each other, whatever their order in the file.
func (p *parser) charter(root *yaml.Node) {
	parts := []struct {
		name string
		read func(*yaml.Node)
	}{
		{"name", func(n *yaml.Node) { p.c.Name = p.word(n, "name") }},
		{"product", func(n *yaml.Node) { p.title(n, &p.c.Product) }},
		{"key_prefix", p.keyPrefix},
		{"currency", p.currency},
		{"absent", p.absent},
		{"permissions", p.permissions},
		{"roles", p.roles},
		{"rules", p.rules},
		{"resources", p.resources},
		{"routes", p.routes},
		{"regions", p.regions},
		{"meters", p.meters},
		{"artifacts", p.artifacts},
		{"features", p.featureList},
		{"plans", p.plans},
		{"links", p.links},
		{"policies", p.policies},
		{"tests", p.tests},
	}
	nodes, gather := map[string]*yaml.Node{}, fields{}
	for _, part := range parts {
		gather[part.name] = func(n *yaml.Node) { nodes[part.name] = n }
	}
	seen := p.fields(root, "the charter", gather)
	p.demand(entry{name: p.c.Name, key: root, value: root}, seen, "charter", "product", "key_prefix", "roles")
	for _, part := range parts {
		if n := nodes[part.name]; n != nil || part.name == "permissions" || part.name == "rules" {
			part.read(n)
		}
	}
	p.features()
}

var keyPrefixForm = regexp.MustCompile(`^[a-z0-9]{2,8}$`)

func (p *parser) keyPrefix(n *yaml.Node) {
	text, ok := p.text(n)
	if !ok {
		return
	}
	if !keyPrefixForm.MatchString(text) {
		p.fail(n, "key_prefix %q is not 2 to 8 lower-case letters and digits", text)
		return
	}
	p.c.KeyPrefix = text
}

func (p *parser) resources(n *yaml.Node) {
	p.c.Resources, p.c.types = map[string][]Permission{}, map[Permission][]string{}
	for _, e := range p.mapping(n, "resources") {
		kind := p.word(e.key, "resource")
		p.c.Resources[kind] = p.permissionList(e.value)
		for _, id := range p.c.Resources[kind] {
			p.c.types[id] = append(p.c.types[id], kind)
		}
		for _, item := range e.value.Content {
			if info, ok := p.c.Info(Permission(item.Value)); ok && info.Bit < 0 {
				p.fail(item, "%q is a bundle; name its parts", info.ID)
			}
		}
	}
}

var regionForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func (p *parser) regions(n *yaml.Node) {
	for _, item := range p.list(n) {
		region, ok := p.text(item)
		switch {
		case !ok:
		case !regionForm.MatchString(region) || len(region) > 40:
			p.fail(item, "region %q is not lower-case letters, digits and single hyphens, at most 40", region)
		case slices.Contains(p.c.Regions, region):
			p.fail(item, "region %q is listed twice", region)
		default:
			p.c.Regions = append(p.c.Regions, region)
		}
	}
}

// links reads addresses by name. They are shown to people, so only schemes that open a page or a mail are let in.
func (p *parser) links(n *yaml.Node) {
	p.c.Links = p.named(n, "links", []string{"documentation", "support", "priority_support", "status", "terms", "privacy"}, func(n *yaml.Node, text string) {
		u, err := url.Parse(text)
		web := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
		mail := err == nil && u.Scheme == "mailto" && u.Opaque != ""
		if !web && !mail {
			p.fail(n, "link %q is not an address that begins with https://, http:// or mailto:", text)
		}
	})
}

func (p *parser) policies(n *yaml.Node) {
	headings := []string{"data_handling", "retention", "residency", "compliance", "sub_processors"}
	p.c.Policies = p.named(n, "policies", headings, func(*yaml.Node, string) {})
}

// named reads a mapping of known names to texts.
func (p *parser) named(n *yaml.Node, what string, names []string, check func(*yaml.Node, string)) map[string]string {
	texts, known := map[string]string{}, fields{}
	for _, name := range names {
		known[name] = func(n *yaml.Node) {
			if text, ok := p.text(n); ok {
				check(n, text)
				texts[name] = text
			}
		}
	}
	p.fields(n, what, known)
	return texts
}
