package directory

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// UpdateInvitationInput says what to change of a pending invitation; what is left out stays.
type UpdateInvitationInput struct {
	InvitationInput
	Role   *charter.RoleID `json:"role,omitzero" doc:"Another role, at or below your own" minLength:"1" maxLength:"40" example:"viewer"`
	EndsAt *string         `json:"ends_at,omitzero" doc:"When the membership will end (RFC 3339); empty: never; needs members.remove" maxLength:"40" example:"2027-03-31T00:00:00Z"`
}

// Validate checks the end date.
func (in UpdateInvitationInput) Validate() []op.FieldError {
	if _, err := in.ends(); err != nil {
		return []op.FieldError{{Pointer: "/ends_at", Code: "invalid", Detail: "ends_at has to be a time such as 2027-03-31T00:00:00Z, or empty"}}
	}
	return nil
}

func (in UpdateInvitationInput) ends() (int64, error) {
	if in.EndsAt == nil || *in.EndsAt == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339, *in.EndsAt)
	return t.UnixMicro(), err
}

// UpdateInvitation changes the role or the end date that a pending invitation offers. It is sent again, and the old
// links end. Whoever changes the role becomes the inviter.
var UpdateInvitation = &op.Op[UpdateInvitationInput, Invitation]{
	Name:    "invitations.update",
	Route:   "PATCH /v1/organizations/{organization}/invitations/{invitation}",
	Summary: "Change the role or end date of a pending invitation, and send it again",
	Kind:    op.Write,
	Allow:   op.On("members.invite"),
	Target: func(ctx context.Context, r *op.Reader, in UpdateInvitationInput) (op.Target, error) {
		return in.target(ctx, r)
	},
	Do:      updateInvitation,
	Example: UpdateInvitationInput{InvitationInput: InvitationInput{Invitation: "inv_00000000000000000000000000"}, Role: new(charter.RoleID("viewer"))},
}

func updateInvitation(ctx context.Context, tx *op.Tx, in UpdateInvitationInput) (Invitation, error) {
	i, err := targeted(tx)
	if err != nil {
		return Invitation{}, err
	}
	was := i
	if err := i.change(ctx, tx, in); err != nil {
		return Invitation{}, err
	}
	if i == was {
		tx.Unchanged()
		return i.show(tx.Reader), nil
	}
	if i.role != was.role {
		tx.Changed("role", was.role, i.role)
	}
	if i.endsAt != was.endsAt {
		tx.Changed("ends_at", when(was.endsAt), when(i.endsAt))
	}
	i.capExpiry()
	err = i.sendAgain(ctx, tx)
	return i.show(tx.Reader), err
}

// change sets what the input says, after asking whether the actor may.
func (i *invitationRow) change(ctx context.Context, tx *op.Tx, in UpdateInvitationInput) error {
	if err := demandEnd(ctx, tx.Reader, in.EndsAt != nil); err != nil {
		return err
	}
	if in.EndsAt != nil {
		i.endsAt, _ = in.ends()
	}
	if in.Role == nil && in.EndsAt == nil {
		return nil
	}
	wanted := i.role
	if in.Role != nil {
		wanted = *in.Role
	}
	role, err := knownRole(ctx, tx.Reader, string(wanted))
	if err != nil {
		return err
	}
	if role.ID != i.role {
		i.role, i.named = role.ID, namedAs(role)
		i.vouchFor(tx)
	}
	return grantable(ctx, tx.Reader, role, i.endsAt)
}

// ResendInvitation mails a pending invitation again, whoever made it.
var ResendInvitation = &op.Op[InvitationInput, Invitation]{
	Name:    "invitations.resend",
	Route:   "POST /v1/organizations/{organization}/invitations/{invitation}/resend",
	Summary: "Send a pending invitation again with a new link and a later expiry: the old links end",
	Kind:    op.Write,
	Allow:   op.On("members.invite"),
	Target:  invitationTarget,
	Do:      resendInvitation,
	Example: InvitationInput{Invitation: "inv_00000000000000000000000000"},
}

func resendInvitation(ctx context.Context, tx *op.Tx, _ InvitationInput) (Invitation, error) {
	i, err := targeted(tx)
	if err != nil {
		return Invitation{}, err
	}
	before := i.expiresAt
	i.expiresAt = max(before, tx.Now.Add(tx.Charter.Rules.Invitations.ExpireAfter).UnixMicro())
	i.capExpiry()
	if i.expiresAt != before {
		tx.Changed("expires_at", when(before), when(i.expiresAt))
	}
	err = i.sendAgain(ctx, tx)
	return i.show(tx.Reader), err
}

// sendAgain stores a changed invitation with a new token and mails it. Both links that there were end.
func (i *invitationRow) sendAgain(ctx context.Context, tx *op.Tx) error {
	c, err := readCapacity(ctx, tx.Reader, i.organization, i.invitedBy)
	if err != nil {
		return err
	}
	if err := i.resendable(tx.Reader, &c); err != nil {
		return err
	}
	token := secret.NewLink()
	hash := token.Hash()
	i.sends, i.sentAt, i.delivery, i.deliveryError = i.sentToday(tx.Reader)+1, tx.Micros(), "queued", ""
	i.mail = i.post(tx, c.organizationName, token)
	i.version++
	_, err = tx.Exec(ctx, `UPDATE invitations SET role = $3, needs_approval = $4, token_hash = $5, link_hash = NULL, invited_by = $6,
			member_ends_at = $7, expires_at = $8, sent_at = $9, sends_today = $10, delivery = 'queued', delivery_error = '',
			mail = $11, version = $12
		WHERE organization = $1 AND id = $2 AND state = 'pending'`, i.organization, i.id, string(i.role), i.needsApproval, hash[:],
		i.invitedBy, i.endsAt, i.expiresAt, i.sentAt, i.sends, i.mail, i.version)
	return err
}

// InvitationLink is a link to hand over by other means than mail. It is shown once.
type InvitationLink struct {
	Invitation string    `json:"invitation" doc:"The invitation's id"`
	Link       string    `json:"link,omitzero" doc:"The link; shown this once. Whoever opens it still has to prove the invited address"`
	ExpiresAt  time.Time `json:"expires_at"`
	Shown      bool      `json:"secret_shown" doc:"False in a repeat: ask for a new link"`
}

// WithoutSecret is the answer without the link.
func (l InvitationLink) WithoutSecret() any {
	l.Link, l.Shown = "", false
	return l
}

// LinkInvitation makes a link to a pending invitation that can be copied. It proves nothing about who opens it; a link
// that was copied before ends, the mailed one stays.
var LinkInvitation = &op.Op[InvitationInput, InvitationLink]{
	Name:    "invitations.link",
	Route:   "POST /v1/organizations/{organization}/invitations/{invitation}/link",
	Summary: "Make a link to copy; whoever opens it proves the invited address first",
	Kind:    op.Write,
	Allow:   op.On("members.invite"),
	Target:  invitationTarget,
	Do:      linkInvitation,
	Example: InvitationInput{Invitation: "inv_00000000000000000000000000"},
}

func linkInvitation(ctx context.Context, tx *op.Tx, _ InvitationInput) (InvitationLink, error) {
	i, err := targeted(tx)
	if err != nil {
		return InvitationLink{}, err
	}
	token := secret.NewLink()
	hash := token.Hash()
	_, err = tx.Exec(ctx, `UPDATE invitations SET link_hash = $3, version = version + 1
		WHERE organization = $1 AND id = $2 AND state = 'pending'`, i.organization, i.id, hash[:])
	return InvitationLink{Invitation: i.id, Link: tx.Settings.URL("/i/" + token.Reveal()),
		ExpiresAt: time.UnixMicro(i.expiresAt).UTC(), Shown: true}, err
}

// ReapproveInvitation makes the caller the inviter of a pending invitation, so that it can be accepted although the one
// who sent it may no longer grant the role. Its links stay.
var ReapproveInvitation = &op.Op[InvitationInput, Invitation]{
	Name:    "invitations.reapprove",
	Route:   "POST /v1/organizations/{organization}/invitations/{invitation}/reapprove",
	Summary: "Stand for an invitation whose inviter lost the right to grant its role",
	Kind:    op.Write,
	Allow:   op.On("members.invite"),
	Confirm: op.L1,
	Target:  invitationTarget,
	Do:      reapproveInvitation,
	Example: InvitationInput{Invitation: "inv_00000000000000000000000000"},
}

func reapproveInvitation(ctx context.Context, tx *op.Tx, _ InvitationInput) (Invitation, error) {
	i, err := targeted(tx)
	if err != nil {
		return Invitation{}, err
	}
	role, ok := i.named.role(tx.Charter)
	if !ok {
		return Invitation{}, op.Errorf(op.Conflict, "role_gone", "there is no role %q any more: choose another one", string(i.role))
	}
	if d := decide.Grant(tx.Charter, &tx.Actor.Principal, role); !d.Allow {
		return Invitation{}, tx.Refuse(ctx, d)
	}
	if i.invitedBy == inviterID(tx.Actor) && !i.needsApproval {
		tx.Unchanged()
		return i.show(tx.Reader), nil
	}
	before := i.invitedBy
	i.vouchFor(tx)
	tx.Changed("invited_by", before, i.invitedBy)
	i.version++
	_, err = tx.Exec(ctx, `UPDATE invitations SET invited_by = $3, needs_approval = FALSE, version = $4
		WHERE organization = $1 AND id = $2 AND state = 'pending'`, i.organization, i.id, i.invitedBy, i.version)
	return i.show(tx.Reader), err
}
