package access

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// Introspection says what a credential is now, in the manner of RFC 7662. Of one that is not alive it says that, and
// nothing else.
type Introspection struct {
	Active       bool                 `json:"active" doc:"Whether it is alive: known, not revoked, ended or expired, and whoever is behind it has access"`
	Kind         op.ActorKind         `json:"kind,omitzero" doc:"What it is: user is a person's session" enum:"user,key,token,service_key"`
	ID           string               `json:"id,omitzero" doc:"The id of the session, key, token or service key" example:"key_01k..."`
	Name         string               `json:"name,omitzero" doc:"The name of the key or token, or of the person" example:"CI"`
	User         string               `json:"user,omitzero" doc:"The person: whose session it is, or on whose behalf it acts" example:"usr_01k..."`
	ExternalID   string               `json:"external_id,omitzero" doc:"The product's own id of that person" example:"42"`
	Member       string               `json:"member,omitzero" doc:"That person's membership in the organization" example:"mem_01k..."`
	Organization string               `json:"organization,omitzero" doc:"The organization that a key or token is for" example:"org_01k..."`
	Role         charter.RoleID       `json:"role,omitzero" doc:"The role of whoever is behind it" example:"editor"`
	Permissions  []charter.Permission `json:"permissions,omitempty" doc:"What a key or token may now, the plan considered"`
	Resources    []string             `json:"resources,omitempty" doc:"The single resources that it is for; absent: any" example:"[\"workflow:wf_1\"]"`
	ReadOnly     bool                 `json:"read_only,omitzero" doc:"Whether a key or token can change nothing"`
	Networks     []string             `json:"networks,omitempty" doc:"Groups of networks: a request has to come from one of each group; absent: from anywhere"`
	ExpiresAt    time.Time            `json:"expires_at,omitzero" doc:"When it ends at the latest; absent: it does not"`
	Plan         string               `json:"plan,omitzero" doc:"The organization's plan" example:"pro"`
	Region       string               `json:"region,omitzero" doc:"The organization's region" example:"eu-west-1"`
}

// IntrospectInput is a credential that somebody sent to the product.
type IntrospectInput struct {
	Credential string `json:"credential" doc:"The secret as it was sent" maxLength:"1000"`
	Address    string `json:"address,omitzero" doc:"Where it was sent from: one that is not for requests from there is not active; left out: that is not looked at" maxLength:"64" required:"false" example:"203.0.113.7"`
}

// Introspect says what a credential is now. The secret is nowhere kept or written.
var Introspect = &op.Op[IntrospectInput, Introspection]{
	Name:    "credentials.introspect",
	Route:   "POST /v1/credentials/introspect",
	Summary: "Say what a session, key or scoped token is now, and what it may",
	Scope:   op.Instance,
	Allow:   op.ByService,
	Do:      introspect,
	Example: IntrospectInput{Credential: "gld_live_...", Address: "203.0.113.7"},
}

func introspect(ctx context.Context, tx *op.Tx, in IntrospectInput) (Introspection, error) {
	token, err := secret.Parse(in.Credential)
	if err != nil {
		return Introspection{}, nil
	}
	var out Introspection
	switch token.Kind() {
	case credential.KeyKind, credential.TokenKind:
		out, err = introspectBearer(ctx, tx.Reader, token, in.Address)
	case credential.SessionKind, credential.ServiceKeyKind:
		out, err = introspectOther(ctx, tx.Reader, token)
	}
	if errors.Is(err, op.ErrUnauthenticated) {
		return Introspection{}, nil
	}
	if err != nil || out.User == "" {
		return out, err
	}
	err = tx.QueryRow(ctx, "SELECT COALESCE(external_id, '') FROM users WHERE id = $1", out.User).Scan(&out.ExternalID)
	if errors.Is(err, sql.ErrNoRows) {
		return out, nil
	}
	return out, err
}

func introspectBearer(ctx context.Context, r *op.Reader, token secret.Token, address string) (Introspection, error) {
	b, err := directory.LoadBearer(ctx, r, token.Hash(), token.Kind(), false)
	if err != nil {
		return Introspection{}, err
	}
	p := &b.Principal
	_, stands := p.Access(r.Micros())
	if b.Dead || p.Closed || !stands || address != "" && !directory.Allows(b.Networks, address) {
		return Introspection{}, nil
	}
	out := Introspection{Active: true, Kind: b.Kind, ID: b.ID, Name: b.Name, User: b.User, Member: p.Member, Organization: b.Organization,
		Role: p.Role, Permissions: r.Charter.IDs(p.Holds.Minus(p.Locked)), Resources: p.Limits.Resources(),
		ReadOnly: p.Holds.SubsetOf(r.Charter.Reads()), ExpiresAt: timeOf(b.ExpiresAt), Plan: b.Plan, Region: b.Region}
	if b.Networks != "" {
		out.Networks = strings.Split(b.Networks, "|")
	}
	return out, nil
}

// introspectOther is about what belongs to no organization: a session, or a service key.
func introspectOther(ctx context.Context, r *op.Reader, token secret.Token) (Introspection, error) {
	a, err := directory.Load(ctx, r, op.Who{Hash: token.Hash(), Kind: token.Kind(), Now: r.Micros()})
	if err != nil {
		return Introspection{}, err
	}
	return Introspection{Active: true, Kind: a.Kind, ID: a.Credential.ID, Name: a.Name, User: a.User, ExpiresAt: timeOf(a.Credential.ExpiresAt)}, nil
}

// timeOf reads a stored time; 0 is the zero time.
func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
