package client

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/charter"
)

// Introspection says what a credential is now. Of one that is not alive it says that, and nothing else.
type Introspection struct {
	Active       bool                 `json:"active"`       // known, not ended, and whoever is behind it has access
	Kind         string               `json:"kind"`         // "user" for a session, "key", "token" or "service_key"
	ID           string               `json:"id"`           // of the session, key, token or service key
	Name         string               `json:"name"`         // of the key or token, or of the person
	User         string               `json:"user"`         // whose session it is, or on whose behalf it acts
	ExternalID   string               `json:"external_id"`  // the product's own id of that person
	Member       string               `json:"member"`       // that person's membership in the organization
	Organization string               `json:"organization"` // that a key or token is for
	Role         charter.RoleID       `json:"role"`         // of whoever is behind it
	Permissions  []charter.Permission `json:"permissions"`  // what a key or token may now, the plan considered
	Resources    []string             `json:"resources"`    // the single ones that it is for; nil: any
	ReadOnly     bool                 `json:"read_only"`    // whether a key or token can change nothing
	Networks     []string             `json:"networks"`     // groups, of each of which one has to fit; nil: any
	ExpiresAt    time.Time            `json:"expires_at"`   // the zero time: it does not end
	Plan         string               `json:"plan"`         // the organization's
	Region       string               `json:"region"`       // the organization's
}

// Introspect says what a credential is that somebody sent to the product, from an address (empty: that is not looked at).
// The client's own credential is a service key.
func (c *Client) Introspect(ctx context.Context, credential, address string) (Introspection, error) {
	in := struct {
		Credential string `json:"credential"`
		Address    string `json:"address,omitzero"`
	}{credential, address}
	var out Introspection
	err := c.ask(ctx, "/v1/credentials/introspect", in, &out)
	return out, err
}
