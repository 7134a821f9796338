package credential

import (
	"context"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// parent is what a token is derived from, and the credential of a key or token that makes a key.
type parent struct {
	ceiling
	session, key, token string // the root, which is a session or a key, and the token that it is, if it is one
	member              string // under a session: the membership
	ancestors           string // of a token that is derived from it: " tok_1 tok_2 "
	budgets             string // the tokens whose requests are counted with a child's
	tokenNetworks       string // of the tokens, without those of the root
	readOnly            bool
	left                bool // the root is a key whose creator has left
}

// calling is the credential that the call is made with, as a parent.
func calling(ctx context.Context, r *op.Reader) (parent, error) {
	switch r.Actor.Kind {
	case op.UserActor:
		return parent{ceiling: ceiling{scopes: r.Actor.Principal.Holds, expires: r.Actor.Credential.ExpiresAt},
			session: r.Actor.Credential.ID, member: r.Actor.Principal.Member}, nil
	case op.KeyActor:
		k, err := keyByID(ctx, r, r.Actor.ID)
		return k.parent(r.Charter), err
	case op.TokenActor:
		return tokenParent(ctx, r)
	}
	return parent{}, r.Refuse(ctx, decide.Decision{Reason: decide.PeopleOnly})
}

// parent is what the key is to a token that is derived from it.
func (k keyRow) parent(c *charter.Charter) parent {
	return parent{ceiling: ceiling{scopes: setOf(c, k.permissions), limits: decide.Limits(k.resources), networks: k.networks,
		expires: k.expires}, key: k.id, left: k.left != 0}
}

// tokenParent is the calling token as a parent: with what it is itself, and what its root is now.
func tokenParent(ctx context.Context, r *op.Reader) (parent, error) {
	p := parent{token: r.Actor.ID, ceiling: ceiling{limits: r.Actor.Principal.Limits, expires: r.Actor.Credential.ExpiresAt}}
	var scopes, rootNetworks string
	var left int64
	err := r.QueryRow(ctx, `SELECT t.permissions, t.networks, t.read_only, t.budgets, t.ancestors, t.session, t.api_key, t.member,
			COALESCE(k.networks, ''), COALESCE(k.left_at, 0)
		FROM scoped_tokens t LEFT JOIN api_keys k ON k.organization = t.organization AND k.id = t.api_key
		WHERE t.organization = $1 AND t.id = $2`, r.Organization(), r.Actor.ID).Scan(&scopes, &p.tokenNetworks, &p.readOnly,
		&p.budgets, &p.ancestors, &p.session, &p.key, &p.member, &rootNetworks, &left)
	p.scopes, p.left = setOf(r.Charter, scopes), left != 0
	p.networks = groups(rootNetworks, p.tokenNetworks)
	p.ancestors = " " + strings.TrimPrefix(p.ancestors, " ") + p.token + " "
	return p, found(err)
}

// maker is the most that a key may be that the actor makes. A person makes what they may do; a key or token makes
// nothing that is more than it is itself, or that lives longer.
func maker(ctx context.Context, r *op.Reader) (ceiling, error) {
	switch r.Actor.Kind {
	case op.KeyActor, op.TokenActor:
	default:
		return ceiling{scopes: r.Actor.Principal.Holds}, nil
	}
	p, err := calling(ctx, r)
	switch {
	case err != nil:
		return ceiling{}, err
	case p.left:
		return ceiling{}, op.Errorf(op.Denied, leftBehind, "the creator of this credential has left: it makes no keys")
	case p.budgets != "":
		return ceiling{}, op.Errorf(op.Denied, string(decide.OutOfScope), "a token with a number of requests makes no keys: they would have none")
	}
	return p.ceiling, nil
}

// covers reports whether a key is no more than the ceiling.
func (most ceiling) covers(k keyRow, c *charter.Charter) bool {
	return setOf(c, k.permissions).SubsetOf(most.scopes) && decide.Limits(k.resources).Within(most.limits) &&
		outside(k.networks, most.networks) == ""
}
