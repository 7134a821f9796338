package directory

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// TokenInput is what a link to an invitation holds.
type TokenInput struct {
	Token string `json:"token" doc:"The token of the link: what follows /i/" minLength:"1" maxLength:"64" example:"0000000000000000000000000AA"`
}

// offer is an invitation as those see it who hold its link, with all that accepting depends on.
type offer struct {
	invitationRow
	organizationSlug, organizationName string
	seats, members                     int64
	mailed                             []byte // the hash of the link that was mailed
	proved                             bool   // the link was mailed, so whoever has it can read that address
	inviterNow                         decide.Principal
	user                               User        // of the invited address; without an id there is none
	secondFactor                       bool        // that user signs in with a second factor
	current                            memberState // what that user is in the organization already
}

const offerQuery = "SELECT " + invitationColumns + `, i.token_hash, o.slug, o.name, o.state, o.seats,
		(SELECT COUNT(*) FROM members m WHERE m.organization = o.id AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $1)),
		COALESCE(im.id, ''), COALESCE(im.role, ''), COALESCE(im.status, ''), COALESCE(im.ends_at, 0), COALESCE(imr.permissions, ''), o.plan,
		COALESCE(u.id, ''), COALESCE(u.name, ''), COALESCE(u.email, ''),
		EXISTS (SELECT 1 FROM totps t WHERE t.user_id = u.id AND t.confirmed_at <> 0),
		COALESCE(um.id, ''), COALESCE(um.role, ''), COALESCE(um.status, ''), COALESCE(um.ends_at, 0), COALESCE(umr.permissions, '')` + invitationsJoined + `
	JOIN organizations o ON o.id = i.organization
	LEFT JOIN organization_roles imr ON imr.organization = im.organization AND imr.id = im.role
	LEFT JOIN members um ON um.organization = i.organization AND um.user_id = u.id AND um.status <> 'removed'
	LEFT JOIN organization_roles umr ON umr.organization = um.organization AND umr.id = um.role
	`

// offerOf reads the invitation of a link: one statement. A token that leads nowhere, or to an organization that is
// being deleted, is not found.
func offerOf(ctx context.Context, r *op.Reader, token string) (offer, error) {
	if !secret.ValidLink(token) {
		return offer{}, op.ErrNotFound
	}
	hash := secret.HashOf(token)
	o, err := scanOffer(r, r.QueryRow(ctx, offerQuery+"WHERE i.token_hash = $2 OR i.link_hash = $2", r.Micros(), hash[:]))
	o.proved = string(o.mailed) == string(hash[:])
	return o, err
}

// offerTo reads the pending invitation of a folded address in the reader's organization.
func offerTo(ctx context.Context, r *op.Reader, folded string) (offer, error) {
	return scanOffer(r, r.QueryRow(ctx, offerQuery+"WHERE i.organization = $2 AND i.email_folded = $3 AND i.state = 'pending' AND i.expires_at > $1",
		r.Micros(), r.Organization(), folded))
}

func scanOffer(r *op.Reader, row interface{ Scan(...any) error }) (offer, error) {
	var o offer
	var state string
	inviter := memberState{state: "active"}
	i, err := scanInvitation(row,
		&o.mailed, &o.organizationSlug, &o.organizationName, &state, &o.seats, &o.members,
		&inviter.id, &inviter.role, &inviter.status, &inviter.endsAt, &inviter.permissions, &inviter.plan, &o.user.ID, &o.user.Name, &o.user.Email, &o.secondFactor,
		&o.current.id, &o.current.role, &o.current.status, &o.current.endsAt, &o.current.permissions)
	if err != nil {
		return offer{}, err
	}
	o.invitationRow = i
	o.inviterNow = inviter.principal(r.Charter, i.organization, i.invitedBy)
	if !strings.HasPrefix(i.invitedBy, "mem_") {
		o.inviterNow = decide.Principal{Power: decide.Operator}
	}
	if state != "active" {
		return offer{}, op.ErrNotFound
	}
	return o, nil
}

// account says how the caller stands to the invited address.
type account string

const (
	noAccount    account = "none"  // nobody is signed in
	matching     account = "match" // the invited address is signed in
	otherAccount account = "other"
)

func (o offer) accountOf(a *op.Actor) account {
	if a.Kind == op.NobodyActor {
		return noAccount
	}
	if folded, err := Fold(a.Email); err == nil && folded == o.folded {
		return matching
	}
	return otherAccount
}

// heldBy refuses whoever has the link and is not, or has not proved to be, the invited person. The invitation stays.
func (o offer) heldBy(a *op.Actor) error {
	switch account := o.accountOf(a); {
	case account == otherAccount:
		return op.Errorf(op.Denied, "wrong_account", "this invitation is for %s: switch to that account", Mask(o.email))
	case account == noAccount && !o.proved:
		return &op.Error{Kind: op.Denied, Code: "prove_address", FixURL: "/login",
			Text: "this link was handed over, not mailed: sign in as " + Mask(o.email) + " first"}
	}
	return nil
}

// answerTarget loads the invitation that a link's holder answers, and refuses who may not before anything is locked.
func answerTarget(ctx context.Context, r *op.Reader, token string) (op.Target, error) {
	o, err := offerOf(ctx, r, token)
	if err != nil {
		return op.Target{}, err
	}
	if err := o.open(r.Micros()); err != nil {
		return op.Target{}, err
	}
	if err := o.heldBy(r.Actor); err != nil {
		return op.Target{}, err
	}
	return op.Target{Organization: o.organization, Type: "invitation", ID: o.id, Name: o.email, Value: o}, nil
}

// OpenedInvitation is what the page of a link shows.
type OpenedInvitation struct {
	Organization    string              `json:"organization" doc:"The organization's name"`
	Product         string              `json:"product" doc:"The product's name"`
	InvitedBy       string              `json:"invited_by" doc:"Who invites"`
	Role            charter.RoleID      `json:"role" example:"editor"`
	RoleTitle       string              `json:"role_title" example:"Editor"`
	RoleDescription string              `json:"role_description,omitzero"`
	Permissions     []OfferedPermission `json:"permissions" doc:"What the role may do"`
	Email           string              `json:"email" doc:"The invited address, masked" example:"z••@acme.test"`
	Message         string              `json:"message,omitzero" doc:"What the inviter wrote; plain text"`
	State           InvitationState     `json:"state" enum:"pending,accepted,declined,cancelled,expired"`
	NeedsApproval   bool                `json:"needs_approval" doc:"Nobody joins until somebody approves the invitation again"`
	ExpiresAt       time.Time           `json:"expires_at"`
	EndsAt          *time.Time          `json:"ends_at,omitzero" doc:"When the membership would end"`
	Account         string              `json:"account" enum:"none,match,other" doc:"Whether the caller is signed in with the invited address"`
	Proved          bool                `json:"proved" doc:"The link was mailed: accepting needs no further proof of the address"`
	Member          bool                `json:"member" doc:"The caller is a member already"`
	Slug            string              `json:"slug,omitzero" doc:"The organization's name in addresses, for a member"`
	Links           map[string]string   `json:"links" doc:"Addresses to read on, by name: documentation, support"`
}

// OfferedPermission is one thing that a role may do.
type OfferedPermission struct {
	ID    charter.Permission `json:"id" example:"workflows.run"`
	Title string             `json:"title" example:"Run workflows"`
	Group string             `json:"group" example:"Workflows"`
}

// OpenInvitation shows the invitation of a link. It changes nothing, however often it is asked: only accepting and
// declining do. The token is in the body, and so in no log and no history.
var OpenInvitation = &op.Op[TokenInput, OpenedInvitation]{
	Name:    "invitations.open",
	Route:   "POST /v1/invitations/open",
	Summary: "Show the invitation of a link; this consumes nothing",
	Scope:   op.Public,
	Allow:   op.Anyone,
	Do:      openInvitation,
	Example: TokenInput{Token: "000000000000000000000000000"},
}

func openInvitation(ctx context.Context, tx *op.Tx, in TokenInput) (OpenedInvitation, error) {
	o, err := offerOf(ctx, tx.Reader, in.Token)
	if err != nil {
		return OpenedInvitation{}, err
	}
	account := o.accountOf(tx.Actor)
	opened := OpenedInvitation{Organization: o.organizationName, Product: tx.Charter.Product, InvitedBy: o.inviterName(tx.Reader),
		Role: o.role, RoleTitle: o.named.label(tx.Charter), Permissions: []OfferedPermission{}, Email: Mask(o.email),
		Message: o.message, State: o.state(tx.Micros()), NeedsApproval: o.needsApproval, ExpiresAt: time.UnixMicro(o.expiresAt).UTC(),
		EndsAt: when(o.endsAt), Account: string(account), Proved: o.proved, Links: tx.Charter.Links}
	if opened.Links == nil {
		opened.Links = map[string]string{}
	}
	if account == matching && o.isMember(tx.Micros()) {
		opened.Member, opened.Slug = true, o.organizationSlug
	}
	if role, ok := o.named.role(tx.Charter); ok {
		opened.RoleDescription, opened.Permissions = role.Description, permissionsOf(tx.Charter, role)
	}
	return opened, nil
}

// permissionsOf lists what a role holds with titles, in the charter's order.
func permissionsOf(c *charter.Charter, role *charter.Role) []OfferedPermission {
	ids := c.IDs(role.Holds)
	all := make([]OfferedPermission, len(ids))
	for n, id := range ids {
		info, _ := c.Info(id)
		all[n] = OfferedPermission{ID: id, Title: info.Title, Group: info.Group}
	}
	return all
}

// isMember reports whether the invited person has a membership that has not ended.
func (o offer) isMember(now int64) bool {
	return o.current.id != "" && (o.current.endsAt == 0 || now < o.current.endsAt)
}

// AcceptInvitationInput is the token of a link, and a name for somebody who is new.
type AcceptInvitationInput struct {
	TokenInput
	Name string `json:"name,omitzero" doc:"Your name, if you have no account yet" maxLength:"200" example:"Zoe Zimmermann"`
}

// Validate checks the name.
func (in AcceptInvitationInput) Validate() []op.FieldError { return checkDisplay("name", in.Name, 0) }

// Joined is the membership that accepting made.
type Joined struct {
	Organization string         `json:"organization" doc:"The organization's id"`
	Slug         string         `json:"slug" doc:"The organization's name in addresses" example:"acme"`
	Name         string         `json:"name" doc:"The organization's name"`
	Member       string         `json:"member" doc:"The new member's id"`
	User         string         `json:"user" doc:"The person's id"`
	Role         charter.RoleID `json:"role" example:"editor"`
	RoleTitle    string         `json:"role_title" example:"Editor"`
	SignedIn     bool           `json:"signed_in" doc:"A session was begun: the mailed link proved the address"`
	Secret       string         `json:"secret,omitempty" doc:"The session's token, if one was begun, to be sent as Authorization: Bearer. Only its hash is kept"`
}

// WithoutSecret is what a repeat of the request is answered.
func (j Joined) WithoutSecret() any { j.Secret = ""; return j }

// AcceptInvitation makes the holder of a link a member. A mailed link proves the address, so it also signs in whoever
// is not; a copied one needs a session of the invited address. What the invitation depends on is asked again: the
// inviter's right, the role, a seat, the address, the time.
var AcceptInvitation = &op.Op[AcceptInvitationInput, Joined]{
	Name:    "invitations.accept",
	Route:   "POST /v1/invitations/accept",
	Summary: "Accept an invitation by the token of its link",
	Kind:    op.Access,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Target: func(ctx context.Context, r *op.Reader, in AcceptInvitationInput) (op.Target, error) {
		return answerTarget(ctx, r, in.Token)
	},
	Fences: func(_ AcceptInvitationInput, t op.Target) []op.Fence {
		if o, ok := t.Value.(offer); ok && o.user.ID != "" {
			return []op.Fence{{Kind: op.FenceUser, ID: o.user.ID}}
		}
		return nil // somebody new, of whom nothing is cached
	},
	Do:      acceptInvitation,
	Example: AcceptInvitationInput{TokenInput: TokenInput{Token: "000000000000000000000000000"}},
}

func acceptInvitation(ctx context.Context, tx *op.Tx, in AcceptInvitationInput) (Joined, error) {
	o, _ := tx.Target().Value.(offer)
	if o.isMember(tx.Micros()) {
		return Joined{}, o.settleForMember(ctx, tx)
	}
	role, err := o.vouched(ctx, tx)
	if err != nil {
		return Joined{}, err
	}
	if o.seats > 0 && o.members >= o.seats {
		return Joined{}, noSeat(o.seats)
	}
	if err := o.person(ctx, tx, cleanDisplay(in.Name)); err != nil {
		return Joined{}, err
	}
	joined, err := o.join(ctx, tx, role)
	if err != nil {
		return joined, err
	}
	signedIn := tx.Actor.Kind != op.NobodyActor
	tx.ProvedBy(o.user.ID, o.user.Name, o.user.Email)
	if role.Owner { // owners have to know: two statements more than the eight of other acceptances
		if err := tellOfOwner(ctx, tx, o.user.Label(), "by accepting an invitation"); err != nil {
			return joined, err
		}
	}
	if signedIn || o.secondFactor { // a mailed link alone is no sign-in of somebody with an authenticator app
		return joined, nil
	}
	s, err := credential.BeginSession(ctx, tx, o.user.ID, credential.ByMail("invitation"))
	joined.SignedIn, joined.Secret = true, s.Secret.Reveal()
	return joined, err
}

// join makes the invited person a member and settles the invitation.
func (o *offer) join(ctx context.Context, tx *op.Tx, role *charter.Role) (Joined, error) {
	if err := endFormer(ctx, tx, o.organization, o.user, o.current); err != nil {
		return Joined{}, err
	}
	tx.Actor.Principal.Organization = o.organization // where the member is made; nobody is authorized by it any more
	m, err := insertMember(ctx, tx, newMember{User: o.user, Role: role, EndsAt: o.endsAt})
	if err != nil {
		return Joined{}, err
	}
	tx.Also("member", m.ID, o.user.Label())
	return Joined{Organization: o.organization, Slug: o.organizationSlug, Name: o.organizationName, Member: m.ID, User: o.user.ID,
		Role: o.role, RoleTitle: role.Title}, o.settle(ctx, tx, Accepted, m.ID)
}

// settleForMember ends an invitation that a member accepts. The membership stays as it is, the role above all.
func (o *offer) settleForMember(ctx context.Context, tx *op.Tx) error {
	if err := o.settle(ctx, tx, Accepted, o.current.id); err != nil {
		return err
	}
	return op.Keep(&op.Error{Kind: op.Conflict, Code: codeAlreadyMember, FixURL: "/o/" + o.organizationSlug,
		Text:   "you are a member already, and your role stays as it is",
		Refers: map[string]string{"organization": o.organization, "member": o.current.id}})
}

// vouched asks whether the inviter may grant the role now. Else nobody joins, and the invitation waits until somebody
// who may approves it; or chooses another role, where this one does not exist any more.
func (o *offer) vouched(ctx context.Context, tx *op.Tx) (*charter.Role, error) {
	role, ok := o.named.role(tx.Charter)
	waiting := op.Errorf(op.Conflict, "needs_reapproval", "whoever invited you may no longer give this role: somebody has to approve the invitation first")
	if !ok {
		waiting = op.Errorf(op.Conflict, "role_gone", "the role of this invitation does not exist any more: somebody has to choose another one first")
	}
	if o.needsApproval {
		return nil, waiting
	}
	if ok && decide.Decide(&o.inviterNow, decide.Ask(tx.Charter, "members.invite", ""), tx.Micros()).Allow &&
		decide.Grant(tx.Charter, &o.inviterNow, role).Allow {
		return role, nil
	}
	tx.Changed("needs_approval", false, true)
	_, err := tx.Exec(ctx, `UPDATE invitations SET needs_approval = TRUE, version = version + 1
		WHERE organization = $1 AND id = $2 AND state = 'pending'`, o.organization, o.id)
	if err != nil {
		return nil, err
	}
	return nil, op.Keep(waiting)
}

// person makes a user for the invited address where there is none. The mailed link has proved the address. The user's
// own audit stream begins with the first thing that they do.
func (o *offer) person(ctx context.Context, tx *op.Tx, name string) (err error) {
	if o.user.ID != "" {
		return nil
	}
	o.user, err = InsertUser(ctx, tx, tx.NewID("usr"), o.email, name)
	if _, taken := sqldb.Conflict(err); taken {
		return &op.Error{Kind: op.Unavailable, Text: "an account was made for this address at the same moment: try again", RetryAfter: time.Second}
	}
	return err
}

// endFormer removes what is left of a membership whose end date has passed, so that the person can join again.
func endFormer(ctx context.Context, tx *op.Tx, organization string, user User, former memberState) error {
	if former.id == "" {
		return nil
	}
	tx.Also("member", former.id, user.Label())
	if _, err := tx.Exec(ctx, "UPDATE members SET status = 'removed', removed_at = ends_at, version = version + 1 WHERE organization = $1 AND id = $2",
		organization, former.id); err != nil {
		return err
	}
	l := leaver{Member: Member{ID: former.id, Organization: organization, Status: former.status,
		principal: former.principal(tx.Charter, organization, user.ID)}}
	_, _, err := l.leaveKeys(ctx, tx, nil, "")
	return err
}

// Answer is what became of an invitation.
type Answer struct {
	State InvitationState `json:"state" enum:"declined"`
}

// DeclineInvitation turns an invitation down for good. Whoever may accept it may decline it.
var DeclineInvitation = &op.Op[TokenInput, Answer]{
	Name:    "invitations.decline",
	Route:   "POST /v1/invitations/decline",
	Summary: "Decline an invitation by the token of its link",
	Kind:    op.Write,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Confirm: op.L1,
	Target: func(ctx context.Context, r *op.Reader, in TokenInput) (op.Target, error) {
		return answerTarget(ctx, r, in.Token)
	},
	Do:      declineInvitation,
	Example: TokenInput{Token: "000000000000000000000000000"},
}

func declineInvitation(ctx context.Context, tx *op.Tx, _ TokenInput) (Answer, error) {
	o, _ := tx.Target().Value.(offer)
	return Answer{State: Declined}, o.settle(ctx, tx, Declined, "")
}

// MyInvitation is a pending invitation as the invited person sees it.
type MyInvitation struct {
	ID           string         `json:"id" doc:"The invitation's id"`
	Organization string         `json:"organization" doc:"The organization's name"`
	InvitedBy    string         `json:"invited_by" doc:"Who invites"`
	Role         charter.RoleID `json:"role"`
	RoleTitle    string         `json:"role_title"`
	Message      string         `json:"message,omitzero" doc:"What the inviter wrote; plain text"`
	CreatedAt    time.Time      `json:"created_at"`
	ExpiresAt    time.Time      `json:"expires_at"`
	EndsAt       *time.Time     `json:"ends_at,omitzero" doc:"When the membership would end"`
}

// ListMyInvitationsInput pages through one's own invitations.
type ListMyInvitationsInput struct {
	op.Page
}

// ListMyInvitations lists the pending invitations of the caller's address, the newest first. They are accepted by the
// link that was mailed.
var ListMyInvitations = &op.Op[ListMyInvitationsInput, op.List[MyInvitation]]{
	Name:    "me.invitations",
	Route:   "GET /v1/me/invitations",
	Summary: "List the pending invitations of your address",
	Scope:   op.Self,
	Allow:   op.SignedIn,
	Do:      listMyInvitations,
}

func listMyInvitations(ctx context.Context, tx *op.Tx, in ListMyInvitationsInput) (op.List[MyInvitation], error) {
	folded, err := Fold(tx.Actor.Email)
	if err != nil {
		return op.List[MyInvitation]{Data: []MyInvitation{}}, nil // a user whom the product made without an address
	}
	var c conditions
	c.add("i.email_folded = ? AND i.state = 'pending'", folded)
	c.add("i.expires_at > ?", tx.Micros())
	if only := tx.Actor.Credential.Organization; only != "" { // the session is that organization's
		c.add("i.organization = ?", only)
	}
	c.parts = append(c.parts, "EXISTS (SELECT 1 FROM organizations o WHERE o.id = i.organization AND o.state = 'active')")
	rows, err := invitationPage(ctx, tx.Reader, &c, &in.Page)
	if err != nil {
		return op.List[MyInvitation]{}, err
	}
	names, err := organizationNames(ctx, tx.Reader, rows)
	if err != nil {
		return op.List[MyInvitation]{}, err
	}
	mine := make([]MyInvitation, len(rows))
	for n, i := range rows {
		mine[n] = MyInvitation{ID: i.id, Organization: names[i.organization], InvitedBy: i.inviterName(tx.Reader), Role: i.role,
			RoleTitle: i.named.label(tx.Charter), Message: i.message, CreatedAt: time.UnixMicro(i.createdAt).UTC(),
			ExpiresAt: time.UnixMicro(i.expiresAt).UTC(), EndsAt: when(i.endsAt)}
	}
	return op.Listed(tx.Reader, &in.Page, mine, func(i MyInvitation) []string {
		return []string{strconv.FormatInt(i.CreatedAt.UnixMicro(), 10), i.ID}
	}), nil
}

// organizationNames reads the names of the invitations' organizations.
func organizationNames(ctx context.Context, r *op.Reader, invitations []invitationRow) (map[string]string, error) {
	names := map[string]string{}
	if len(invitations) == 0 {
		return names, nil
	}
	ids := make([]string, len(invitations))
	for n, i := range invitations {
		ids[n] = i.organization
	}
	in, args := sqldb.Placeholders(1, ids)
	rows, err := r.Query(ctx, "SELECT o.id, o.name FROM organizations o WHERE o.id IN ("+in+")", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, name string
		if err := rows.Scan(&id, &name); err != nil {
			return nil, err
		}
		names[id] = name
	}
	return names, rows.Err()
}
