package directory

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// Me is the signed-in person, or the credential itself where it is a key or a token.
type Me struct {
	Kind          op.ActorKind         `json:"kind" doc:"What the credential is: user for a session, key, token, service_key" example:"user"`
	ID            string               `json:"id" doc:"Id of the user, key, token or service key"`
	Name          string               `json:"name,omitzero" doc:"What the key or token is called"`
	User          *User                `json:"user,omitzero" doc:"The person, of a session"`
	OnBehalfOf    string               `json:"on_behalf_of,omitzero" doc:"Of a key or token that acts for a person: the user's id"`
	Organizations []Belonging          `json:"organizations" doc:"The organizations that the person belongs to, of a session"`
	Organization  *OwnOrganization     `json:"organization,omitzero" doc:"The one organization that a key or token is for"`
	Permissions   []charter.Permission `json:"permissions,omitzero" doc:"What the key or token may do there now"`
	Resources     []string             `json:"resources,omitempty" doc:"The single resources that the key or token is limited to; absent: any"`
	ReadOnly      bool                 `json:"read_only,omitzero" doc:"Whether the key or token only reads"`
	ExpiresAt     *time.Time           `json:"expires_at,omitzero" doc:"When the credential ends"`
}

// OwnOrganization is the organization of a key or token.
type OwnOrganization struct {
	ID     string `json:"id" doc:"Its id" example:"org_01k..."`
	Slug   string `json:"slug" doc:"Its name in addresses" example:"acme"`
	Name   string `json:"name" doc:"Its name as people read it" example:"Acme"`
	Region string `json:"region,omitzero" doc:"Where work runs unless told otherwise, and where data must stay"`
	Plan   string `json:"plan,omitzero" doc:"The plan; empty where the product has none"`
}

// ETag is the user's version.
func (m Me) ETag() string {
	if m.User == nil {
		return ""
	}
	return op.VersionTag(m.User.Version)
}

// Belonging is one organization of a person.
type Belonging struct {
	ID           string     `json:"id" doc:"The organization's id"`
	Slug         string     `json:"slug"`
	Name         string     `json:"name"`
	Member       string     `json:"member" doc:"The person's member id there"`
	Role         string     `json:"role"`
	RoleTitle    string     `json:"role_title"`
	Status       string     `json:"status" enum:"active,suspended" doc:"Suspended: keeps the role, has no access"`
	EndsAt       *time.Time `json:"ends_at,omitzero" doc:"When the membership ends"`
	LastActiveAt *time.Time `json:"last_active_at,omitzero"`
}

// GetMeInput has no fields.
type GetMeInput struct{}

// GetMe shows who the caller is.
var GetMe = &op.Op[GetMeInput, Me]{
	Name:    "me.get",
	Route:   "GET /v1/me",
	Summary: "Show who the credential stands for, and the organizations that they belong to",
	Scope:   op.Self,
	Allow:   op.AnyOf(op.SignedIn, op.ByService, op.ByOperator, op.ByCredential),
	Do:      getMe,
}

func getMe(ctx context.Context, tx *op.Tx, _ GetMeInput) (Me, error) {
	if tx.Actor.Kind == op.KeyActor || tx.Actor.Kind == op.TokenActor {
		return describeBearer(ctx, tx.Reader)
	}
	if tx.Actor.User == "" {
		return Me{Kind: tx.Actor.Kind, ID: tx.Actor.ID, Organizations: []Belonging{}}, nil
	}
	u, err := scanUser(tx.QueryRow(ctx, "SELECT "+userColumns+" FROM users u WHERE u.id = $1", tx.Actor.User))
	if err != nil {
		return Me{}, err
	}
	return describeMe(ctx, tx.Reader, u)
}

// describeBearer says what the key or token of the call may do, as it is now.
func describeBearer(ctx context.Context, r *op.Reader) (Me, error) {
	token, err := secret.Parse(r.Caller.Credential)
	if err != nil {
		return Me{}, op.ErrUnauthenticated
	}
	b, err := LoadBearer(ctx, r, token.Hash(), token.Kind(), false)
	if err != nil {
		return Me{}, err
	}
	o, err := organizationByID(ctx, r, b.Organization)
	p := &b.Principal
	me := Me{Kind: b.Kind, ID: b.ID, Name: b.Name, OnBehalfOf: b.User, Organizations: []Belonging{}, Resources: p.Limits.Resources(),
		Organization: &OwnOrganization{ID: o.ID, Slug: o.Slug, Name: o.Name, Region: o.Region, Plan: o.Plan}, ExpiresAt: when(b.ExpiresAt)}
	var holds charter.Set
	if _, access := p.Access(r.Micros()); access && !p.Closed {
		holds = p.Holds.Minus(p.Locked)
	}
	me.Permissions, me.ReadOnly = r.Charter.IDs(holds), !holds.Empty() && holds.SubsetOf(r.Charter.Reads())
	return me, err
}

func describeMe(ctx context.Context, r *op.Reader, u User) (me Me, err error) {
	me = Me{Kind: r.Actor.Kind, ID: u.ID, User: &u, ExpiresAt: when(r.Actor.Credential.ExpiresAt)}
	me.Organizations, err = BelongingsOf(ctx, r, u.ID, r.Actor.Credential.Organization)
	return me, err
}

// BelongingsOf lists the organizations of a user, by name, or the only one in which a session counts. A membership that has
// ended is not among them.
func BelongingsOf(ctx context.Context, r *op.Reader, user, only string) ([]Belonging, error) {
	rows, err := r.Query(ctx, `SELECT o.id, o.slug, o.name, m.id, m.role, m.status, m.ends_at, m.last_active_at,
			COALESCE(cr.title, ''), COALESCE(cr.permissions, '')
		FROM members m JOIN organizations o ON o.id = m.organization
		LEFT JOIN organization_roles cr ON cr.organization = m.organization AND cr.id = m.role
		WHERE m.user_id = $1 AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $2) AND o.state = 'active'
			AND (CAST($3 AS text) = '' OR o.id = $3)
		ORDER BY o.name, o.id`, user, r.Micros(), only)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []Belonging{}
	for rows.Next() {
		var b Belonging
		var role namedRole
		var ends, active int64
		if err := rows.Scan(&b.ID, &b.Slug, &b.Name, &b.Member, &role.id, &b.Status, &ends, &active, &role.title, &role.permissions); err != nil {
			return nil, err
		}
		b.EndsAt, b.LastActiveAt, b.Role, b.RoleTitle = when(ends), when(active), role.id, role.label(r.Charter)
		all = append(all, b)
	}
	return all, rows.Err()
}

// UpdateMeInput says what to change; what is left out stays.
type UpdateMeInput struct {
	Name     *string `json:"name,omitzero" doc:"The person's name" maxLength:"200" example:"Ada Lovelace"`
	TimeZone *string `json:"time_zone,omitzero" doc:"IANA time zone; empty: the organization's" maxLength:"64"`
}

// Validate checks the name and the time zone.
func (in UpdateMeInput) Validate() []op.FieldError {
	var wrong []op.FieldError
	if in.Name != nil {
		wrong = append(wrong, checkDisplay("name", *in.Name, 0)...)
	}
	if in.TimeZone != nil && *in.TimeZone != "" {
		wrong = append(wrong, checkTimeZone(*in.TimeZone)...)
	}
	return wrong
}

// UpdateMe changes the caller's own name and time zone.
var UpdateMe = &op.Op[UpdateMeInput, Me]{
	Name:    "me.update",
	Route:   "PATCH /v1/me",
	Summary: "Change your own name and time zone",
	Kind:    op.Write,
	Scope:   op.Self,
	Allow:   op.Own(),
	Target:  meTarget,
	Do:      updateMe,
	Example: UpdateMeInput{Name: new("Ada Lovelace")},
}

func meTarget(ctx context.Context, r *op.Reader, _ UpdateMeInput) (op.Target, error) {
	if r.Actor.User == "" {
		return op.Target{}, op.ErrNotFound
	}
	u, err := scanUser(r.QueryRow(ctx, "SELECT "+userColumns+" FROM users u WHERE u.id = $1", r.Actor.User))
	return op.Target{Type: "user", ID: u.ID, Name: u.Name, User: u.ID, Version: u.Version, Current: u, Value: u}, err
}

func updateMe(ctx context.Context, tx *op.Tx, in UpdateMeInput) (Me, error) {
	u := tx.Target().Value.(User)
	changed := u
	if in.Name != nil {
		changed.Name = cleanDisplay(*in.Name)
	}
	if in.TimeZone != nil {
		changed.TimeZone = *in.TimeZone
	}
	if changed == u {
		tx.Unchanged()
		return describeMe(ctx, tx.Reader, u)
	}
	if changed.Name != u.Name {
		tx.ChangedPersonal(u.ID, "name", u.Name, changed.Name)
		if _, err := tx.Exec(ctx, "UPDATE members SET sort_name = $2 WHERE user_id = $1", u.ID, sortName(changed)); err != nil {
			return Me{}, err
		}
	}
	if changed.TimeZone != u.TimeZone {
		tx.Changed("time_zone", u.TimeZone, changed.TimeZone)
	}
	if _, err := tx.Exec(ctx, "UPDATE users SET name = $2, time_zone = $3, version = version + 1, updated_at = $4 WHERE id = $1",
		u.ID, changed.Name, changed.TimeZone, tx.Micros()); err != nil {
		return Me{}, err
	}
	changed.Version++
	return describeMe(ctx, tx.Reader, changed)
}
