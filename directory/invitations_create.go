package directory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// longestInvitation bounds the expiry that an inviter may choose.
const longestInvitation = 30 * 24 * time.Hour

// CreateInvitationInput says whom to invite.
type CreateInvitationInput struct {
	op.InOrganization
	Email     string         `json:"email" doc:"The address to invite, alone or as Name <mail>" minLength:"1" maxLength:"512" example:"zoe@acme.test"`
	Role      charter.RoleID `json:"role" doc:"The role that the person will have: at or below your own" minLength:"1" maxLength:"40" example:"editor"`
	Message   string         `json:"message,omitzero" doc:"A few words for the mail; plain text" maxLength:"1000"`
	ExpiresAt *time.Time     `json:"expires_at,omitzero" doc:"When the invitation expires, at most 30 days from now; left out: what the charter says"`
	EndsAt    *time.Time     `json:"ends_at,omitzero" doc:"When the membership will end, for contractors; needs members.remove"`
}

// Validate checks the message.
func (in CreateInvitationInput) Validate() []op.FieldError { return checkMessage(in.Message) }

// CreateInvitation invites one address: a mail with a link goes out, and a seat is held.
var CreateInvitation = &op.Op[CreateInvitationInput, Invitation]{
	Name:    "invitations.create",
	Route:   "POST /v1/organizations/{organization}/invitations",
	Summary: "Invite somebody by e-mail",
	Kind:    op.Write,
	Allow:   op.On("members.invite"),
	Do:      createInvitation,
	Example: CreateInvitationInput{Email: "zoe@acme.test", Role: "editor"},
}

func createInvitation(ctx context.Context, tx *op.Tx, in CreateInvitationInput) (Invitation, error) {
	terms, err := termsOf(tx.Reader, in.Message, in.ExpiresAt)
	if err != nil {
		return Invitation{}, err
	}
	if err := demandEnd(ctx, tx.Reader, in.EndsAt != nil); err != nil {
		return Invitation{}, err
	}
	c := newCandidate(in.Email, in.Role, in.EndsAt)
	desk, err := openDesk(ctx, tx.Reader, []candidate{c})
	if err != nil {
		return Invitation{}, err
	}
	if err := desk.judge(ctx, tx.Reader, c); err != nil {
		return Invitation{}, err
	}
	made, err := desk.invite(ctx, tx, terms, []candidate{c})
	if err != nil {
		return Invitation{}, err
	}
	return made[0].show(tx.Reader), nil
}

// terms are what all invitations of one call share.
type terms struct {
	message   string
	expiresAt int64
}

func termsOf(r *op.Reader, message string, expires *time.Time) (terms, error) {
	t := terms{message: cleanMessage(message), expiresAt: r.Now.Add(r.Charter.Rules.Invitations.ExpireAfter).UnixMicro()}
	if expires == nil {
		return t, nil
	}
	if !expires.After(r.Now) || expires.After(r.Now.Add(longestInvitation)) {
		return t, op.InvalidField("expires_at", "out_of_range", "expires_at has to be in the future, and at most 30 days from now")
	}
	t.expiresAt = expires.UnixMicro()
	return t, nil
}

// candidate is somebody who might be invited.
type candidate struct {
	address Address
	problem error // what is wrong with the address
	role    charter.RoleID
	endsAt  int64
}

func newCandidate(email string, role charter.RoleID, ends *time.Time) candidate {
	c := candidate{role: role}
	c.address, c.problem = ParseAddress(email)
	if ends != nil {
		c.endsAt = ends.UnixMicro()
	}
	return c
}

// desk is what decides about candidates: what the organization has left, and what is known of their addresses. Each
// candidate that it lets through takes a seat and a mail.
type desk struct {
	capacity
	known map[string]acquaintance  // by folded address
	roles map[string]*charter.Role // those of the organization that candidates name
	seen  map[string]bool
	names bool // the actor may be told who is a member
}

// acquaintance is what the organization knows of an address.
type acquaintance struct {
	account         string // the address of the user who has it, wherever
	member, pending string // ids
	lapsed          bool   // a pending invitation is past its time
	mails           int64  // sent to it today
}

// openDesk reads all that judging needs: two statements, whatever the number of candidates.
func openDesk(ctx context.Context, r *op.Reader, candidates []candidate) (*desk, error) {
	d := &desk{seen: map[string]bool{}, names: r.May("members.view").Allow}
	var err error
	if d.capacity, err = readCapacity(ctx, r, r.Organization(), inviterID(r.Actor)); err != nil {
		return nil, err
	}
	d.known, d.roles, err = acquaintances(ctx, r, candidates)
	return d, err
}

// acquaintances reads what is known of the candidates' addresses, and the organization's own roles among theirs.
func acquaintances(ctx context.Context, r *op.Reader, candidates []candidate) (map[string]acquaintance, map[string]*charter.Role, error) {
	known, roles := map[string]acquaintance{}, map[string]*charter.Role{}
	var addresses []string
	named := []string{"-"} // no role's id
	for _, c := range candidates {
		if c.problem == nil {
			addresses = append(addresses, c.address.Folded)
		}
		if id.Valid("rol", string(c.role)) && !slices.Contains(named, string(c.role)) {
			named = append(named, string(c.role))
		}
	}
	if len(addresses) == 0 {
		return known, roles, nil
	}
	in, args := sqldb.Placeholders(4, addresses)
	ids, more := sqldb.Placeholders(4+len(args), named)
	rows, err := r.Query(ctx, `SELECT u.email_folded, m.id, 'member', m.ends_at, m.ends_at, ''
		FROM members m JOIN users u ON u.id = m.user_id
		WHERE m.organization = $1 AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $2) AND u.email_folded IN (`+in+`)
		UNION ALL
		SELECT u.email_folded, u.email, 'account', 0, 0, '' FROM users u WHERE u.email_folded IN (`+in+`)
		UNION ALL
		SELECT i.email_folded, i.id, i.state, i.expires_at, CASE WHEN i.sent_at >= $3 THEN i.sends_today ELSE 0 END, ''
		FROM invitations i
		WHERE i.organization = $1 AND (i.state = 'pending' OR i.sent_at >= $3) AND i.email_folded IN (`+in+`)
		UNION ALL
		SELECT cr.id, cr.title, 'role', 0, 0, cr.permissions FROM organization_roles cr WHERE cr.organization = $1 AND cr.id IN (`+ids+`)`,
		slices.Concat([]any{r.Organization(), r.Micros(), today(r)}, args, more)...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var key, id, what, permissions string
		var until, mails int64
		if err := rows.Scan(&key, &id, &what, &until, &mails, &permissions); err != nil {
			return nil, nil, err
		}
		if what == "role" {
			roles[key], _ = namedRole{id: key, title: id, permissions: permissions}.role(r.Charter)
			continue
		}
		known[key] = known[key].with(id, what, until, mails, r.Micros())
	}
	return known, roles, rows.Err()
}

func (a acquaintance) with(id, what string, until, mails, now int64) acquaintance {
	switch what {
	case "member":
		a.member = id
		return a
	case "account":
		a.account = id
		return a
	}
	a.mails += mails
	if what == string(Pending) && until > now {
		a.pending = id
	}
	if what == string(Pending) && until <= now {
		a.lapsed = true
	}
	return a
}

// The codes of what a candidate can be refused for, beside those of a role that is above the actor's.
const (
	codeAlreadyMember  = "already_member"
	codeAlreadyInvited = "already_invited"
	codeDuplicate      = "duplicate"
	codeNoSeat         = "no_seat"
	codeWorkEmailOnly  = "work_email_only"
)

// judge says whether a candidate may be invited now, and takes a seat and a mail if so. Whoever may not see members
// learns nothing of who is one: a member is invited like anybody else, and accepting changes nothing for them.
func (d *desk) judge(ctx context.Context, r *op.Reader, c candidate) error {
	if c.problem != nil {
		return op.InvalidField("email", "invalid", "%v", c.problem)
	}
	if d.seen[c.address.Folded] {
		return op.Errorf(op.Conflict, codeDuplicate, "%s stands above already", quoted(c.address.Email))
	}
	d.seen[c.address.Folded] = true
	role, ok := d.role(r, c.role)
	if !ok {
		return op.InvalidField("role", "unknown", "there is no role %q", string(c.role))
	}
	if err := grantable(ctx, r, role, c.endsAt); err != nil {
		return err
	}
	rules, known := r.Charter.Rules.Invitations, d.known[c.address.Folded]
	switch {
	case rules.WorkEmailOnly && slices.Contains(rules.FreeMail, domainOf(c.address.Folded)):
		e := op.InvalidField("email", codeWorkEmailOnly, "%s is no work address: addresses at %s are not invited", quoted(c.address.Email), domainOf(c.address.Folded))
		e.Code = codeWorkEmailOnly
		return e
	case known.member != "" && d.names:
		return &op.Error{Kind: op.Conflict, Code: codeAlreadyMember, Text: quoted(c.address.Email) + " is a member already",
			Refers: map[string]string{"member": known.member}}
	case known.pending != "":
		return &op.Error{Kind: op.Conflict, Code: codeAlreadyInvited, Refers: map[string]string{"invitation": known.pending},
			Text: quoted(c.address.Email) + " is invited already: re-send that invitation, or change it"}
	}
	if err := d.seat(); err != nil {
		return err
	}
	if known.mails > int64(r.Settings.ResendsPerDay) && r.Settings.ResendsPerDay > 0 {
		return limited(untilTomorrow(r), "%s was sent %d invitations today: try again tomorrow", quoted(c.address.Email), known.mails)
	}
	return d.mail(r)
}

// role is a role that a candidate may name.
func (d *desk) role(r *op.Reader, id charter.RoleID) (*charter.Role, bool) {
	if role, ok := r.Charter.Role(id); ok {
		return role, true
	}
	role, ok := d.roles[string(id)]
	return role, ok
}

// grantable refuses a role that the actor may not give, and an end date that does not fit it.
func grantable(ctx context.Context, r *op.Reader, role *charter.Role, endsAt int64) error {
	if d := decide.Grant(r.Charter, &r.Actor.Principal, role); !d.Allow {
		return r.Refuse(ctx, d)
	}
	return fitsEnd(role, endsAt, r.Micros())
}

// fitsEnd refuses an end date in the past, and any for the owner role.
func fitsEnd(role *charter.Role, endsAt, now int64) error {
	switch {
	case endsAt != 0 && role.Owner:
		return op.InvalidField("ends_at", "owner", "the membership of an owner has no end date")
	case endsAt != 0 && endsAt <= now:
		return op.InvalidField("ends_at", "past", "ends_at has to be in the future")
	}
	return nil
}

// demandEnd asks for the right to end memberships of whoever says when one will end.
func demandEnd(ctx context.Context, r *op.Reader, said bool) error {
	if !said {
		return nil
	}
	return r.Demand(ctx, "members.remove")
}

// invite makes the invitations of candidates that were judged, and sends their mails: two statements at most.
func (d *desk) invite(ctx context.Context, tx *op.Tx, t terms, candidates []candidate) ([]invitationRow, error) {
	if err := d.settleLapsed(ctx, tx, candidates); err != nil {
		return nil, err
	}
	made := make([]invitationRow, 0, len(candidates))
	var values []any
	for _, c := range candidates {
		i := d.newInvitation(tx, t, c)
		token := secret.NewLink()
		hash := token.Hash()
		i.mail = i.post(tx, d.organizationName, token)
		tx.Also("invitation", i.id, i.email)
		tx.Changed("role", nil, i.role)
		values = append(values, i.id, i.organization, i.email, i.folded, string(i.role), string(i.stored), false, i.message, hash[:],
			i.invitedBy, i.endsAt, i.expiresAt, i.sentAt, i.sends, i.delivery, "", i.mail, "", 0, i.version, i.createdAt)
		made = append(made, i)
	}
	_, err := tx.Exec(ctx, `INSERT INTO invitations (id, organization, email, email_folded, role, state, needs_approval, message, token_hash,
		invited_by, member_ends_at, expires_at, sent_at, sends_today, delivery, delivery_error, mail, accepted_member, settled_at,
		version, created_at) VALUES `+rowsOf(21, len(values)), values...)
	return made, err
}

func (d *desk) newInvitation(tx *op.Tx, t terms, c candidate) invitationRow {
	i := invitationRow{id: tx.NewID("inv"), organization: tx.Organization(), email: c.address.Email, folded: c.address.Folded,
		role: c.role, stored: Pending, message: t.message, endsAt: c.endsAt, expiresAt: t.expiresAt,
		sentAt: tx.Micros(), sends: 1, delivery: "queued", version: 1, createdAt: tx.Micros()}
	if role, ok := d.role(tx.Reader, c.role); ok {
		i.named = namedAs(role)
	}
	i.mailedTo = cmp.Or(d.known[i.folded].account, i.email)
	i.vouchFor(tx)
	i.capExpiry()
	return i
}

// inviterID is what an invitation keeps of who sent it: the member, or the operator.
func inviterID(a *op.Actor) string { return cmp.Or(a.Principal.Member, a.ID) }

// vouchFor makes the actor the one whose right to grant the role is asked at acceptance.
func (i *invitationRow) vouchFor(tx *op.Tx) {
	i.invitedBy, i.inviter, i.needsApproval = inviterID(tx.Actor), "", false
	if tx.Actor.User != "" {
		i.inviter = User{Name: tx.Actor.Name, Email: tx.Actor.Email}.Label()
	}
}

// capExpiry makes an invitation expire no later than the membership that it offers ends.
func (i *invitationRow) capExpiry() {
	if i.endsAt != 0 {
		i.expiresAt = min(i.expiresAt, i.endsAt)
	}
}

// settleLapsed ends pending invitations past their time whose addresses are invited again.
func (d *desk) settleLapsed(ctx context.Context, tx *op.Tx, candidates []candidate) error {
	var lapsed []string
	for _, c := range candidates {
		if d.known[c.address.Folded].lapsed {
			lapsed = append(lapsed, c.address.Folded)
		}
	}
	if len(lapsed) == 0 {
		return nil
	}
	in, args := sqldb.Placeholders(3, lapsed)
	_, err := tx.Exec(ctx, `UPDATE invitations SET state = 'expired', settled_at = expires_at, version = version + 1
		WHERE organization = $1 AND state = 'pending' AND expires_at <= $2 AND email_folded IN (`+in+")",
		append([]any{tx.Organization(), tx.Micros()}, args...)...)
	return err
}
