// Package charter is the product model: what the organizations of one product may do.
//
// A charter is one YAML file with permissions, roles, rules, routes, plans, meters and regions.
// Parse reads it, checks it, runs the tests that it carries, and compiles it to bit sets,
// so that nothing reads YAML while a request waits. Three are ready-made: automation, gateway
// and documents. What differs between products is data here and never an if anywhere else.
package charter

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
)

// Charter is one compiled charter. It does not change after Parse, so any number of goroutines may use it;
// its exported fields, and the slices, maps and pointers that they and its methods give, are read-only.
type Charter struct {
	// Name is the charter's short name: the file's name field, else the file's base name.
	Name string
	// Product is what people call the product; never empty.
	Product string
	// KeyPrefix begins every API key: "gld" makes gld_live_...; 2 to 8 lower-case letters and digits.
	KeyPrefix string
	// Currency is the ISO 4217 code of every price in the file; USD unless said.
	Currency string
	// Rules are the rules of organizations, owners, keys and invitations, defaults filled in.
	Rules Rules
	// Regions are where work can run and data can stay, the default first; empty if the product has none.
	Regions []string
	// Resources names, for a type of resource, the permissions that can be limited to single ones of it.
	Resources map[string][]Permission
	// Routes are the product's requests and what they need, in the order of the file; Match finds the one for a request.
	Routes []Route
	// Meters are what is counted, in the order of the file.
	Meters []Meter
	// Artifacts says of stored files what is counted.
	Artifacts Artifacts
	// Features are what plans unlock, as the charter describes them, in the order of the file.
	Features []Feature
	// Plans are what is sold, in the order of the file; a new organization gets the first.
	// Without any plan nothing is limited and every feature is there.
	Plans []Plan
	// Links are addresses shown to people, by name: documentation, support, priority_support, status, terms, privacy.
	Links map[string]string
	// Policies are the texts of the security policies page, by heading:
	// data_handling, retention, residency, compliance, sub_processors.
	Policies map[string]string
	// Tests are the charter's own tests; all of them hold, else it would not have loaded.
	Tests []Test

	file        string
	hash        string
	permissions []Info
	byID        map[Permission]int
	needs       map[Permission]Set
	absent      []Permission
	all         Set
	reads       Set
	explicit    Set
	featured    Set
	locked      map[string]Set
	routes      map[string]*segment
	roles       []*Role
	byRole      map[RoleID]*Role
	types       map[Permission][]string
}

//go:embed charters/*.yaml
var readyMade embed.FS

// Names returns the names of the ready-made charters.
func Names() []string {
	return []string{"automation", "documents", "gateway"}
}

// Ready returns a ready-made charter by its name. Each call compiles it anew.
func Ready(name string) (*Charter, error) {
	src := Source(name)
	if src == nil {
		return nil, fmt.Errorf("unknown charter %q%s", name, didYouMean(name, Names()))
	}
	return Parse(name+".yaml", src)
}

// Source returns the YAML text of a ready-made charter, and nil for any other name.
func Source(name string) []byte {
	if !slices.Contains(Names(), name) {
		return nil
	}
	src, err := readyMade.ReadFile("charters/" + name + ".yaml")
	if err != nil {
		return nil
	}
	return src
}

//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema (2020-12) of charter files, for editors. Parse checks more than it can say.
func Schema() []byte {
	return slices.Clone(schema)
}

// Load reads and compiles the charter in a file. Its error is that of reading, or Errors.
func Load(path string) (*Charter, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// One byte more than is allowed is enough for Parse to refuse it.
	src, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, src)
}

// Permissions returns every permission in charter order: Guildhall's own, then the product's, bundles among them.
func (c *Charter) Permissions() []Info {
	return slices.Clone(c.permissions)
}

// Info returns what the charter says of a permission; false: it is not in this charter.
func (c *Charter) Info(p Permission) (Info, bool) {
	i, ok := c.byID[p]
	if !ok {
		return Info{}, false
	}
	return c.permissions[i], true
}

// Need returns what has to be held for a permission to be held: the permission itself, or all parts of a bundle,
// their parts included. False: the permission is not in this charter, and the answer to asking for it is no.
func (c *Charter) Need(p Permission) (Set, bool) {
	need, ok := c.needs[p]
	return need, ok
}

// IDs returns the permissions of a set in charter order; bundles are given as their parts.
func (c *Charter) IDs(s Set) []Permission {
	ids := make([]Permission, 0, s.Len())
	for _, info := range c.permissions {
		if s.Has(info.Bit) {
			ids = append(ids, info.ID)
		}
	}
	return ids
}

// Absent returns those of Guildhall's own permissions that do not exist in this charter.
func (c *Charter) Absent() []Permission {
	return slices.Clone(c.absent)
}

// All returns every permission of the charter.
func (c *Charter) All() Set {
	return c.all
}

// Reads returns the permissions that change nothing: the most that a read-only credential holds.
func (c *Charter) Reads() Set {
	return c.reads
}

// Explicit returns the permissions that a key holds only when its scopes name them: those of Guildhall's own that
// administer the organization. A key without scopes has none of them, whatever is behind it.
func (c *Charter) Explicit() Set {
	return c.explicit
}

// SetOf returns the permissions of a list as a set, bundles as their parts, and those that are not in this charter.
func (c *Charter) SetOf(ids []Permission) (set Set, unknown []Permission) {
	for _, id := range ids {
		need, ok := c.needs[id]
		if !ok {
			unknown = append(unknown, id)
		}
		set = set.Union(need)
	}
	return set, unknown
}

// Roles returns the roles, lowest rank first; the last is the owner role.
func (c *Charter) Roles() []*Role {
	return slices.Clone(c.roles)
}

// Role returns a role by its id; false: the charter has none of that id.
func (c *Charter) Role(id RoleID) (*Role, bool) {
	r, ok := c.byRole[id]
	return r, ok
}

// OwnerRole returns the role that owns an organization: the last one, which holds everything.
func (c *Charter) OwnerRole() *Role {
	return c.roles[len(c.roles)-1]
}

// Hash returns the SHA-256 of the charter's source in hex.
func (c *Charter) Hash() string {
	return c.hash
}

// hashOf returns the SHA-256 of a source in hex.
func hashOf(src []byte) string {
	sum := sha256.Sum256(src)
	return hex.EncodeToString(sum[:])
}

// ResourceTypes are the types of resource that a permission can be limited to single ones of, in the order of the file;
// none for one that is about the organization as a whole only.
func (c *Charter) ResourceTypes(p Permission) []string { return c.types[p] }
