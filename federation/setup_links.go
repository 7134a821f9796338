package federation

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// setupKind is the kind of a set-up link's token: "gld_setup_...".
const setupKind = "setup"

// byOperator is who made a link that the operator made.
const byOperator = "operator"

// The states of a set-up link.
const (
	LinkOpen    = "open"
	LinkExpired = "expired"
	LinkEnded   = "ended"
)

// SetupLink lets somebody without an account set one connection up, and nothing else.
type SetupLink struct {
	ID           string     `json:"id" doc:"The link's id" example:"stl_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	State        string     `json:"state" doc:"Whether it can be used" enum:"open,expired,ended"`
	EndedBecause string     `json:"ended_because,omitzero" doc:"Why it has ended: it was revoked, or its connection was switched on or deleted" enum:"revoked,switched_on,deleted"`
	Connection   string     `json:"connection,omitzero" doc:"The connection that it sets up; absent: none is named yet"`
	CreatedBy    string     `json:"created_by" cli:"-" doc:"Whose link it is: a user's id, or operator. It counts while that person holds sso.configure"`
	CreatedAt    time.Time  `json:"created_at" cli:"-" doc:"When it was made"`
	ExpiresAt    time.Time  `json:"expires_at" doc:"Until when it can be used"`
	UsedAt       *time.Time `json:"used_at,omitzero" doc:"When it was used last; absent: never"`
}

// linkRow is a link as it is stored.
type linkRow struct {
	id, organization, connection, createdBy, because string
	created, expires, used, ended                    int64
}

const linkColumns = "l.id, l.organization, l.connection, l.created_by, l.ended_because, l.created_at, l.expires_at, l.used_at, l.ended_at"

func (l *linkRow) fields() []any {
	return []any{&l.id, &l.organization, &l.connection, &l.createdBy, &l.because, &l.created, &l.expires, &l.used, &l.ended}
}

func (l linkRow) show(now int64) SetupLink {
	s := SetupLink{ID: l.id, State: LinkOpen, EndedBecause: l.because, Connection: l.connection, CreatedBy: l.createdBy, CreatedAt: time.UnixMicro(l.created).UTC(),
		ExpiresAt: time.UnixMicro(l.expires).UTC(), UsedAt: when(l.used)}
	switch {
	case l.ended != 0:
		s.State = LinkEnded
	case now >= l.expires:
		s.State = LinkExpired
	}
	return s
}

// ListSetupLinksInput asks for the set-up links of an organization.
type ListSetupLinksInput struct {
	op.InOrganization
	op.Page
}

// ListSetupLinks lists the set-up links, the newest first.
var ListSetupLinks = &op.Op[ListSetupLinksInput, op.List[SetupLink]]{
	Name:    "setup_links.list",
	Route:   "GET /v1/organizations/{organization}/setup_links",
	Summary: "List the links by which others set an identity provider up",
	Allow:   op.On("sso.configure"),
	Do:      listSetupLinks,
	Example: ListSetupLinksInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

func listSetupLinks(ctx context.Context, tx *op.Tx, in ListSetupLinksInput) (op.List[SetupLink], error) {
	before, id := in.Page.AfterNewest()
	rows, err := tx.Query(ctx, "SELECT "+linkColumns+` FROM setup_links l WHERE l.organization = $1 AND (l.created_at < $2 OR l.created_at = $2 AND l.id < $3)
		ORDER BY l.created_at DESC, l.id DESC LIMIT $4`, tx.Organization(), before, id, in.Size()+1)
	if err != nil {
		return op.List[SetupLink]{}, err
	}
	defer rows.Close()
	var found []SetupLink
	for rows.Next() {
		var l linkRow
		if err := rows.Scan(l.fields()...); err != nil {
			return op.List[SetupLink]{}, err
		}
		found = append(found, l.show(tx.Micros()))
	}
	return op.Listed(tx.Reader, &in.Page, found, func(l SetupLink) []string { return op.Newest(l.CreatedAt.UnixMicro(), l.ID) }), rows.Err()
}

// CreateSetupLinkInput says what the link is for.
type CreateSetupLinkInput struct {
	op.InOrganization
	Connection string `json:"connection,omitzero" doc:"A connection that is there and not on; left out: the link makes one" maxLength:"64" required:"false"`
	Hours      int64  `json:"hours,omitzero" doc:"For how many hours it can be used, up to 30 days" minimum:"1" maximum:"720" default:"168" required:"false"`
}

// NewSetupLink is a link with its address, which is shown once.
type NewSetupLink struct {
	SetupLink
	Link        string `json:"link,omitzero" doc:"The address to hand on: it is shown this once" example:"https://accounts.example.com/setup/gld_setup_..."`
	SecretShown bool   `json:"secret_shown" doc:"Whether link is there: a repeat of the request does not show it again"`
}

// WithoutSecret is what a repeat of the request is answered.
func (l NewSetupLink) WithoutSecret() any { l.Link, l.SecretShown = "", false; return l }

// CreateSetupLink makes a link for somebody without an account, who sets one connection up by it. It counts while whoever made
// it holds sso.configure, and ends when the connection is switched on.
var CreateSetupLink = &op.Op[CreateSetupLinkInput, NewSetupLink]{
	Name:    "setup_links.create",
	Route:   "POST /v1/organizations/{organization}/setup_links",
	Summary: "Make a link by which somebody without an account sets an identity provider up; it is shown once",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Feature: feature,
	Confirm: op.L1,
	Fresh:   true,
	Do:      createSetupLink,
	Example: CreateSetupLinkInput{InOrganization: op.InOrganization{Organization: "acme"}, Hours: 24},
}

func createSetupLink(ctx context.Context, tx *op.Tx, in CreateSetupLinkInput) (NewSetupLink, error) {
	l := linkRow{id: tx.NewID("stl"), organization: tx.Organization(), connection: in.Connection, createdBy: tx.Actor.User, created: tx.Micros()}
	if l.createdBy == "" {
		if tx.Actor.Kind != op.OperatorActor {
			return NewSetupLink{}, op.Errorf(op.Conflict, "nobody_answers", "a set-up link counts while the person who made it may configure single sign-on: a person has to make it")
		}
		l.createdBy = byOperator
	}
	if in.Connection != "" {
		if err := l.maySetUp(ctx, tx); err != nil {
			return NewSetupLink{}, err
		}
	}
	hours := in.Hours
	if hours == 0 {
		hours = 168
	}
	l.expires = tx.Now.Add(time.Duration(hours) * time.Hour).UnixMicro()
	token := secret.New(nil, tx.Charter.KeyPrefix, setupKind)
	hash := token.Hash()
	_, err := tx.Exec(ctx, `INSERT INTO setup_links (id, organization, connection, token_hash, recovery_epoch, created_by, created_at, expires_at, used_at, ended_at, ended_because)
		VALUES ($1, $2, $3, $4, (SELECT recovery_epoch FROM instance WHERE id = 'instance'), $5, $6, $7, 0, 0, '')`,
		l.id, l.organization, l.connection, hash[:], l.createdBy, l.created, l.expires)
	tx.Also("setup_link", l.id, "set-up link")
	tx.Changed("expires_at", nil, time.UnixMicro(l.expires).UTC().Format(time.RFC3339))
	return NewSetupLink{SetupLink: l.show(tx.Micros()), Link: tx.Settings.URL("/setup/" + token.Reveal()), SecretShown: true}, err
}

// maySetUp refuses a link to a connection that is not there, or is on.
func (l linkRow) maySetUp(ctx context.Context, tx *op.Tx) error {
	c, err := readConnection(ctx, tx.Reader, l.connection)
	switch {
	case errors.Is(err, op.ErrNotFound):
		return op.InvalidField("connection", "unknown", "there is no connection %q", l.connection)
	case err == nil && c.social():
		return errOtherKind
	case err == nil && c.state == On:
		return op.Errorf(op.Conflict, "connection_on", "this connection signs people in: switch it off before somebody else sets it up")
	case err == nil:
		tx.Also("connection", c.id, c.name)
	}
	return err
}

// SetupLinkInput names a set-up link.
type SetupLinkInput struct {
	op.InOrganization
	SetupLink string `json:"setup_link" doc:"The link's id" maxLength:"64" example:"stl_00000000000000000000000000"`
}

// RevokeSetupLink ends a link before its time. What was set up by it stays.
var RevokeSetupLink = &op.Op[SetupLinkInput, SetupLink]{
	Name:    "setup_links.revoke",
	Route:   "POST /v1/organizations/{organization}/setup_links/{setup_link}/revoke",
	Summary: "End a set-up link; what was set up by it stays",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Confirm: op.L1,
	Target: func(ctx context.Context, r *op.Reader, in SetupLinkInput) (op.Target, error) {
		var l linkRow
		err := r.QueryRow(ctx, "SELECT "+linkColumns+" FROM setup_links l WHERE l.organization = $1 AND l.id = $2", r.Organization(), in.SetupLink).Scan(l.fields()...)
		if errors.Is(err, sql.ErrNoRows) {
			err = op.ErrNotFound
		}
		return op.Target{Organization: r.Organization(), Type: "setup_link", ID: l.id, Name: "set-up link", Value: l}, err
	},
	Do: func(ctx context.Context, tx *op.Tx, _ SetupLinkInput) (SetupLink, error) {
		l := tx.Target().Value.(linkRow)
		if l.ended != 0 {
			tx.Unchanged()
			return l.show(tx.Micros()), nil
		}
		l.ended, l.because = tx.Micros(), "revoked"
		_, err := tx.Exec(ctx, "UPDATE setup_links SET ended_at = $3, ended_because = $4 WHERE organization = $1 AND id = $2", tx.Organization(), l.id, l.ended, l.because)
		return l.show(tx.Micros()), err
	},
	Example: SetupLinkInput{op.InOrganization{Organization: "acme"}, "stl_00000000000000000000000000"},
}

// endLinks ends the links of a connection.
func endLinks(ctx context.Context, tx *op.Tx, connection, because string) error {
	_, err := tx.Exec(ctx, "UPDATE setup_links SET ended_at = $3, ended_because = $4 WHERE organization = $1 AND connection = $2 AND ended_at = 0",
		tx.Organization(), connection, tx.Micros(), because)
	return err
}
