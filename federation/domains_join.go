package federation

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/notice"
	"github.com/guildhall/guildhall/op"
)

// Joinable is an organization that has verified the domain of the caller's address, and lets people with one in.
type Joinable struct {
	Organization string         `json:"organization" doc:"The organization's id" example:"org_01k..."`
	Slug         string         `json:"slug" doc:"Its name in addresses" example:"acme"`
	Name         string         `json:"name" doc:"Its name as people read it" example:"Acme"`
	Domain       string         `json:"domain" doc:"The domain that opens it" example:"acme.test"`
	Joining      string         `json:"joining" doc:"Whether the caller joins at once or asks to; whoever belonged to it before asks" enum:"request,automatic"`
	Role         charter.RoleID `json:"role" doc:"The role of those who join"`
	RoleTitle    string         `json:"role_title" doc:"The role's title" example:"Viewer"`
	Requested    bool           `json:"requested" doc:"The caller has asked, and nobody has decided yet"`

	domain string
	method string // by which the caller's session began
}

// joinables reads the organizations that the caller's address opens. One domain is verified by one organization at most, so
// there is one or none.
func joinables(ctx context.Context, r *op.Reader) ([]Joinable, error) {
	domain := directory.DomainOf(r.Actor.Email)
	if domain == "" {
		return []Joinable{}, nil
	}
	j := Joinable{Domain: domain}
	var plan, own string
	var former, requested int64
	err := r.QueryRow(ctx, `SELECT d.id, d.organization, d.joining, d.role, COALESCE(cr.title, ''), o.slug, o.name, o.plan,
			(SELECT count(*) FROM members m WHERE m.organization = d.organization AND m.user_id = $2),
			(SELECT count(*) FROM join_requests j WHERE j.organization = d.organization AND j.user_id = $2 AND j.state = 'pending'),
			COALESCE((SELECT method FROM sessions WHERE id = $4 AND user_id = $2), '')
		FROM domains d JOIN organizations o ON o.id = d.organization AND o.state = 'active'
		LEFT JOIN organization_roles cr ON cr.organization = d.organization AND cr.id = d.role
		WHERE d.domain = $1 AND d.state = 'verified' AND d.joining <> 'off' AND NOT EXISTS (SELECT 1 FROM members m
			WHERE m.organization = d.organization AND m.user_id = $2 AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $3))`,
		domain, r.Actor.User, r.Micros(), r.Actor.Credential.ID).Scan(&j.domain, &j.Organization, &j.Joining, &j.Role, &own, &j.Slug, &j.Name, &plan, &former, &requested,
		&j.method)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !r.Charter.Unlocked(plan, feature) {
		return []Joinable{}, nil
	}
	if former > 0 { // somebody ended that membership, and an address does not undo it
		j.Joining = JoinRequest
	}
	j.RoleTitle, j.Requested = titleOf(r.Charter, string(j.Role), own), requested > 0
	return []Joinable{j}, err
}

// ListJoinableInput has no fields.
type ListJoinableInput struct{}

// Joinables are the organizations that the caller may join.
type Joinables struct {
	Data []Joinable `json:"data" doc:"The organizations"`
}

// ListJoinable lists the organizations that have verified the domain of the caller's address, and let people with one in.
var ListJoinable = &op.Op[ListJoinableInput, Joinables]{
	Name:    "me.joinable",
	Route:   "GET /v1/me/joinable",
	Summary: "List the organizations that your address lets you join, or ask to",
	Scope:   op.Self,
	Allow:   op.SignedIn,
	Do: func(ctx context.Context, tx *op.Tx, _ ListJoinableInput) (Joinables, error) {
		all, err := joinables(ctx, tx.Reader)
		return Joinables{Data: all}, err
	},
}

// JoinDomainInput names an organization that me.joinable lists.
type JoinDomainInput struct {
	Organization string `json:"organization" doc:"The organization: its id or its slug" maxLength:"64" example:"acme"`
}

// DomainJoined is what came of joining.
type DomainJoined struct {
	State        string         `json:"state" doc:"joined: the caller is a member; requested: somebody has to decide" enum:"joined,requested"`
	Organization string         `json:"organization" doc:"The organization's id"`
	Slug         string         `json:"slug" doc:"Its name in addresses" example:"acme"`
	Name         string         `json:"name" doc:"Its name"`
	Member       string         `json:"member,omitzero" doc:"The new member's id"`
	Role         charter.RoleID `json:"role" doc:"The role, or the one that is asked for"`
	RoleTitle    string         `json:"role_title" doc:"The role's title"`
}

// JoinDomain makes the caller a member of an organization that has verified the domain of their address; or asks for it,
// where the organization wants to decide. The session has to have begun with a proof of the address.
var JoinDomain = &op.Op[JoinDomainInput, DomainJoined]{
	Name:    "domains.join",
	Route:   "POST /v1/me/joinable/{organization}/join",
	Summary: "Join an organization that has verified the domain of your address, or ask to",
	Kind:    op.Access,
	Scope:   op.Self,
	Allow:   op.SignedIn,
	Target:  joinTarget,
	Fences: func(_ JoinDomainInput, t op.Target) []op.Fence {
		return []op.Fence{{Kind: op.FenceUser, ID: t.User}}
	},
	Do:      joinDomain,
	Example: JoinDomainInput{Organization: "acme"},
}

func joinTarget(ctx context.Context, r *op.Reader, in JoinDomainInput) (op.Target, error) {
	if r.Actor.User == "" {
		return op.Target{}, op.ErrNotFound
	}
	all, err := joinables(ctx, r)
	if err != nil {
		return op.Target{}, err
	}
	for _, j := range all {
		if in.Organization == j.Organization || in.Organization == j.Slug {
			return op.Target{Organization: j.Organization, Type: "domain", ID: j.domain, Name: j.Domain, User: r.Actor.User, Value: j}, nil
		}
	}
	return op.Target{}, op.ErrNotFound
}

// provingMethods are the ways of signing in that prove that the account's address is the person's, now. A passkey proves who
// somebody is, and may outlast their mailbox.
var provingMethods = []string{"mail", "invitation"}

// demandProof asks for a session that proves the address: what an identity provider says of one is not proof to others, and a passkey says nothing of it.
// T-061
func (j Joinable) demandProof(r *op.Reader) error {
	if first, _, _ := strings.Cut(j.method, "+"); slices.Contains(provingMethods, first) {
		return nil
	}
	return &op.Error{Kind: op.Denied, Code: "prove_address", FixURL: "/login", Text: "this session does not prove that you can read " + directory.Mask(r.Actor.Email) +
		": sign out, and sign in by a mail to it"}
}

func joinDomain(ctx context.Context, tx *op.Tx, _ JoinDomainInput) (DomainJoined, error) {
	j := tx.Target().Value.(Joinable)
	if err := j.demandProof(tx.Reader); err != nil {
		return DomainJoined{}, err
	}
	out := DomainJoined{State: "requested", Organization: j.Organization, Slug: j.Slug, Name: j.Name, Role: j.Role, RoleTitle: j.RoleTitle}
	if j.Joining == JoinRequest {
		return out, j.ask(ctx, tx)
	}
	tx.Actor.Principal.Organization = j.Organization // where the member is made; nobody is authorized by it any more
	m, err := directory.Admit(ctx, tx, directory.Admission{User: directory.User{ID: tx.Actor.User}, Role: j.Role})
	if err != nil {
		return out, err
	}
	out.State, out.Member, out.Role, out.RoleTitle = "joined", m.ID, charter.RoleID(m.Role), m.RoleTitle
	return out, nil
}

// ask puts a request to join before those who may decide. Asking again changes nothing.
func (j Joinable) ask(ctx context.Context, tx *op.Tx) error {
	if j.Requested {
		tx.Unchanged()
		return nil
	}
	id := tx.NewID("jrq")
	_, err := tx.Exec(ctx, `INSERT INTO join_requests (id, organization, domain, user_id, role, state, reason, decided_by, decided_at, created_at)
		VALUES ($1, $2, $3, $4, $5, 'pending', '', '', 0, $6)`, id, j.Organization, j.Domain, tx.Actor.User, string(j.Role), tx.Micros())
	if _, twice := sqldb.Conflict(err); twice {
		return op.Errorf(op.Conflict, "requested", "you have asked already: somebody has to decide")
	}
	if err != nil {
		return err
	}
	who := directory.User{Name: tx.Actor.Name, Email: tx.Actor.Email}.Label()
	tx.Also("join_request", id, who)
	return directory.TellOwners(ctx, tx, notice.Notice{Subject: mail.Line(who) + " asks to join", Path: "/settings/join-requests",
		Text: fmt.Sprintf("%s has an address at %s, and asks to join as %s. Whoever may invite people decides.", mail.Line(who), j.Domain, mail.Line(j.RoleTitle))})
}
