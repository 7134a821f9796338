package directory

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/op"
)

// Deletion is the end of an organization: scheduled, under way or done.
type Deletion struct {
	Organization string      `json:"organization" doc:"The organization's id"`
	Slug         string      `json:"slug" doc:"Its name in addresses, which nobody else ever gets" example:"acme"`
	Name         string      `json:"name,omitzero" doc:"Its name as people read it"`
	State        string      `json:"state" enum:"deletion_scheduled,deleting,gone"`
	DeletionAt   time.Time   `json:"deletion_at" doc:"When it was scheduled: access ended then"`
	DeleteBy     time.Time   `json:"delete_by" doc:"Until when it can be restored"`
	DeletedBy    string      `json:"deleted_by,omitzero" doc:"Who scheduled it; for those who may see members"`
	Reason       string      `json:"reason,omitzero" doc:"Why; for those who may see members"`
	MayRestore   bool        `json:"may_restore" doc:"Whether the caller may restore it now"`
	Steps        []PurgeDone `json:"steps,omitempty" doc:"What has been done of it; for the operator"`
}

// DeleteOrganizationInput names an organization and says why.
type DeleteOrganizationInput struct {
	op.InOrganization
	Reason string `json:"reason,omitzero" doc:"Why, for the audit log" maxLength:"500" example:"we moved to another plan"`
}

// DeleteOrganization schedules an organization for deletion: every member, key and token is refused from the moment that
// it returns. Until the charter's deletion_grace is over it can be restored as it was.
var DeleteOrganization = &op.Op[DeleteOrganizationInput, Organization]{
	Name:    "organizations.delete",
	Route:   "POST /v1/organizations/{organization}/delete",
	Summary: "Schedule an organization for deletion: access ends at once, for everybody and everything",
	Kind:    op.Access,
	Allow:   op.On("organization.delete"),
	Target: func(ctx context.Context, r *op.Reader, _ DeleteOrganizationInput) (op.Target, error) {
		return organizationTarget(ctx, r)
	},
	Fences: func(_ DeleteOrganizationInput, t op.Target) []op.Fence { return fenceOrganization(t) },
	Preview: func(ctx context.Context, r *op.Reader, _ DeleteOrganizationInput) (op.Impact, error) {
		return impactOfDeletion(ctx, r)
	},
	Do:      deleteOrganization,
	Confirm: op.L3,
	Fresh:   true,
	Example: DeleteOrganizationInput{InOrganization: op.InOrganization{Organization: "acme"}, Reason: "we moved to another plan"},
}

// organizationTarget is the call's organization as what is acted on.
func organizationTarget(ctx context.Context, r *op.Reader) (op.Target, error) {
	o, err := organizationByID(ctx, r, r.Organization())
	return op.Target{Organization: o.ID, Type: "organization", ID: o.ID, Name: o.Name, Version: o.Version, Current: o, Value: o}, err
}

// fenceOrganization names everybody and everything in it.
func fenceOrganization(t op.Target) []op.Fence {
	return []op.Fence{{Kind: op.FenceOrganization, ID: t.Organization}}
}

func deleteOrganization(ctx context.Context, tx *op.Tx, in DeleteOrganizationInput) (Organization, error) {
	o := tx.Target().Value.(Organization)
	tx.Because(in.Reason)
	until := tx.Now.Add(tx.Charter.Rules.DeletionGrace)
	tx.Changed("state", o.State, "deletion_scheduled")
	tx.Changed("delete_by", nil, until.Format(time.RFC3339))
	o.State, o.DeletionAt, o.DeleteBy, o.Version = "deletion_scheduled", &tx.Now, &until, o.Version+1
	if _, err := tx.Exec(ctx, `UPDATE organizations SET state = 'deletion_scheduled', deletion_at = $2, delete_by = $3, deleted_by = $4,
		deletion_reason = $5, version = $6, updated_at = $2 WHERE id = $1`, o.ID, tx.Micros(), until.UnixMicro(), deleter(tx), in.Reason, o.Version); err != nil {
		return o, err
	}
	return o, TellOwners(ctx, tx, Notice{Subject: "The organization is scheduled for deletion", Path: "/deleted", Always: true,
		Text: fmt.Sprintf("“%s” is scheduled for deletion. Nobody has access any more, and no key works.\nUntil %s you can restore it, as it was. Then it is deleted for good.%s",
			mail.Line(o.Name), mail.Moment(until), because(in.Reason))})
}

// deleter is who deletes, as the organization keeps it: the member where there is one.
func deleter(tx *op.Tx) string {
	if member := tx.Actor.Principal.Member; member != "" {
		return member
	}
	return string(tx.Actor.Kind)
}

// because quotes a reason as a line of its own.
func because(reason string) string {
	if reason = mail.Line(reason); reason == "" {
		return ""
	}
	return "\nThe reason that was given: " + reason
}

// RestoreOrganizationInput names an organization and says why.
type RestoreOrganizationInput struct {
	op.InOrganization
	Reason string `json:"reason,omitzero" doc:"Why, for the audit log" maxLength:"500" example:"it was a mistake"`
}

// RestoreOrganization takes a scheduled deletion back, within its grace: members, keys, tokens and invitations are what
// they were, but for what has expired meanwhile. Whoever may delete the organization may restore it.
var RestoreOrganization = &op.Op[RestoreOrganizationInput, Organization]{
	Name:    "organizations.restore",
	Route:   "POST /v1/organizations/{organization}/restore",
	Summary: "Restore an organization that is scheduled for deletion",
	Kind:    op.Access,
	Allow:   op.AlsoClosed(op.On("organization.delete")),
	Target: func(ctx context.Context, r *op.Reader, _ RestoreOrganizationInput) (op.Target, error) {
		return organizationTarget(ctx, r)
	},
	Fences:  func(_ RestoreOrganizationInput, t op.Target) []op.Fence { return fenceOrganization(t) },
	Do:      restoreOrganization,
	Confirm: op.L1,
	Example: RestoreOrganizationInput{InOrganization: op.InOrganization{Organization: "acme"}, Reason: "it was a mistake"},
}

func restoreOrganization(ctx context.Context, tx *op.Tx, in RestoreOrganizationInput) (Organization, error) {
	o := tx.Target().Value.(Organization)
	tx.Because(in.Reason)
	if o.State == "active" {
		tx.Unchanged()
		return o, nil
	}
	if over(o.State) || !tx.Now.Before(*o.DeleteBy) {
		return o, op.Errorf(op.Conflict, "grace_over", "the time in which %s could be restored is over", o.Name)
	}
	tx.Changed("state", o.State, "active")
	o.State, o.DeletionAt, o.DeleteBy, o.Version = "active", nil, nil, o.Version+1
	n, err := tx.Exec(ctx, `UPDATE organizations SET state = 'active', deletion_at = 0, delete_by = 0, deleted_by = '', deletion_reason = '',
		version = $2, updated_at = $3 WHERE id = $1 AND EXISTS (SELECT 1 FROM members m WHERE m.organization = $1 AND m.role = $4 AND m.status = 'active')`,
		o.ID, o.Version, tx.Micros(), string(tx.Charter.OwnerRole().ID))
	if err == nil && n == 0 { // the last owner was erased meanwhile
		err = op.Errorf(op.Conflict, "no_owner", "nobody owns it any more: the operator has to name an owner first")
	}
	if err != nil {
		return o, err
	}
	return o, TellOwners(ctx, tx, Notice{Subject: "The organization is restored", Path: "/settings/general", Always: true,
		Text: fmt.Sprintf("“%s” is not deleted. Members have access and keys work as before.%s", mail.Line(o.Name), because(in.Reason))})
}

// GetDeletionInput names an organization.
type GetDeletionInput struct{ op.InOrganization }

// GetDeletion shows the scheduled deletion of an organization, which nobody in it can look at any other way.
var GetDeletion = &op.Op[GetDeletionInput, Deletion]{
	Name:    "organizations.deletion",
	Route:   "GET /v1/organizations/{organization}/deletion",
	Summary: "Show when an organization is deleted, and whether you may restore it",
	Allow:   op.AlsoClosed(op.AnyOf(op.AnyMember, op.ByService, op.ByOperator)),
	Target: func(ctx context.Context, r *op.Reader, _ GetDeletionInput) (op.Target, error) {
		t, err := organizationTarget(ctx, r)
		if o, ok := t.Value.(Organization); err == nil && (!ok || o.DeleteBy == nil) {
			err = op.ErrNotFound
		}
		return t, err
	},
	Do:      getDeletion,
	Example: GetDeletionInput{op.InOrganization{Organization: "acme"}},
}

func getDeletion(ctx context.Context, tx *op.Tx, _ GetDeletionInput) (Deletion, error) {
	var err error
	o := tx.Target().Value.(Organization)
	d := Deletion{Organization: o.ID, Slug: o.Slug, Name: o.Name, State: o.State, DeletionAt: *o.DeletionAt, DeleteBy: *o.DeleteBy}
	held := tx.Actor.Principal
	held.Closed = false
	may := func(p charter.Permission) bool {
		return decide.Decide(&held, decide.Ask(tx.Charter, p, ""), tx.Micros()).Allow
	}
	d.MayRestore = may("organization.delete") && !over(o.State) && tx.Now.Before(d.DeleteBy)
	if may("members.view") || held.Power != decide.Person {
		if err := d.readWho(ctx, tx.Reader); err != nil {
			return d, err
		}
	}
	if held.Power >= decide.Operator {
		d.Steps, err = purgeLedger(ctx, tx.Reader, o.ID)
	}
	return d, err
}

// readWho says who scheduled the deletion, and why.
func (d *Deletion) readWho(ctx context.Context, r *op.Reader) error {
	var by, name, email string
	err := r.QueryRow(ctx, `SELECT o.deleted_by, o.deletion_reason, COALESCE(u.name, ''), COALESCE(u.email, '') FROM organizations o
		LEFT JOIN members m ON m.organization = o.id AND m.id = o.deleted_by LEFT JOIN users u ON u.id = m.user_id
		WHERE o.id = $1`, d.Organization).Scan(&by, &d.Reason, &name, &email)
	d.DeletedBy = cmp.Or(name, email, by)
	return err
}
