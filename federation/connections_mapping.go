package federation

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// Mapping says which claim or attribute of a provider's answer says what. A name with dots that is none itself leads into what
// is nested: realm_access.roles.
type Mapping struct {
	Address string `json:"address,omitzero" doc:"What says the person's address" maxLength:"200" required:"false" example:"email"`
	Name    string `json:"name,omitzero" doc:"What says what the person is called" maxLength:"200" required:"false" example:"name"`
	Subject string `json:"subject,omitzero" doc:"What says for good who the person is; it cannot be changed once somebody has signed in" maxLength:"200" required:"false" example:"oid"`
	Groups  string `json:"groups,omitzero" doc:"What says the person's groups" maxLength:"200" required:"false" example:"groups"`
}

// GroupRole says which role a group gives.
type GroupRole struct {
	Group string         `json:"group" doc:"The group, letter by letter as the provider says it" minLength:"1" maxLength:"256" example:"Engineering"`
	Role  charter.RoleID `json:"role" doc:"The role; you may give only what you hold, and nobody becomes an owner" minLength:"1" maxLength:"64" example:"editor"`
}

// usual are the names under which providers of a kind say things, by default. What is not here is said by the protocol itself.
var usual = map[string]map[string][]string{
	"oidc": {"address": {"email"}, "name": {"name"}, "subject": {"sub"}, "groups": {"groups"}},
	"saml": {"groups": {"groups", "memberOf", "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups", "http://schemas.xmlsoap.org/claims/Group"}},
}

// Usual says under which name providers of a kind say a field of the mapping (address, name, subject, groups), as long as
// nothing else is set; empty: it comes with the protocol.
func Usual(kind, field string) string {
	names := usual[kind][field]
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// passing are claims that say somebody's name or address of now, which the next person may have. T-061
var passing = []string{"email", "mail", "upn", "userprincipalname", "preferred_username", "unique_name", "username", "login", "name", "nickname", "displayname", "given_name", "family_name",
	"phone_number", "emailaddress", "samaccountname"}

func (m Mapping) check() []op.FieldError {
	last := strings.ToLower(m.Subject[strings.LastIndexAny(m.Subject, "./:")+1:])
	if slices.Contains(passing, last) || m.Subject != "" && (m.Subject == m.Address || m.Subject == m.Name || m.Subject == m.Groups) {
		return []op.FieldError{{Pointer: "/mapping/subject", Code: "not_lasting", Detail: fmt.Sprintf("%q is a name or an address, which somebody else may have tomorrow: choose what never changes, such as sub or oid", m.Subject)}}
	}
	return nil
}

func checkGroups(all []GroupRole) []op.FieldError {
	for i, g := range all {
		if slices.ContainsFunc(all[:i], func(other GroupRole) bool { return other.Group == g.Group }) {
			return []op.FieldError{{Pointer: fmt.Sprintf("/group_roles/%d/group", i), Code: "repeated", Detail: fmt.Sprintf("the group %q stands in the mapping twice", g.Group)}}
		}
	}
	return nil
}

// read is what an answer says by the mapping, and the groups in it.
func (c connectionRow) read(said claims) (claims, []string) {
	m := c.mapping
	if m.Address != "" {
		said.Email = claimText(said.raw, m.Address)
		if m.Address != Usual(c.kind, "address") {
			said.Verified = nil // that is said of another one
		}
	}
	if m.Name != "" {
		said.Name = claimText(said.raw, m.Name)
	}
	if m.Subject != "" {
		said.Subject = claimText(said.raw, m.Subject)
	}
	if m.Groups != "" {
		return said, claimTexts(said.raw, m.Groups)
	}
	for _, name := range usual[c.kind]["groups"] {
		if groups := claimTexts(said.raw, name); len(groups) > 0 {
			return said, groups
		}
	}
	return said, nil
}

// claimAt finds what an answer says under a name.
func claimAt(raw map[string]any, name string) any {
	if v, ok := raw[name]; ok {
		return v
	}
	head, rest, nested := strings.Cut(name, ".")
	if inner, ok := raw[head].(map[string]any); ok && nested {
		return claimAt(inner, rest)
	}
	return nil
}

// claimText is what an answer says under a name as one text; empty: nothing of that kind.
func claimText(raw map[string]any, name string) string {
	all := claimTexts(raw, name)
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

func claimTexts(raw map[string]any, name string) []string {
	var all []string
	switch v := claimAt(raw, name).(type) {
	case string:
		all = []string{v}
	case []string:
		all = v
	case []any:
		for _, one := range v {
			if text, ok := one.(string); ok {
				all = append(all, text)
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return strings.TrimSpace(s) == "" })
}

// given is the role that somebody gets by their groups, else the connection's.
type given struct {
	role  charter.RoleID
	group string // which gives it; empty: none does
}

// gives finds the first group in the mapping that is one of somebody's.
func gives(mapping []GroupRole, groups []string, otherwise charter.RoleID) given {
	for _, m := range mapping {
		if slices.Contains(groups, m.Group) {
			return given{role: m.Role, group: m.Group}
		}
	}
	return given{role: otherwise}
}

func (c connectionRow) groupRoles(ctx context.Context, r *op.Reader) ([]GroupRole, error) {
	rows, err := r.Query(ctx, "SELECT g.group_name, g.role FROM connection_roles g WHERE g.organization = $1 AND g.connection = $2 ORDER BY g.place", c.organization, c.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []GroupRole{}
	for rows.Next() {
		var g GroupRole
		if err := rows.Scan(&g.Group, &g.Role); err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, rows.Err()
}

// writeGroups says which group gives which role. What is new has to be within what the actor holds, and so has what is taken.
// T-013
func (in UpdateConnectionInput) writeGroups(ctx context.Context, tx *op.Tx, c *shownConnection) error {
	if in.GroupRoles == nil {
		return nil
	}
	was, err := c.groupRoles(ctx, tx.Reader)
	if err != nil || slices.Equal(was, in.GroupRoles) {
		return err
	}
	if err := mayGive(ctx, tx, was, in.GroupRoles); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM connection_roles WHERE organization = $1 AND connection = $2", tx.Organization(), c.id); err != nil {
		return err
	}
	tx.Changed("group_roles", pairs(was), pairs(in.GroupRoles))
	if len(in.GroupRoles) == 0 { // people decide about roles again
		_, err := directory.ReleaseManaged(ctx, tx, c.id)
		return err
	}
	args := []any{tx.Organization(), c.id}
	rows := make([]string, len(in.GroupRoles))
	for i, g := range in.GroupRoles {
		args = append(args, i, g.Group, string(g.Role))
		rows[i] = fmt.Sprintf("($1, $2, $%d, $%d, $%d)", len(args)-2, len(args)-1, len(args))
	}
	_, err = tx.Exec(ctx, "INSERT INTO connection_roles (organization, connection, place, group_name, role) VALUES "+strings.Join(rows, ", "), args...)
	return err
}

// pairs are the mapping for the log.
func pairs(all []GroupRole) []string {
	text := make([]string, len(all))
	for i, g := range all {
		text[i] = g.Group + " = " + string(g.Role)
	}
	return text
}

// mayGive refuses a change of roles of which the actor holds less. A role that is gone may be taken away by anybody.
func mayGive(ctx context.Context, tx *op.Tx, was, wanted []GroupRole) error {
	asked := map[charter.RoleID]bool{}
	for i, g := range wanted {
		if slices.Contains(was, g) || asked[g.Role] {
			continue
		}
		asked[g.Role] = true
		if _, err := givable(ctx, tx, string(g.Role)); err != nil {
			return atField(err, fmt.Sprintf("/group_roles/%d/role", i))
		}
	}
	for _, g := range was {
		if slices.Contains(wanted, g) || asked[g.Role] {
			continue
		}
		asked[g.Role] = true
		if _, err := givable(ctx, tx, string(g.Role)); err != nil && op.AsError(err).Kind != op.Invalid {
			return err
		}
	}
	return nil
}

// atField says of which field an error about one is.
func atField(err error, pointer string) error {
	e := op.AsError(err)
	if e.Kind != op.Invalid || len(e.Fields) != 1 {
		return err
	}
	moved := *e
	moved.Fields = []op.FieldError{{Pointer: pointer, Code: e.Fields[0].Code, Detail: e.Fields[0].Detail}}
	return &moved
}

// texts reads rows of one text.
func texts(rows *sql.Rows) ([]string, error) {
	defer rows.Close()
	all := []string{}
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

// String is the mapping for the log.
func (m Mapping) String() string {
	var set []string
	for _, f := range [][2]string{{"address", m.Address}, {"name", m.Name}, {"subject", m.Subject}, {"groups", m.Groups}} {
		if f[1] != "" {
			set = append(set, f[0]+" = "+f[1])
		}
	}
	return strings.Join(set, ", ")
}
