package federation

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/op"
)

// SignInConnectionsInput names the organization whose people want to sign in.
type SignInConnectionsInput struct {
	Slug string `json:"slug" doc:"The organization's slug" minLength:"1" maxLength:"64" example:"acme"`
}

// SignInConnection is a provider at which an organization's people can sign in.
type SignInConnection struct {
	Connection string `json:"connection" doc:"What signin.federated_begin takes"`
	Kind       string `json:"kind" doc:"How it speaks" example:"oidc"`
	Name       string `json:"name" doc:"What people call it" example:"Okta"`
}

// SignInConnections are the providers of an organization.
type SignInConnections struct {
	Organization string             `json:"organization" doc:"What the organization is called"`
	Providers    []SignInConnection `json:"providers" doc:"Those that are on, the oldest first"`
}

// ListSignInConnections says where people of an organization can sign in, whatever their address. Without one it is op.ErrNotFound, as
// for an organization that does not exist.
var ListSignInConnections = &op.Op[SignInConnectionsInput, SignInConnections]{
	Name:    "signin.connections",
	Route:   "GET /v1/signin/connections",
	Summary: "Say at which identity providers an organization's people can sign in",
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 120, Per: time.Hour},
	Target: func(ctx context.Context, r *op.Reader, in SignInConnectionsInput) (op.Target, error) {
		found, err := signInConnections(ctx, r, in)
		return op.Target{Value: found}, err
	},
	Do: func(_ context.Context, tx *op.Tx, _ SignInConnectionsInput) (SignInConnections, error) {
		found, _ := tx.Target().Value.(SignInConnections)
		return found, nil
	},
	Example: SignInConnectionsInput{Slug: "acme"},
}

func signInConnections(ctx context.Context, r *op.Reader, in SignInConnectionsInput) (out SignInConnections, err error) {
	rows, err := r.Query(ctx, `SELECT o.name, o.plan, c.id, c.kind, c.name FROM connections c JOIN organizations o ON o.id = c.organization AND o.state = 'active'
		WHERE o.slug = $1 AND c.state = 'on' ORDER BY c.created_at, c.id`, in.Slug)
	if err != nil {
		return out, err
	}
	defer rows.Close()
	for rows.Next() {
		var p SignInConnection
		var plan string
		if err := rows.Scan(&out.Organization, &plan, &p.Connection, &p.Kind, &p.Name); err != nil {
			return out, err
		}
		if r.Charter.Unlocked(plan, feature) {
			out.Providers = append(out.Providers, p)
		}
	}
	if err = rows.Err(); err == nil && len(out.Providers) == 0 {
		err = op.ErrNotFound
	}
	return out, err
}
