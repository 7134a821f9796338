package directory

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// Invitation asks somebody to join an organization with a role. While it is pending it holds a seat.
type Invitation struct {
	ID            string          `json:"id" doc:"The invitation's id" example:"inv_01k..."`
	Email         string          `json:"email" doc:"The invited address, as it was written; mail goes there" example:"zoe@acme.test"`
	Role          charter.RoleID  `json:"role" cli:"-" doc:"The role that the person will have" example:"editor"`
	RoleTitle     string          `json:"role_title" doc:"What people call the role" example:"Editor"`
	State         InvitationState `json:"state" enum:"pending,accepted,declined,cancelled,expired" doc:"All but pending are final"`
	NeedsApproval bool            `json:"needs_approval" doc:"The inviter lost the right to grant the role: nobody joins until somebody who has it approves"`
	Message       string          `json:"message" cli:"-" doc:"What the inviter wrote; plain text"`
	InvitedBy     Inviter         `json:"invited_by" doc:"Who invites, or approved the invitation"`
	CreatedAt     time.Time       `json:"created_at"`
	SentAt        time.Time       `json:"sent_at" cli:"-" doc:"When its mail was last sent off"`
	ExpiresAt     time.Time       `json:"expires_at" doc:"From this moment on it cannot be accepted"`
	EndsAt        *time.Time      `json:"ends_at,omitzero" doc:"When the membership will end; absent: never"`
	Delivery      string          `json:"delivery" enum:"queued,sent,failed" doc:"What became of the last mail"`
	Frozen        bool            `json:"frozen,omitzero" doc:"There is no seat: until one is free it can neither be accepted nor sent again"`
	DeliveryError string          `json:"delivery_error,omitzero" doc:"Why the last mail could not be delivered"`
	Member        string          `json:"member,omitzero" cli:"-" doc:"The member that accepting it made"`
	SettledAt     *time.Time      `json:"settled_at,omitzero" cli:"-" doc:"When it was accepted, declined or cancelled, or expired"`
	Version       int64           `json:"version" cli:"-" doc:"Counts the changes; the ETag"`
}

// ETag is the invitation's version.
func (i Invitation) ETag() string { return op.VersionTag(i.Version) }

// Inviter is who invites.
type Inviter struct {
	Member string `json:"member,omitzero" doc:"The member's id; absent if it was the operator"`
	Name   string `json:"name" doc:"The person's name, else the address"`
}

// InvitationState says what became of an invitation.
type InvitationState string

// The states of an invitation. All but the first are final.
const (
	Pending   InvitationState = "pending"
	Accepted  InvitationState = "accepted"
	Declined  InvitationState = "declined"
	Cancelled InvitationState = "cancelled"
	Expired   InvitationState = "expired"
)

// invitationRow is an invitation as it is stored, with the name of its inviter. Its mail goes to the address that the
// invited person's account has, if there is one, and not to the one that somebody typed.
type invitationRow struct {
	id, organization, email, folded       string
	role                                  charter.RoleID
	named                                 namedRole // the role, with what the table keeps of it
	stored                                InvitationState
	needsApproval                         bool
	message, invitedBy, inviter, mailedTo string
	endsAt, expiresAt, sentAt, sends      int64
	delivery, deliveryError, mail, joined string
	settledAt, version, createdAt         int64
	frozen                                bool // the organization has as many members as seats
}

const invitationColumns = `i.id, i.organization, i.email, i.email_folded, i.role, i.state, i.needs_approval, i.message,
	i.invited_by, COALESCE(NULLIF(iu.name, ''), iu.email, ''), COALESCE(u.email, i.email), i.member_ends_at, i.expires_at, i.sent_at, i.sends_today,
	i.delivery, i.delivery_error, i.mail, i.accepted_member, i.settled_at, i.version, i.created_at,
	COALESCE(ir.title, ''), COALESCE(ir.description, ''), COALESCE(ir.permissions, '')`

const invitationsJoined = ` FROM invitations i
	LEFT JOIN members im ON im.organization = i.organization AND im.id = i.invited_by
	LEFT JOIN users iu ON iu.id = im.user_id
	LEFT JOIN users u ON u.email_folded = i.email_folded
	LEFT JOIN organization_roles ir ON ir.organization = i.organization AND ir.id = i.role
	`

func scanInvitation(row interface{ Scan(...any) error }, more ...any) (invitationRow, error) {
	var i invitationRow
	err := row.Scan(append([]any{&i.id, &i.organization, &i.email, &i.folded, &i.role, &i.stored, &i.needsApproval, &i.message,
		&i.invitedBy, &i.inviter, &i.mailedTo, &i.endsAt, &i.expiresAt, &i.sentAt, &i.sends,
		&i.delivery, &i.deliveryError, &i.mail, &i.joined, &i.settledAt, &i.version, &i.createdAt,
		&i.named.title, &i.named.description, &i.named.permissions}, more...)...)
	i.named.id = string(i.role)
	if errors.Is(err, sql.ErrNoRows) {
		err = op.ErrNotFound
	}
	return i, err
}

// state is what the invitation is at a moment: a pending one has expired at its own microsecond, not after it.
func (i invitationRow) state(now int64) InvitationState {
	if i.stored == Pending && now >= i.expiresAt {
		return Expired
	}
	return i.stored
}

// open refuses what is done with an invitation that is no longer pending.
func (i invitationRow) open(now int64) error {
	state := i.state(now)
	texts := map[InvitationState]string{Accepted: "was accepted already", Declined: "was declined",
		Cancelled: "was cancelled", Expired: "has expired"}
	if state == Pending {
		return nil
	}
	return op.Errorf(op.Gone, "invitation_"+string(state), "this invitation %s", texts[state])
}

// inviterName is whom the mail and the page name.
func (i invitationRow) inviterName(r *op.Reader) string {
	if i.inviter == "" {
		return r.Charter.Product
	}
	return i.inviter
}

// show is the invitation for those who manage it.
func (i invitationRow) show(r *op.Reader) Invitation {
	shown := Invitation{ID: i.id, Email: i.email, Role: i.role, RoleTitle: i.named.label(r.Charter), State: i.state(r.Micros()),
		NeedsApproval: i.needsApproval, Message: i.message, InvitedBy: Inviter{Name: i.inviterName(r)},
		CreatedAt: time.UnixMicro(i.createdAt).UTC(), SentAt: time.UnixMicro(i.sentAt).UTC(), ExpiresAt: time.UnixMicro(i.expiresAt).UTC(),
		EndsAt: when(i.endsAt), Delivery: i.delivery, Frozen: i.frozen && i.state(r.Micros()) == Pending, DeliveryError: i.deliveryError, Member: i.joined,
		SettledAt: when(i.settledAt), Version: i.version}
	if i.inviter != "" {
		shown.InvitedBy.Member = i.invitedBy
	}
	if shown.State == Expired && i.settledAt == 0 {
		shown.SettledAt = when(i.expiresAt)
	}
	return shown
}

// InvitationInput names one invitation.
type InvitationInput struct {
	op.InOrganization
	Invitation string `json:"invitation" doc:"The invitation's id" example:"inv_01k..." maxLength:"64" required:"false"`
}

// target loads the invitation that an operation is about.
func (in InvitationInput) target(ctx context.Context, r *op.Reader) (op.Target, error) {
	i, err := scanInvitation(r.QueryRow(ctx, "SELECT "+invitationColumns+invitationsJoined+
		"WHERE i.organization = $1 AND i.id = $2", r.Organization(), in.Invitation))
	if err != nil {
		return op.Target{}, err
	}
	return op.Target{Organization: i.organization, Type: "invitation", ID: i.id, Name: i.email, Version: i.version,
		Current: i.show(r), Value: i}, nil
}

func invitationTarget(ctx context.Context, r *op.Reader, in InvitationInput) (op.Target, error) {
	return in.target(ctx, r)
}

// targeted is the invitation that Target loaded, if it is still open.
func targeted(tx *op.Tx) (invitationRow, error) {
	i, _ := tx.Target().Value.(invitationRow)
	return i, i.open(tx.Micros())
}

// ListInvitationsInput filters an organization's invitations.
type ListInvitationsInput struct {
	op.InOrganization
	op.Page
	State InvitationState `json:"state,omitzero" doc:"Only those in this state" enum:"pending,accepted,declined,cancelled,expired"`
	Q     string          `json:"q,omitzero" doc:"Only addresses with this text in them" maxLength:"254"`
}

// ListInvitations lists an organization's invitations, the newest first.
var ListInvitations = &op.Op[ListInvitationsInput, op.List[Invitation]]{
	Name:    "invitations.list",
	Route:   "GET /v1/organizations/{organization}/invitations",
	Summary: "List invitations, the newest first",
	Allow:   op.On("members.invite"),
	Do:      listInvitations,
	Example: ListInvitationsInput{State: Pending},
}

func listInvitations(ctx context.Context, tx *op.Tx, in ListInvitationsInput) (op.List[Invitation], error) {
	var c conditions
	c.add("i.organization = ?", tx.Organization())
	switch in.State {
	case "":
	case Pending:
		c.add("i.state = 'pending' AND i.expires_at > ?", tx.Micros())
	case Expired:
		c.add("(i.state = 'expired' OR i.state = 'pending' AND i.expires_at <= ?)", tx.Micros())
	default:
		c.add("i.state = ?", string(in.State))
	}
	if in.Q != "" {
		c.add("i.email_folded LIKE ? ESCAPE '!'", contains(lowerASCII(in.Q)))
	}
	rows, err := invitationPage(ctx, tx.Reader, &c, &in.Page)
	if err != nil {
		return op.List[Invitation]{}, err
	}
	full, err := fullHouse(ctx, tx.Reader)
	if err != nil {
		return op.List[Invitation]{}, err
	}
	shown := make([]Invitation, len(rows))
	for n, i := range rows {
		i.frozen = full
		shown[n] = i.show(tx.Reader)
	}
	return op.Listed(tx.Reader, &in.Page, shown, func(i Invitation) []string {
		return []string{strconv.FormatInt(i.CreatedAt.UnixMicro(), 10), i.ID}
	}), nil
}

// invitationPage reads one page of invitations and one row more, the newest first.
func invitationPage(ctx context.Context, r *op.Reader, c *conditions, p *op.Page) ([]invitationRow, error) {
	if after := p.After(); len(after) == 2 {
		created, err := strconv.ParseInt(after[0], 10, 64)
		if err != nil {
			return nil, err
		}
		at, id := c.param(created), c.param(after[1])
		c.parts = append(c.parts, "(i.created_at < "+at+" OR i.created_at = "+at+" AND i.id < "+id+")")
	}
	rows, err := r.Query(ctx, "SELECT "+invitationColumns+invitationsJoined+"WHERE "+c.where()+
		" ORDER BY i.created_at DESC, i.id DESC LIMIT "+strconv.Itoa(p.Size()+1), c.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []invitationRow
	for rows.Next() {
		i, err := scanInvitation(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	return all, rows.Err()
}

// GetInvitation shows one invitation.
var GetInvitation = &op.Op[InvitationInput, Invitation]{
	Name:    "invitations.get",
	Route:   "GET /v1/organizations/{organization}/invitations/{invitation}",
	Summary: "Show an invitation",
	Allow:   op.On("members.invite"),
	Target:  invitationTarget,
	Do: func(ctx context.Context, tx *op.Tx, _ InvitationInput) (Invitation, error) {
		i, _ := tx.Target().Value.(invitationRow)
		var err error
		i.frozen, err = fullHouse(ctx, tx.Reader)
		return i.show(tx.Reader), err
	},
	Example: InvitationInput{Invitation: "inv_00000000000000000000000000"},
}

// CancelInvitation ends a pending invitation, whoever made it: once it has returned, nobody joins by it.
var CancelInvitation = &op.Op[InvitationInput, Invitation]{
	Name:    "invitations.cancel",
	Route:   "POST /v1/organizations/{organization}/invitations/{invitation}/cancel",
	Summary: "Cancel a pending invitation: its links end at once",
	Kind:    op.Write,
	Allow:   op.On("members.invite"),
	Confirm: op.L1,
	Target:  invitationTarget,
	Do:      cancelInvitation,
	Example: InvitationInput{Invitation: "inv_00000000000000000000000000"},
}

func cancelInvitation(ctx context.Context, tx *op.Tx, _ InvitationInput) (Invitation, error) {
	i, err := targeted(tx)
	if err != nil {
		return Invitation{}, err
	}
	err = i.settle(ctx, tx, Cancelled, "")
	return i.show(tx.Reader), err
}

// settle ends a pending invitation: one compare-and-swap, which one caller wins.
func (i *invitationRow) settle(ctx context.Context, tx *op.Tx, to InvitationState, member string) error {
	changed, err := tx.Exec(ctx, `UPDATE invitations SET state = $3, accepted_member = $4, settled_at = $5, version = version + 1
		WHERE organization = $1 AND id = $2 AND state = 'pending'`, i.organization, i.id, string(to), member, tx.Micros())
	if err != nil {
		return err
	}
	if changed == 0 {
		return op.Errorf(op.Gone, "invitation_settled", "this invitation is no longer pending")
	}
	tx.Changed("state", Pending, to)
	i.stored, i.joined, i.settledAt = to, member, tx.Micros()
	i.version++
	return nil
}

// cancelInvitationsOf ends the pending invitations of an address in an organization: with a removal dies the way
// back. It says how many there were. Those that the person sent to others stay, and are asked about when accepted.
func cancelInvitationsOf(ctx context.Context, tx *op.Tx, organization, email string) (int64, error) {
	folded, err := Fold(email)
	if err != nil {
		return 0, nil // a user whom the product made without an address was never invited
	}
	return tx.Exec(ctx, `UPDATE invitations SET state = 'cancelled', settled_at = $3, version = version + 1
		WHERE organization = $1 AND email_folded = $2 AND state = 'pending'`, organization, folded, tx.Micros())
}

// invitationOperations are the operations about invitations, in the order of the reference.
func invitationOperations() []op.Any {
	return []op.Any{CreateInvitation, CreateInvitations, PreviewInvitations, ListInvitations, GetInvitation, UpdateInvitation,
		ResendInvitation, LinkInvitation, CancelInvitation, ReapproveInvitation, OpenInvitation, AcceptInvitation,
		DeclineInvitation, ListMyInvitations}
}

// rowsOf writes the placeholders of a statement's rows: "($1, $2), ($3, $4)".
func rowsOf(columns, values int) string {
	var b strings.Builder
	for n := range values {
		switch {
		case n == 0:
			b.WriteString("(")
		case n%columns == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(n+1))
	}
	b.WriteString(")")
	return b.String()
}
