package federation

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// UpdateConnectionInput says what to change; what is left out stays.
type UpdateConnectionInput struct {
	ConnectionInput
	Name         *string         `json:"name,omitzero" doc:"What people call it" minLength:"1" maxLength:"80" required:"false" example:"Okta"`
	ClientSecret *string         `json:"client_secret,omitzero" doc:"Another client secret" minLength:"1" maxLength:"1000" required:"false"`
	Role         *charter.RoleID `json:"role,omitzero" doc:"The role of people whom nobody invited and whose groups give none; empty: they cannot join" maxLength:"64" required:"false"`
	Domains      []string        `json:"domains,omitzero" doc:"The verified domains that are this connection's alone, all of them; empty: all that no other connection names" maxItems:"100" required:"false"`
	Mapping      *Mapping        `json:"mapping,omitzero" doc:"Which claim or attribute says what, all of it" required:"false"`
	GroupRoles   []GroupRole     `json:"group_roles,omitzero" doc:"Which group gives which role, all of it: the first that is one of somebody's counts" maxItems:"200" required:"false"`
	Guests       *bool           `json:"guests,omitzero" doc:"Whether members whose address is at no organization's domain may be linked and sign in here" required:"false"`
	Rollout      *string         `json:"rollout,omitzero" doc:"Whom an address leads there while it is on" enum:"everyone,pilot" required:"false"`
	Pilot        []string        `json:"pilot,omitzero" doc:"The addresses of the pilot, all of them" maxItems:"500" required:"false"`
	PilotGroups  []string        `json:"pilot_groups,omitzero" doc:"The groups of directories that are the pilot beside them, by id, all of them: directories.groups lists them" maxItems:"100" required:"false"`
	On           *bool           `json:"on,omitzero" doc:"Whether it signs people in; only after a test has gone well, and with a verified domain" required:"false"`
}

// Validate checks what needs no data.
func (in UpdateConnectionInput) Validate() []op.FieldError {
	var wrong []op.FieldError
	if in.Mapping != nil {
		wrong = in.Mapping.check()
	}
	wrong = append(wrong, checkGroups(in.GroupRoles)...)
	for i, email := range in.Pilot {
		if _, err := directory.ParseAddress(email); err != nil {
			wrong = append(wrong, op.FieldError{Pointer: "/pilot/" + strconv.Itoa(i), Code: "invalid", Detail: err.Error()})
		}
	}
	return wrong
}

// UpdateConnection changes a connection, or switches it on and off. With another secret it has to be tested again. Sessions
// that it began end when it is off.
var UpdateConnection = &op.Op[UpdateConnectionInput, Connection]{
	Name:    "connections.update",
	Route:   "PATCH /v1/organizations/{organization}/connections/{connection}",
	Summary: "Change an identity provider, or switch it on or off",
	Kind:    op.Access,
	Allow:   op.On("sso.configure"),
	Feature: feature,
	Confirm: op.L2,
	Fresh:   true,
	Target: func(ctx context.Context, r *op.Reader, in UpdateConnectionInput) (op.Target, error) {
		return connectionTarget(ctx, r, in.ConnectionInput)
	},
	Fences:  func(UpdateConnectionInput, op.Target) []op.Fence { return nil }, // of the sessions that end
	Do:      updateConnection,
	Example: UpdateConnectionInput{ConnectionInput: exampleConnection, Name: new("Okta")},
}

func updateConnection(ctx context.Context, tx *op.Tx, in UpdateConnectionInput) (Connection, error) {
	c := tx.Target().Value.(shownConnection)
	was := c
	for _, step := range []func(context.Context, *op.Tx, *shownConnection) error{in.settings, in.writeDomains, in.writeGroups, in.writePilot, in.writePilotGroups, in.switches} {
		if err := step(ctx, tx, &c); err != nil {
			return Connection{}, err
		}
	}
	if was.state != On && c.state == On {
		if err := endLinks(ctx, tx, c.id, "switched_on"); err != nil {
			return Connection{}, err
		}
	}
	if was.state == On && was.rollout == Everyone && (c.state != On || c.rollout != Everyone) {
		if err := keepEnforced(ctx, tx.Reader, c.id); err != nil {
			return Connection{}, err
		}
	}
	if was.state == On && c.state != On {
		if _, err := credential.EndBegunBy(ctx, tx, tx.Organization(), c.id); err != nil {
			return Connection{}, err
		}
		if _, err := directory.ReleaseManaged(ctx, tx, c.id); err != nil { // it gives nobody a role any more
			return Connection{}, err
		}
	}
	c.version++
	_, err := tx.Exec(ctx, `UPDATE connections SET name = $3, client_secret = $4, state = $5, role = $6, version = $7, rollout = $8, guests = $9,
			map_address = $10, map_name = $11, map_subject = $12, map_groups = $13 WHERE organization = $1 AND id = $2`,
		tx.Organization(), c.id, c.name, c.sealed, c.state, c.role, c.version, c.rollout, c.guests, c.mapping.Address, c.mapping.Name, c.mapping.Subject, c.mapping.Groups)
	return c.show(tx.Reader), connectionTaken(err)
}

// settings changes what is the connection's own.
func (in UpdateConnectionInput) settings(ctx context.Context, tx *op.Tx, c *shownConnection) error {
	was := c.connectionRow
	if in.Name != nil {
		c.name = strings.TrimSpace(*in.Name)
	}
	if in.ClientSecret != nil {
		c.sealed, c.state = tx.Secrets.Seal(sealPurpose+c.id, []byte(*in.ClientSecret)), Draft
		tx.Changed("client_secret", false, true)
	}
	if in.Role != nil && *in.Role != was.roleID() {
		if *in.Role != "" {
			if _, err := givable(ctx, tx, string(*in.Role)); err != nil {
				return err
			}
		}
		c.role = string(*in.Role)
		tx.Changed("role", was.role, c.role)
	}
	if in.Guests != nil && *in.Guests != was.guests {
		c.guests = *in.Guests
		tx.Changed("guests", was.guests, c.guests)
	}
	if in.Rollout != nil && *in.Rollout != was.rollout {
		c.rollout = *in.Rollout
		tx.Changed("rollout", was.rollout, c.rollout)
	}
	if in.Mapping == nil {
		return nil
	}
	return c.remap(ctx, tx, *in.Mapping)
}

func (c connectionRow) roleID() charter.RoleID { return charter.RoleID(c.role) }

// remap says what the provider's answers mean. Whoever is known by something else from now on has to be tested again.
func (c *connectionRow) remap(ctx context.Context, tx *op.Tx, m Mapping) error {
	was := c.mapping
	if m == was {
		return nil
	}
	c.mapping = m
	tx.Changed("mapping", was.String(), m.String())
	if m.Subject == was.Subject {
		return nil
	}
	c.state = Draft
	return c.unlinked(ctx, tx)
}

// unlinked refuses to know people by something else whom the provider has named already: they would be strangers, or somebody else.
func (c connectionRow) unlinked(ctx context.Context, tx *op.Tx) error {
	var linked int64
	err := tx.QueryRow(ctx, "SELECT count(*) FROM identities i WHERE i.organization = $1 AND i.connection = $2", c.organization, c.id).Scan(&linked)
	if err == nil && linked > 0 {
		err = op.Errorf(op.Conflict, "people_linked", "%d people are known by what the provider calls them now: make another connection to know them by something else", linked)
	}
	return err
}

// writeDomains says which domains are the connection's alone.
func (in UpdateConnectionInput) writeDomains(ctx context.Context, tx *op.Tx, c *shownConnection) error {
	if in.Domains == nil {
		return nil
	}
	wanted, err := in.verified(ctx, tx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM connection_domains WHERE organization = $1 AND connection = $2", tx.Organization(), c.id); err != nil {
		return err
	}
	was := c.domains
	if c.domains = slices.Sorted(slices.Values(wanted)); !slices.Equal(was, c.domains) {
		tx.Changed("domains", was, c.domains)
	}
	if len(wanted) == 0 {
		return nil
	}
	names, args := sqldb.Placeholders(3, wanted)
	_, err = tx.Exec(ctx, "INSERT INTO connection_domains (organization, connection, domain) SELECT d.organization, $2, d.id FROM domains d WHERE d.organization = $1 AND d.domain IN ("+names+")",
		append([]any{tx.Organization(), c.id}, args...)...)
	if _, taken := sqldb.Conflict(err); taken {
		return op.Errorf(op.Conflict, "domain_named", "one of these domains is another connection's: take it away there first")
	}
	return err
}

// verified are the domains that the input names, each of which the organization has verified.
func (in UpdateConnectionInput) verified(ctx context.Context, tx *op.Tx) ([]string, error) {
	var wanted []string
	for _, d := range in.Domains {
		folded, err := directory.FoldDomain(d)
		if err != nil {
			folded = d
		}
		if !slices.Contains(wanted, folded) {
			wanted = append(wanted, folded)
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	names, args := sqldb.Placeholders(2, wanted)
	rows, err := tx.Query(ctx, "SELECT d.domain FROM domains d WHERE d.organization = $1 AND d.state = 'verified' AND d.domain IN ("+names+")", append([]any{tx.Organization()}, args...)...)
	if err != nil {
		return nil, err
	}
	found, err := texts(rows)
	for i, d := range wanted {
		if err == nil && !slices.Contains(found, d) {
			err = op.InvalidField("domains/"+strconv.Itoa(i), "not_verified", "%q is no verified domain of this organization", d)
		}
	}
	return wanted, err
}

// switches switches the connection on or off.
func (in UpdateConnectionInput) switches(ctx context.Context, tx *op.Tx, c *shownConnection) error {
	was := tx.Target().Value.(shownConnection).state
	switch {
	case in.On == nil:
	case !*in.On && c.state == On:
		c.state = Tested
	case *in.On:
		if err := c.canBeOn(ctx, tx); err != nil {
			return err
		}
		c.state = On
	}
	if c.state != was {
		tx.Changed("state", was, c.state)
	}
	return nil
}

// canBeOn refuses to switch on what was not tested, and what no domain leads to.
func (c shownConnection) canBeOn(ctx context.Context, tx *op.Tx) error {
	if c.state == Draft {
		return op.Errorf(op.Conflict, "not_tested", "test this connection first: nobody knows yet whether it can sign anybody in")
	}
	var domains int64
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM domains d WHERE d.organization = $1 AND d.state = 'verified' AND "+ofConnection, tx.Organization(), c.id).Scan(&domains); err != nil {
		return err
	}
	if domains == 0 {
		return op.Errorf(op.Conflict, "no_domain", "a verified domain has to be this connection's first: a provider speaks for nobody else")
	}
	return nil
}

// DeleteConnection ends a connection, and the sessions that it began. People sign in in another way; members stay.
var DeleteConnection = &op.Op[ConnectionInput, Connection]{
	Name:    "connections.delete",
	Route:   "DELETE /v1/organizations/{organization}/connections/{connection}",
	Summary: "Delete an identity provider: people sign in in another way, members stay",
	Kind:    op.Access,
	Allow:   op.On("sso.configure"),
	Confirm: op.L3,
	Fresh:   true,
	Target:  connectionTarget,
	Fences:  func(ConnectionInput, op.Target) []op.Fence { return nil }, // of the sessions that end
	Do: func(ctx context.Context, tx *op.Tx, _ ConnectionInput) (Connection, error) {
		c := tx.Target().Value.(shownConnection)
		if c.state == On && c.rollout == Everyone {
			if err := keepEnforced(ctx, tx.Reader, c.id); err != nil {
				return Connection{}, err
			}
		}
		if _, err := credential.EndBegunBy(ctx, tx, tx.Organization(), c.id); err != nil {
			return Connection{}, err
		}
		if _, err := directory.ReleaseManaged(ctx, tx, c.id); err != nil {
			return Connection{}, err
		}
		if err := endLinks(ctx, tx, c.id, "deleted"); err != nil {
			return Connection{}, err
		}
		for _, table := range []string{"DELETE FROM identities WHERE organization = $1 AND connection = $2", "DELETE FROM federated_attempts WHERE organization = $1 AND connection = $2",
			"DELETE FROM connections WHERE organization = $1 AND id = $2"} { // the rest goes with it
			if _, err := tx.Exec(ctx, table, tx.Organization(), c.id); err != nil {
				return Connection{}, err
			}
		}
		return c.show(tx.Reader), nil
	},
	Example: exampleConnection,
}
