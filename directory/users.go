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

// ETag is the user's version.
func (u User) ETag() string { return op.VersionTag(u.Version) }

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
	return scanUser(r.QueryRow(ctx, "SELECT "+userColumns+" FROM users u WHERE u.email_folded = $1 AND u.deleted_at = 0", folded))
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

// sortName is what lists sort a person by: the folded name, else the address.
func sortName(u User) string { return strings.ToLower(u.Label()) }
