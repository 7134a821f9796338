package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/notice"
	"github.com/guildhall/guildhall/op"
)

// Recovery gives an organization that has lost its owners another one, after a time in which everybody can object.
type Recovery struct {
	ID           string    `json:"id" doc:"The recovery's id" example:"rec_01k..."`
	Organization string    `json:"organization" doc:"The organization's id"`
	Member       string    `json:"member,omitzero" doc:"Member id of who is to be the owner; absent: nobody yet who has the address"`
	Owner        string    `json:"owner" doc:"Who is to be the owner: the e-mail address"`
	Reason       string    `json:"reason" doc:"Why, as the operator says"`
	State        string    `json:"state" enum:"waiting,done,cancelled,failed"`
	Outcome      string    `json:"outcome,omitzero" doc:"Why it failed"`
	Notified     int64     `json:"notified" doc:"How many members were told by mail when it began"`
	DueAt        time.Time `json:"due_at" doc:"When it is carried out, unless it is cancelled before"`
	CreatedAt    time.Time `json:"created_at"`
}

const recoveryColumns = "w.id, w.organization, w.member, w.email, w.reason, w.state, w.outcome, w.notified, w.due_at, w.created_at"

func scanRecovery(row interface{ Scan(...any) error }) (Recovery, error) {
	var w Recovery
	var due, created int64
	err := row.Scan(&w.ID, &w.Organization, &w.Member, &w.Owner, &w.Reason, &w.State, &w.Outcome, &w.Notified, &due, &created)
	w.DueAt, w.CreatedAt = time.UnixMicro(due).UTC(), time.UnixMicro(created).UTC()
	return w, missing(err)
}

// waitingRecovery reads the recovery that waits in the call's organization; op.ErrNotFound: none does.
func waitingRecovery(ctx context.Context, r *op.Reader) (Recovery, error) {
	return scanRecovery(r.QueryRow(ctx, "SELECT "+recoveryColumns+" FROM owner_recoveries w WHERE w.organization = $1 AND w.state = 'waiting'", r.Organization()))
}

// RecoverOwnerInput names the new owner and says why.
type RecoverOwnerInput struct {
	op.InOrganization
	Owner  string `json:"owner" cli:"arg" doc:"Who is to be the owner: a member's id, or an e-mail address, of a member or of somebody new" minLength:"1" maxLength:"320" example:"grace@acme.test"`
	Reason string `json:"reason" doc:"Why: every member reads it, and it stays in the audit log" minLength:"1" maxLength:"500" example:"the only owner left the company"`
}

// RecoverOwner begins to give an organization another owner: by the operator only, for an organization whose owners
// cannot sign in any more. Every active member is told at once, and until the wait is over any owner can cancel it.
var RecoverOwner = &op.Op[RecoverOwnerInput, Recovery]{
	Name:    "organizations.recover_owner",
	Route:   "POST /v1/organizations/{organization}/owner_recovery",
	Summary: "Give an organization that lost its owner another one, after a wait of which every member is told",
	Kind:    op.Write,
	Allow:   op.AlsoClosed(op.ByOperator),
	Target: func(ctx context.Context, r *op.Reader, _ RecoverOwnerInput) (op.Target, error) {
		return organizationTarget(ctx, r)
	},
	Do:      recoverOwner,
	Confirm: op.L2,
	Example: RecoverOwnerInput{InOrganization: op.InOrganization{Organization: "acme"}, Owner: "grace@acme.test", Reason: "the only owner left the company"},
}

func recoverOwner(ctx context.Context, tx *op.Tx, in RecoverOwnerInput) (Recovery, error) {
	tx.Because(in.Reason)
	heir, err := heirNamed(ctx, tx.Reader, in.Owner)
	if err != nil {
		return Recovery{}, err
	}
	o := tx.Target().Value.(Organization)
	if over(o.State) {
		return Recovery{}, op.ErrNotFound
	}
	w := Recovery{ID: tx.NewID("rec"), Organization: o.ID, Member: heir.ID, Owner: heir.Email, Reason: in.Reason, State: "waiting",
		DueAt: tx.Now.Add(tx.Settings.RecoveryWait), CreatedAt: tx.Now}
	told, err := notice.TellMembers(ctx, tx, w.beginning(tx.Reader))
	if err != nil {
		return w, err
	}
	w.Notified = int64(told)
	n, err := tx.Exec(ctx, `INSERT INTO owner_recoveries (id, organization, member, email, reason, state, outcome, notified, due_at, created_by, created_at, settled_by, settled_at)
		VALUES ($1, $2, $3, $4, $5, 'waiting', '', $6, $7, $8, $9, '', 0) ON CONFLICT DO NOTHING`,
		w.ID, o.ID, w.Member, w.Owner, w.Reason, w.Notified, w.DueAt.UnixMicro(), tx.Actor.ID, tx.Micros())
	if err == nil && n == 0 {
		err = op.Errorf(op.Conflict, "recovery_waiting", "another recovery waits already: cancel it first")
	}
	tx.Also("recovery", w.ID, w.Owner)
	tx.Changed("recovery", nil, "waiting")
	return w, err
}

// heirNamed finds who is to be the owner. Somebody who is no member is made one when the wait is over.
func heirNamed(ctx context.Context, r *op.Reader, named string) (Member, error) {
	if strings.HasPrefix(named, "mem_") {
		m, err := memberByID(ctx, r, named)
		if err != nil {
			return m, err
		}
		return m, mayInherit(m)
	}
	a, err := ParseAddress(named)
	if err != nil {
		return Member{}, op.InvalidField("owner", "invalid", "%v", err)
	}
	m, err := memberOfAddress(ctx, r, a.Folded)
	if errors.Is(err, op.ErrNotFound) {
		return Member{Email: a.Email}, nil
	}
	if err != nil {
		return m, err
	}
	return m, mayInherit(m)
}

// memberOfAddress reads the member with a folded address.
func memberOfAddress(ctx context.Context, r *op.Reader, folded string) (Member, error) {
	return scanMember(r, r.QueryRow(ctx, "SELECT "+memberColumns+membersJoined+
		"WHERE m.organization = $1 AND u.email_folded = $2 AND m.status <> 'removed'", r.Organization(), folded))
}

// mayInherit says why a member cannot become the owner.
func mayInherit(m Member) error {
	switch {
	case m.Status != "active":
		return op.Errorf(op.Conflict, "not_active", "%s is %s: only an active member can become owner", m.Label(), m.Status)
	case m.Owner:
		return op.Errorf(op.Conflict, "already_owner", "%s is an owner already", m.Label())
	case m.EndsAt != nil:
		return op.Errorf(op.Conflict, "owner_with_end", "the membership of %s has an end date: take it away first", m.Label())
	case m.Email == "":
		return op.Errorf(op.Conflict, "no_address", "this member has no e-mail address to be told at")
	}
	return nil
}

// beginning is what every member is told when the wait begins.
func (w Recovery) beginning(r *op.Reader) notice.Notice {
	folded, _ := Fold(w.Owner) // it was parsed, or is a member's
	return notice.Notice{Subject: "There will be another owner", Path: "/settings/recovery", Also: []notice.Person{{Email: w.Owner, Folded: folded}},
		Text: fmt.Sprintf("On %s %s becomes %s of this organization, because the operator of %s was told that it has lost its owner.\nThe reason that was given: %s\n\nAn owner who can sign in can cancel this until then. If you are none, tell an owner.",
			mail.Moment(w.DueAt), mail.Line(w.Owner), r.Charter.OwnerRole().Title, mail.Line(r.Charter.Product), mail.Line(w.Reason))}
}

// RecoveryInput names an organization in which one recovery at most waits.
type RecoveryInput struct{ op.InOrganization }

// GetRecovery shows the recovery that waits, to every member.
var GetRecovery = &op.Op[RecoveryInput, Recovery]{
	Name:    "organizations.recovery",
	Route:   "GET /v1/organizations/{organization}/owner_recovery",
	Summary: "Show the recovery of ownership that waits",
	Allow:   op.AlsoClosed(op.AnyOf(op.AnyMember, op.ByOperator)),
	Target:  recoveryTarget,
	Do: func(_ context.Context, tx *op.Tx, _ RecoveryInput) (Recovery, error) {
		return tx.Target().Value.(Recovery), nil
	},
	Example: RecoveryInput{op.InOrganization{Organization: "acme"}},
}

// recoveryTarget is the recovery that waits, as what is acted on.
func recoveryTarget(ctx context.Context, r *op.Reader, _ RecoveryInput) (op.Target, error) {
	w, err := waitingRecovery(ctx, r)
	return op.Target{Organization: w.Organization, Type: "recovery", ID: w.ID, Name: w.Owner, Value: w}, err
}

// CancelRecovery ends a recovery before it is carried out: by an owner, whose being there is the proof that there is
// nothing to recover; or by the operator.
var CancelRecovery = &op.Op[RecoveryInput, Recovery]{
	Name:    "organizations.cancel_recovery",
	Route:   "POST /v1/organizations/{organization}/owner_recovery/cancel",
	Summary: "Cancel a recovery of ownership that waits",
	Kind:    op.Write,
	Allow:   op.AlsoClosed(op.AnyOf(op.On("organization.transfer"), op.ByOperator)),
	Target:  recoveryTarget,
	Do: func(ctx context.Context, tx *op.Tx, _ RecoveryInput) (Recovery, error) {
		return settleRecovery(ctx, tx, tx.Target().Value.(Recovery), "cancelled", "")
	},
	Confirm: op.L1,
	Example: RecoveryInput{op.InOrganization{Organization: "acme"}},
}

// settleRecovery notes how a recovery ended, and tells every member.
func settleRecovery(ctx context.Context, tx *op.Tx, w Recovery, state, outcome string) (Recovery, error) {
	tx.Changed("recovery", w.State, state)
	w.State, w.Outcome = state, outcome
	if _, err := tx.Exec(ctx, `UPDATE owner_recoveries SET state = $3, outcome = $4, settled_by = $5, settled_at = $6
		WHERE organization = $1 AND id = $2 AND state = 'waiting'`, w.Organization, w.ID, state, outcome, tx.Actor.ID, tx.Micros()); err != nil {
		return w, err
	}
	folded, _ := Fold(w.Owner) // it was parsed, or is a member's
	n := notice.Notice{Subject: "There is no other owner", Path: "/settings/admins", Also: []notice.Person{{Email: w.Owner, Folded: folded}},
		Text: fmt.Sprintf("%s does not become an owner: this was cancelled.", mail.Line(w.Owner))}
	switch state {
	case "done":
		n.Subject, n.Text = mail.Line(w.Owner)+" is an owner now", fmt.Sprintf("%s became %s, as was announced on %s. %s",
			mail.Line(w.Owner), tx.Charter.OwnerRole().Title, mail.Moment(w.CreatedAt), outcome)
	case "failed":
		n.Text = fmt.Sprintf("%s does not become an owner: %s.", mail.Line(w.Owner), outcome)
	}
	_, err := notice.TellMembers(ctx, tx, n)
	return w, err
}

// CompleteRecovery carries a recovery out whose wait is over: the person gets the owner role, and where the charter has
// one owner the former one gets the role of a previous owner. It fails, for everybody to know, where the person is no
// active member any more.
var CompleteRecovery = &op.Op[RecoveryInput, Recovery]{
	Name:    "organizations.complete_recovery",
	Route:   "POST /v1/organizations/{organization}/owner_recovery/complete",
	Summary: "Carry out a recovery of ownership whose wait is over",
	Kind:    op.Access,
	Allow:   op.AlsoClosed(op.ByOperator),
	Target:  recoveryTarget,
	Fences:  func(RecoveryInput, op.Target) []op.Fence { return nil },
	Do:      completeRecovery,
	Example: RecoveryInput{op.InOrganization{Organization: "acme"}},
}

func completeRecovery(ctx context.Context, tx *op.Tx, _ RecoveryInput) (Recovery, error) {
	w := tx.Target().Value.(Recovery)
	tx.Because(w.Reason)
	if tx.Now.Before(w.DueAt) {
		return w, op.Errorf(op.Conflict, "recovery_waiting", "members can object until %s", mail.Moment(w.DueAt))
	}
	heir, err := w.heir(ctx, tx)
	var refused *op.Error
	if errors.As(err, &refused) && refused.Kind == op.Conflict {
		return settleRecovery(ctx, tx, w, "failed", refused.Text)
	}
	if err != nil {
		return w, err
	}
	outcome, err := crown(ctx, tx, heir)
	if err != nil {
		return w, err
	}
	w.Member = heir.ID
	return settleRecovery(ctx, tx, w, "done", outcome)
}

// heir is who becomes the owner, as they are now; somebody new becomes a member first.
func (w Recovery) heir(ctx context.Context, tx *op.Tx) (m Member, err error) {
	if w.Member != "" {
		if m, err = memberByID(ctx, tx.Reader, w.Member); err != nil {
			return m, err
		}
		return m, mayInherit(m)
	}
	a, err := ParseAddress(w.Owner)
	if err != nil {
		return m, err
	}
	m, err = memberOfAddress(ctx, tx.Reader, a.Folded)
	if !errors.Is(err, op.ErrNotFound) {
		if err == nil {
			err = mayInherit(m)
		}
		return m, err
	}
	user, made, err := EnsureUser(ctx, tx, w.Owner, "")
	if err != nil {
		return m, err
	}
	if made {
		tx.Also("user", user.ID, user.Label())
	}
	role := tx.Charter.Roles()[0] // for the rest of this transaction
	m, err = insertMember(ctx, tx, newMember{User: user, Role: role})
	return m, err
}

// crown gives the owner role to a member, and takes it from everybody else where the charter has one owner. It says what
// became of those.
func crown(ctx context.Context, tx *op.Tx, heir Member) (string, error) {
	owner, previous := tx.Charter.OwnerRole(), string(tx.Charter.Rules.Ownership.PreviousOwnerBecomes)
	query, outcome := "UPDATE members SET role = $3, version = version + 1 WHERE organization = $1 AND id = $2 RETURNING id, user_id", ""
	args := []any{tx.Organization(), heir.ID, string(owner.ID)}
	if tx.Charter.Rules.Owners == charter.OneOwner {
		query = `UPDATE members SET role = CASE WHEN id = $2 THEN $3 ELSE $4 END, version = version + 1
			WHERE organization = $1 AND (id = $2 OR role = $3 AND status <> 'removed') RETURNING id, user_id`
		args, outcome = append(args, previous), "Whoever was it before is "+titleOf(tx.Charter, previous)+" now."
	}
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	for rows.Next() {
		var member, user string
		if err := rows.Scan(&member, &user); err != nil {
			return "", err
		}
		tx.Fence(op.Fence{Kind: op.FenceUser, ID: user})
		tx.Also("member", member, "")
	}
	tx.Changed("owner", nil, heir.ID)
	return outcome, rows.Err()
}

// DueRecoveries are up to 100 organizations in which the wait of a recovery is over.
func DueRecoveries(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT w.organization FROM owner_recoveries w JOIN organizations o ON o.id = w.organization
		WHERE w.state = 'waiting' AND w.due_at <= $1 AND o.state IN ('active', 'deletion_scheduled') ORDER BY w.due_at LIMIT 100`, r.Micros())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var organization string
		if err := rows.Scan(&organization); err != nil {
			return nil, err
		}
		all = append(all, organization)
	}
	return all, rows.Err()
}
