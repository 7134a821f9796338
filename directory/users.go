package directory

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/guildhall/guildhall/op"
)

// User is a person who can sign in.
type User struct {
	ID         string    `json:"id" doc:"The user's id" example:"usr_01k..."`
	ExternalID string    `json:"external_id,omitzero" doc:"The product's own id of this person"`
	Email      string    `json:"email" doc:"The address that mail goes to"`
	Name       string    `json:"name" doc:"The person's name; may be empty"`
	TimeZone   string    `json:"time_zone,omitzero" doc:"IANA time zone; empty: the organization's"`
	Version    int64     `json:"version" doc:"Counts the changes; the ETag"`
	CreatedAt  time.Time `json:"created_at"`
}

// Label is what the person is called where one name is shown: the name, else the address.
func (u User) Label() string {
	if u.Name != "" {
		return u.Name
	}
	return u.Email
}

const userColumns = "u.id, COALESCE(u.external_id, ''), u.email, u.name, u.time_zone, u.version, u.created_at"

func scanUser(row interface{ Scan(...any) error }, more ...any) (User, error) {
	var u User
	var created int64
	err := row.Scan(append([]any{&u.ID, &u.ExternalID, &u.Email, &u.Name, &u.TimeZone, &u.Version, &created}, more...)...)
	u.CreatedAt = time.UnixMicro(created).UTC()
	if errors.Is(err, sql.ErrNoRows) {
		err = op.ErrNotFound
	}
	return u, err
}

// FindUser finds the user of an address, by its folded form; op.ErrNotFound without one.
func FindUser(ctx context.Context, r *op.Reader, email string) (User, error) {
	folded, err := Fold(email)
	if err != nil {
		return User{}, op.ErrNotFound
	}
	return scanUser(r.QueryRow(ctx, "SELECT "+userColumns+" FROM users u WHERE u.email_folded = $1", folded))
}

// EnsureUser finds the user of an address or makes one, with an audit stream of its own. The caller has proved that the
// address is theirs.
func EnsureUser(ctx context.Context, tx *op.Tx, email, name string) (u User, created bool, err error) {
	if u, created, err = upsertUser(ctx, tx, email, name); err != nil || !created {
		return u, created, err
	}
	return u, true, tx.FoundAlso(ctx, u.ID)
}

// upsertUser finds the user of an address or makes one, in one statement. The caller founds the audit stream of a new
// one.
func upsertUser(ctx context.Context, tx *op.Tx, email, name string) (u User, created bool, err error) {
	address, err := ParseAddress(email)
	if err != nil {
		return u, false, op.InvalidField("email", "invalid", "%v", err)
	}
	if name == "" {
		name = address.Name
	}
	id := tx.NewID("usr")
	u, err = scanUser(tx.QueryRow(ctx, `INSERT INTO users (id, email, email_folded, name, time_zone, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, '', 1, $5, $5) ON CONFLICT (email_folded) DO UPDATE SET updated_at = users.updated_at
		RETURNING `+strings.ReplaceAll(userColumns, "u.", ""), id, address.Email, address.Folded, name, tx.Micros()))
	return u, err == nil && u.ID == id, err
}

// InsertUser makes a user. The caller founds the audit stream of the id.
func InsertUser(ctx context.Context, tx *op.Tx, id, email, name string) (User, error) {
	address, err := ParseAddress(email)
	if err != nil {
		return User{}, op.InvalidField("email", "invalid", "%v", err)
	}
	if name == "" {
		name = address.Name
	}
	u := User{ID: id, Email: address.Email, Name: name, Version: 1, CreatedAt: tx.Now}
	_, err = tx.Exec(ctx, `INSERT INTO users (id, email, email_folded, name, time_zone, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, u.ID, u.Email, address.Folded, u.Name, "", 1, tx.Micros(), tx.Micros())
	return u, err
}

// Me is the signed-in person, or whoever the credential stands for.
type Me struct {
	Kind          op.ActorKind `json:"kind" doc:"What the credential is" example:"user"`
	ID            string       `json:"id" doc:"Id of the user or service key"`
	User          *User        `json:"user,omitzero" doc:"The person"`
	Organizations []Belonging  `json:"organizations" doc:"The organizations that the person belongs to"`
	ExpiresAt     *time.Time   `json:"expires_at,omitzero" doc:"When the credential ends"`
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
	Allow:   op.AnyOf(op.SignedIn, op.ByService, op.ByOperator),
	Do:      getMe,
}

func getMe(ctx context.Context, tx *op.Tx, _ GetMeInput) (Me, error) {
	if tx.Actor.User == "" {
		return Me{Kind: tx.Actor.Kind, ID: tx.Actor.ID, Organizations: []Belonging{}}, nil
	}
	u, err := scanUser(tx.QueryRow(ctx, "SELECT "+userColumns+" FROM users u WHERE u.id = $1", tx.Actor.User))
	if err != nil {
		return Me{}, err
	}
	return describeMe(ctx, tx.Reader, u)
}

func describeMe(ctx context.Context, r *op.Reader, u User) (me Me, err error) {
	me = Me{Kind: r.Actor.Kind, ID: u.ID, User: &u, ExpiresAt: when(r.Actor.Credential.ExpiresAt)}
	me.Organizations, err = BelongingsOf(ctx, r, u.ID)
	return me, err
}

// BelongingsOf lists the organizations of a user, by name. A membership that has ended is not among them.
func BelongingsOf(ctx context.Context, r *op.Reader, user string) ([]Belonging, error) {
	rows, err := r.Query(ctx, `SELECT o.id, o.slug, o.name, m.id, m.role, m.status, m.ends_at, m.last_active_at
		FROM members m JOIN organizations o ON o.id = m.organization
		WHERE m.user_id = $1 AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $2) AND o.state = 'active'
		ORDER BY o.name, o.id`, user, r.Micros())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []Belonging{}
	for rows.Next() {
		var b Belonging
		var ends, active int64
		if err := rows.Scan(&b.ID, &b.Slug, &b.Name, &b.Member, &b.Role, &b.Status, &ends, &active); err != nil {
			return nil, err
		}
		b.EndsAt, b.LastActiveAt, b.RoleTitle = when(ends), when(active), roleTitle(r, b.Role)
		all = append(all, b)
	}
	return all, rows.Err()
}

func roleTitle(r *op.Reader, id string) string { return titleOf(r.Charter, id) }

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

// sortName is what lists sort a person by: the folded name, else the address.
func sortName(u User) string { return strings.ToLower(u.Label()) }
