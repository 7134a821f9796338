package governance

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// DecideInput says what becomes of one row.
type DecideInput struct {
	ReviewInput
	Item     string         `json:"item" doc:"The id of the member, service account or key" maxLength:"64" example:"mem_00000000000000000000000000"`
	Decision Choice         `json:"decision" enum:"keep,reduce,remove" doc:"Keep it as it is, reduce it to a lower role, or remove it"`
	Role     charter.RoleID `json:"role,omitzero" doc:"Of reduce: a role that holds less than the present one" maxLength:"64" required:"false"`
	Reason   string         `json:"reason,omitzero" doc:"Why; required for reduce and remove" maxLength:"500" required:"false"`
}

// Validate wants a reason for what takes access away, and a role for reduce alone.
func (in DecideInput) Validate() (wrong []op.FieldError) {
	if in.Decision != Keep && strings.TrimSpace(in.Reason) == "" {
		wrong = append(wrong, op.FieldError{Pointer: "/reason", Code: "required", Detail: "say why: it is the evidence"})
	}
	switch {
	case in.Decision == Reduce && in.Role == "":
		wrong = append(wrong, op.FieldError{Pointer: "/role", Code: "required", Detail: "say which lower role"})
	case in.Decision != Reduce && in.Role != "":
		wrong = append(wrong, op.FieldError{Pointer: "/role", Code: "invalid", Detail: "a role is said with reduce only"})
	}
	return wrong
}

// row is a row of a review that is decided about.
type row struct {
	review Review
	item   Item
}

// Decide decides about one row of a review. Nothing happens to the access before the review is completed. Nobody decides
// about themselves, and nobody takes away what they could not take away at once.
var Decide = &op.Op[DecideInput, Item]{
	Name:    "reviews.decide",
	Route:   "POST /v1/organizations/{organization}/reviews/{review}/items/{item}/decide",
	Summary: "Decide about one row of an access review",
	Kind:    op.Write,
	Allow:   reviewing,
	Target:  itemTarget,
	Do:      decideItem,
	Example: DecideInput{ReviewInput: exampleReview, Item: "mem_00000000000000000000000000", Decision: Keep},
}

// itemTarget loads a row with its review. It belongs to whoever is asked about it.
func itemTarget(ctx context.Context, r *op.Reader, in DecideInput) (op.Target, error) {
	v, err := reviewByID(ctx, r, in.Review)
	if err != nil {
		return op.Target{}, err
	}
	i, err := v.itemOf(ctx, r, in.Item)
	if err != nil {
		return op.Target{}, err
	}
	t := op.Target{Organization: r.Organization(), Type: "review", ID: v.ID, Name: v.Title, Version: i.Version, Current: i, Value: row{v, i}}
	if i.Reviewer != "" && i.Reviewer == r.Actor.Principal.Member {
		t.User = r.Actor.User
	}
	return t, nil
}

func decideItem(ctx context.Context, tx *op.Tx, in DecideInput) (Item, error) {
	at, _ := tx.Target().Value.(row)
	i := at.item
	if err := at.open(); err != nil {
		return i, err
	}
	i.Decision, i.ToRole, i.Reason = in.Decision, in.Role, strings.TrimSpace(in.Reason)
	if err := i.mayApply(ctx, tx.Reader); err != nil {
		return i, err
	}
	tx.Because(i.Reason)
	tx.Also(i.Subject.Type, i.Subject.ID, i.Subject.Name)
	tx.Changed("decision", string(at.item.Decision), string(i.Decision))
	if i.ToRole != "" {
		tx.Changed("role", string(i.now.role), string(i.ToRole))
	}
	i.DecidedBy, i.Decider, i.DecidedAt, i.Changed = tx.Actor.ID, nameOf(tx.Actor.Name, tx.Actor.Email), when(tx.Micros()), false
	i.Version++
	_, err := tx.Exec(ctx, `UPDATE review_items SET decision = $4, to_role = $5, reason = $6, decided_by = $7, decided_at = $8, subject_version = $9, version = $10
		WHERE organization = $1 AND review = $2 AND subject = $3`, tx.Organization(), at.review.ID, i.Subject.ID, string(i.Decision), string(i.ToRole), i.Reason,
		i.DecidedBy, tx.Micros(), i.now.version, i.Version)
	return i, err
}

// open refuses to decide about what is over, gone, or the caller's own.
func (at row) open() error {
	switch {
	case at.review.State != Open:
		return at.review.over()
	case at.item.Gone:
		return op.Errorf(op.Conflict, "subject_gone", "there is nothing to decide about %s any more: the access has ended", at.item.Subject.Name)
	case at.item.Yourself:
		return op.Errorf(op.Conflict, "yourself", "nobody reviews themselves: somebody else decides about %s", at.item.Subject.Name)
	}
	return nil
}

// mayApply refuses a decision that the caller could not carry out at once, with the reason: the checks of the operation
// that it stands for.
func (i Item) mayApply(ctx context.Context, r *op.Reader) error {
	if i.Decision == Keep {
		return nil
	}
	if i.Subject.Type == "key" {
		if i.Decision == Reduce {
			return op.InvalidField("decision", "invalid", "a key has no role: keep it, remove it, or narrow it by keys.update")
		}
		return r.Demand(ctx, "keys.revoke")
	}
	held, err := i.role(ctx, r, i.now.role)
	if err != nil {
		return err
	}
	needs := map[string]map[Choice]charter.Permission{
		"member":          {Reduce: assigning, Remove: "members.remove"},
		"service_account": {Reduce: "service_accounts.manage", Remove: "service_accounts.manage"},
	}[i.Subject.Type][i.Decision]
	if err := r.Demand(ctx, needs); err != nil {
		return err
	}
	target := &decide.Principal{Owner: held.Owner, Holds: held.Holds}
	if i.Subject.Type == "member" {
		target.Member = i.Subject.ID
	}
	if err := r.MayActOn(ctx, target); err != nil {
		return err
	}
	return i.mayReduce(ctx, r, held)
}

// mayReduce refuses a role that is not lower, or that the caller may not give.
func (i Item) mayReduce(ctx context.Context, r *op.Reader, held *charter.Role) error {
	if i.Decision != Reduce {
		return nil
	}
	to, err := i.role(ctx, r, i.ToRole)
	if err != nil {
		return err
	}
	if to.Holds == held.Holds || !to.Holds.SubsetOf(held.Holds) {
		return op.InvalidField("role", "not_lower", "role %s is not lower than %s: a review only takes away", to.Title, held.Title)
	}
	if d := decide.Grant(r.Charter, &r.Actor.Principal, to); !d.Allow {
		return r.Refuse(ctx, d)
	}
	return nil
}

func (i Item) role(ctx context.Context, r *op.Reader, id charter.RoleID) (*charter.Role, error) {
	role, err := directory.RoleOf(ctx, r, string(id))
	if errors.Is(err, op.ErrNotFound) {
		return nil, op.InvalidField("role", "unknown", "there is no role %q", id)
	}
	return role, err
}

// KeepManyInput says which rows to keep.
type KeepManyInput struct {
	ReviewInput
	ItemFilter
	Reason string `json:"reason,omitzero" doc:"Why" maxLength:"500" required:"false"`
}

// Kept is how many rows were kept.
type Kept struct {
	Kept int64 `json:"kept" doc:"How many rows are decided now that were not"`
}

// DecideMany keeps every row that the filter leaves and that waits for a decision of the caller. Rows that changed since
// they were written down are left out: somebody looks at each of them.
var DecideMany = &op.Op[KeepManyInput, Kept]{
	Name:    "reviews.decide_many",
	Route:   "POST /v1/organizations/{organization}/reviews/{review}/keep",
	Summary: "Keep every row of an access review that a filter leaves and that is not decided",
	Kind:    op.Write,
	Allow:   reviewing,
	Target: func(ctx context.Context, r *op.Reader, in KeepManyInput) (op.Target, error) {
		return reviewTarget(ctx, r, in.ReviewInput)
	},
	Do:      keepMany,
	Example: KeepManyInput{ReviewInput: exampleReview, Reason: "all of them are on the team"},
}

func keepMany(ctx context.Context, tx *op.Tx, in KeepManyInput) (Kept, error) {
	v, _ := tx.Target().Value.(Review)
	if err := v.over(); err != nil {
		return Kept{}, err
	}
	tx.Because(strings.TrimSpace(in.Reason))
	where, args := in.where(tx.Reader, v)
	n := len(args)
	p := func(k int) string { return "$" + strconv.Itoa(n+k) }
	changed, err := tx.Exec(ctx, "UPDATE review_items SET decision = 'keep', reason = "+p(1)+", decided_by = "+p(2)+", decided_at = "+p(3)+`, version = version + 1
		WHERE organization = $1 AND review = $3 AND subject IN (SELECT i.subject`+itemTables+where+" AND NOT "+isGone+" AND i.decision = '' AND i.person <> "+p(4)+
		" AND i.subject_version = "+isNow+")",
		append(args, strings.TrimSpace(in.Reason), tx.Actor.ID, tx.Micros(), orNobody(tx.Actor.User))...)
	if err != nil {
		return Kept{}, err
	}
	if changed == 0 {
		tx.Unchanged()
		return Kept{}, nil
	}
	tx.Changed("kept", nil, changed)
	return Kept{Kept: changed}, nil
}

// orNobody is a user, or what no row has.
func orNobody(user string) string {
	if user == "" {
		return "-"
	}
	return user
}
