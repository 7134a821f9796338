package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/notice"
	"github.com/guildhall/guildhall/op"
)

// TransferLife is how long a hand-over of ownership waits for its recipient.
const TransferLife = 7 * 24 * time.Hour

// Transfer is a hand-over of ownership.
type Transfer struct {
	ID        string     `json:"id,omitzero" doc:"Id of a hand-over that waits for its recipient"`
	From      string     `json:"from" doc:"Member id of the owner who hands over"`
	To        string     `json:"to" doc:"Member id of the recipient"`
	State     string     `json:"state" enum:"pending,accepted,cancelled" doc:"Pending: the recipient has to accept"`
	ExpiresAt *time.Time `json:"expires_at,omitzero" doc:"Until when a pending one can be accepted"`
}

// TransferInput names the recipient.
type TransferInput struct {
	op.InOrganization
	Member string `json:"member" doc:"Member id of the recipient" maxLength:"64" example:"mem_01k..."`
	Reason string `json:"reason,omitzero" doc:"Why, for the audit log" maxLength:"500"`
}

// TransferOwnership hands the owner role over: the recipient becomes owner and the owner gets the role that the charter
// names, in one transaction. Where the charter asks for it, the recipient has to accept first.
var TransferOwnership = &op.Op[TransferInput, Transfer]{
	Name:    "ownership.transfer",
	Route:   "POST /v1/organizations/{organization}/ownership/transfer",
	Summary: "Hand ownership over to another member",
	Kind:    op.Access,
	Allow:   op.On("organization.transfer"),
	Target: func(ctx context.Context, r *op.Reader, in TransferInput) (op.Target, error) {
		return present(ctx, r, in.Member)
	},
	Fences:  func(_ TransferInput, t op.Target) []op.Fence { return fenceMember(t) },
	Preview: previewTransfer,
	Do:      transferOwnership,
	Confirm: op.L3,
	Fresh:   true,
	Example: TransferInput{InOrganization: op.InOrganization{Organization: "acme"}, Member: exampleMember.Member},
}

func transferOwnership(ctx context.Context, tx *op.Tx, in TransferInput) (Transfer, error) {
	to := tx.Target().Value.(Member)
	tx.Because(in.Reason)
	h, err := handingOver(ctx, tx.Reader, to)
	if err != nil {
		return Transfer{}, err
	}
	if tx.Charter.Rules.Ownership.Acceptance == charter.AcceptanceRequired {
		return offerOwnership(ctx, tx, h)
	}
	return swapOwner(ctx, tx, h)
}

// handOver is a change of owner with everybody whom it concerns.
type handOver struct {
	organization string // its name
	from, to     Member
	owners       []Member
}

// handingOver finds the owner who hands over: the caller, or for the operator the only owner. It refuses a recipient
// who may not receive.
func handingOver(ctx context.Context, r *op.Reader, to Member) (handOver, error) {
	h := handOver{to: to}
	if err := mayReceive(r.Charter, to); err != nil {
		return h, err
	}
	if err := h.readOwners(ctx, r); err != nil {
		return h, err
	}
	caller := r.Actor.Principal.Member
	if caller == "" && len(h.owners) != 1 {
		return h, op.Errorf(op.Conflict, "several_owners", "there are %d owners: make the recipient an owner, and lower whom you mean", len(h.owners))
	}
	for _, owner := range h.owners {
		if caller == "" || owner.ID == caller {
			h.from = owner
			return h, nil
		}
	}
	return h, op.Errorf(op.Denied, "owners_only", "only an owner hands ownership over")
}

// readOwners reads the active owners and the organization's name.
func (h *handOver) readOwners(ctx context.Context, r *op.Reader) error {
	rows, err := r.Query(ctx, "SELECT "+memberColumns+`, o.name`+membersJoined+`JOIN organizations o ON o.id = m.organization
		WHERE m.organization = $1 AND m.role = $2 AND m.status = 'active' ORDER BY m.id`, r.Organization(), string(r.Charter.OwnerRole().ID))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		m, err := scanMember(r, rows, &h.organization)
		if err != nil {
			return err
		}
		h.owners = append(h.owners, m)
	}
	return rows.Err()
}

// mayReceive says why a member may not become owner by transfer.
func mayReceive(c *charter.Charter, to Member) error {
	rule := c.Rules.Ownership
	switch {
	case to.Owner:
		return op.Errorf(op.Conflict, "already_owner", "%s is an owner already", to.Label())
	case to.Status != "active":
		return op.Errorf(op.Conflict, "not_active", "%s is %s: only an active member can become owner", to.Label(), to.Status)
	case to.EndsAt != nil:
		return op.Errorf(op.Conflict, "owner_with_end", "the membership of %s has an end date: take it away first", to.Label())
	case to.Role != string(rule.TransferTo):
		return op.Errorf(op.Conflict, "wrong_role", "ownership passes to a member with the role %s only, and %s is %s: change the role first",
			titleOf(c, string(rule.TransferTo)), to.Label(), to.RoleTitle)
	}
	return nil
}

// swapOwner makes one member owner and gives the other the role of a previous owner, in one statement. Where single sign-on is
// enforced and the former owner was the way in beside it, the new one takes that over.
func swapOwner(ctx context.Context, tx *op.Tx, h handOver) (Transfer, error) {
	owner, previous := string(tx.Charter.OwnerRole().ID), string(tx.Charter.Rules.Ownership.PreviousOwnerBecomes)
	left, err := remainingOwners(ctx, tx.Reader, tx.Organization(), h.from.ID)
	if err != nil {
		return Transfer{}, err
	}
	inherits := left.closesWayIn()
	n, err := tx.Exec(ctx, `UPDATE members SET role = CASE WHEN id = $2 THEN $4 ELSE $5 END, version = version + 1,
			break_glass = CASE WHEN id = $3 THEN FALSE WHEN $6 THEN EXISTS (SELECT 1 FROM passkeys p WHERE p.user_id = members.user_id) ELSE break_glass END
		WHERE organization = $1 AND id IN ($2, $3) AND status = 'active'`, tx.Organization(), h.to.ID, h.from.ID, owner, previous, inherits)
	if err == nil && n != 2 {
		err = op.Errorf(op.Conflict, "not_active", "one of the two is no longer an active member")
	}
	if err == nil && inherits {
		if left, err = remainingOwners(ctx, tx.Reader, tx.Organization(), h.from.ID); err == nil && left.waysIn == 0 {
			err = op.Errorf(op.Conflict, "last_way_in", "single sign-on is enforced, and %s is the only one who comes in when it fails: %s needs a passkey before taking over", h.from.Label(), h.to.Label())
		}
	}
	if err != nil {
		return Transfer{}, err
	}
	tx.Fence(op.Fence{Kind: op.FenceUser, ID: h.from.User}, op.Fence{Kind: op.FenceUser, ID: h.to.User})
	tx.Changed("owner", h.from.ID, h.to.ID)
	tx.Changed("previous_owner_role", owner, previous)
	tx.Also("member", h.from.ID, h.from.Label())
	return Transfer{From: h.from.ID, To: h.to.ID, State: "accepted"}, h.tellOwners(ctx, tx)
}

// tellOwners mails every owner, the new one and the former one, that ownership moved.
func (h handOver) tellOwners(ctx context.Context, tx *op.Tx) error {
	from, to := mail.Line(h.from.Label()), mail.Line(h.to.Label())
	folded, _ := Fold(h.from.Email) // a stored address always folds
	return TellOwners(ctx, tx, Notice{Subject: "Ownership was handed over", Path: "/settings/admins", Always: true,
		Text: fmt.Sprintf("%s handed ownership over to %s.\n%s is %s now.", from, to, from,
			titleOf(tx.Charter, string(tx.Charter.Rules.Ownership.PreviousOwnerBecomes))),
		Also: []notice.Person{{Email: h.from.Email, Folded: folded}}})
}

// sendMail puts a mail into the outbox, and gives its job.
func sendMail(tx *op.Tx, m mail.Message) string {
	if m.To == "" {
		return "" // a user whom the product made without an address
	}
	raw, err := json.Marshal(m)
	if err != nil {
		panic("mail: " + err.Error()) // four strings always marshal
	}
	return tx.Send("mail", raw)
}

// offerOwnership waits for the recipient.
func offerOwnership(ctx context.Context, tx *op.Tx, h handOver) (Transfer, error) {
	from, to := h.from, h.to
	if err := expireTransfers(ctx, tx); err != nil {
		return Transfer{}, err
	}
	t := Transfer{ID: tx.NewID("trf"), From: from.ID, To: to.ID, State: "pending", ExpiresAt: new(tx.Now.Add(TransferLife))}
	n, err := tx.Exec(ctx, `INSERT INTO transfers (id, organization, from_member, to_member, state, expires_at, created_at, settled_at)
		VALUES ($1, $2, $3, $4, 'pending', $5, $6, 0) ON CONFLICT DO NOTHING`, t.ID, tx.Organization(), from.ID, to.ID, t.ExpiresAt.UnixMicro(), tx.Micros())
	if err == nil && n == 0 {
		err = op.Errorf(op.Conflict, "transfer_pending", "another hand-over waits for its recipient: cancel it first")
	}
	if err != nil {
		return t, err
	}
	tx.Changed("transfer", nil, "pending")
	tx.Also("transfer", t.ID, "")
	sendMail(tx, mail.Message{To: to.Email, Subject: "You are asked to take ownership over", Text: fmt.Sprintf(
		"%s asks you to become owner of %s. Accept or decline within 7 days:\n%s\n", from.Label(), h.organization, tx.Settings.URL("/orgs"))})
	return t, nil
}

func expireTransfers(ctx context.Context, tx *op.Tx) error {
	_, err := tx.Exec(ctx, "UPDATE transfers SET state = 'expired', settled_at = $2 WHERE organization = $1 AND state = 'pending' AND expires_at <= $2",
		tx.Organization(), tx.Micros())
	return err
}

// PendingInput names the organization whose pending hand-over is meant: there is one at most.
type PendingInput struct{ op.InOrganization }

// pendingTransfer reads the pending hand-over with both members.
func pendingTransfer(ctx context.Context, r *op.Reader) (t Transfer, from, to Member, err error) {
	var expires int64
	err = r.QueryRow(ctx, `SELECT id, from_member, to_member, expires_at FROM transfers WHERE organization = $1 AND state = 'pending' AND expires_at > $2`,
		r.Organization(), r.Micros()).Scan(&t.ID, &t.From, &t.To, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return t, from, to, op.ErrNotFound
	}
	if err != nil {
		return t, from, to, err
	}
	t.State, t.ExpiresAt = "pending", when(expires)
	if from, err = memberByID(ctx, r, t.From); err != nil {
		return t, from, to, err
	}
	to, err = memberByID(ctx, r, t.To)
	return t, from, to, err
}

// TransferOf is the hand-over that waits in the reader's organization, with both members, as one of the two sees it:
// op.ErrNotFound for everybody else, and where none waits.
func TransferOf(ctx context.Context, r *op.Reader, user string) (t Transfer, from, to Member, err error) {
	t, from, to, err = pendingTransfer(ctx, r)
	if err == nil && user != from.User && user != to.User {
		err = op.ErrNotFound
	}
	return t, from, to, err
}

// pending is what Do gets of a loaded hand-over.
type pending struct {
	transfer Transfer
	from, to Member
}

// pendingTarget loads the pending hand-over as the recipient's own thing.
func pendingTarget(ctx context.Context, r *op.Reader, _ PendingInput) (op.Target, error) {
	t, from, to, err := pendingTransfer(ctx, r)
	return op.Target{Organization: r.Organization(), Type: "transfer", ID: t.ID, User: to.User,
		Fences: []op.Fence{{Kind: op.FenceUser, ID: from.User}, {Kind: op.FenceUser, ID: to.User}}, Value: pending{t, from, to}}, err
}

// AcceptOwnership makes the caller the owner, if the hand-over still may happen.
var AcceptOwnership = &op.Op[PendingInput, Transfer]{
	Name:    "ownership.accept",
	Route:   "POST /v1/organizations/{organization}/ownership/accept",
	Summary: "Accept ownership that was handed over to you",
	Kind:    op.Access,
	Allow:   op.Own(),
	Target:  pendingTarget,
	Fences:  func(PendingInput, op.Target) []op.Fence { return nil },
	Do:      acceptOwnership,
	Confirm: op.L2,
	Example: PendingInput{op.InOrganization{Organization: "acme"}},
}

func acceptOwnership(ctx context.Context, tx *op.Tx, _ PendingInput) (Transfer, error) {
	p := tx.Target().Value.(pending)
	if !p.from.Owner || p.from.Status != "active" {
		return p.transfer, op.Errorf(op.Conflict, "not_owner", "%s is no longer an owner: the hand-over cannot happen", p.from.Label())
	}
	if err := mayReceive(tx.Charter, p.to); err != nil {
		return p.transfer, err
	}
	if err := settleTransfer(ctx, tx, p.transfer.ID, "accepted"); err != nil {
		return p.transfer, err
	}
	h := handOver{from: p.from, to: p.to}
	if err := h.readOwners(ctx, tx.Reader); err != nil {
		return p.transfer, err
	}
	out, err := swapOwner(ctx, tx, h)
	out.ID = p.transfer.ID
	return out, err
}

// CancelOwnership takes a pending hand-over back, from either side.
var CancelOwnership = &op.Op[PendingInput, Transfer]{
	Name:    "ownership.cancel",
	Route:   "POST /v1/organizations/{organization}/ownership/cancel",
	Summary: "Cancel a pending hand-over of ownership, from either side",
	Kind:    op.Write,
	Allow:   op.AnyOf(op.On("organization.transfer"), op.Own()),
	Target:  pendingTarget,
	Do: func(ctx context.Context, tx *op.Tx, _ PendingInput) (Transfer, error) {
		t := tx.Target().Value.(pending).transfer
		t.State = "cancelled"
		return t, settleTransfer(ctx, tx, t.ID, t.State)
	},
	Example: PendingInput{op.InOrganization{Organization: "acme"}},
}

func settleTransfer(ctx context.Context, tx *op.Tx, id, state string) error {
	tx.Changed("state", "pending", state)
	_, err := tx.Exec(ctx, "UPDATE transfers SET state = $3, settled_at = $4 WHERE organization = $1 AND id = $2 AND state = 'pending'",
		tx.Organization(), id, state, tx.Micros())
	return err
}

// cancelTransfersOf cancels what waits for, or was begun by, a member who goes. Where nobody has to accept, nothing
// waits.
func cancelTransfersOf(ctx context.Context, tx *op.Tx, m Member) (int64, error) {
	if tx.Charter.Rules.Ownership.Acceptance != charter.AcceptanceRequired {
		return 0, nil
	}
	return tx.Exec(ctx, `UPDATE transfers SET state = 'cancelled', settled_at = $3 WHERE organization = $1
		AND (from_member = $2 OR to_member = $2) AND state = 'pending'`, m.Organization, m.ID, tx.Micros())
}

func previewTransfer(ctx context.Context, r *op.Reader, in TransferInput) (op.Impact, error) {
	to, err := memberByID(ctx, r, in.Member)
	if err != nil {
		return op.Impact{}, err
	}
	h, err := handingOver(ctx, r, to)
	if err != nil {
		return op.Impact{}, err
	}
	owner := r.Charter.OwnerRole()
	previous := titleOf(r.Charter, string(r.Charter.Rules.Ownership.PreviousOwnerBecomes))
	impact := op.Impact{Summary: fmt.Sprintf("%s becomes %s and %s becomes %s", to.Label(), owner.Title, h.from.Label(), previous),
		Gains: r.Charter.IDs(owner.Holds.Minus(to.principal.Holds))}
	if r.Charter.Rules.Ownership.Acceptance == charter.AcceptanceRequired {
		impact.Summary = strings.Replace(impact.Summary, " becomes", ", once they accept, becomes", 1)
	}
	return impact, nil
}
