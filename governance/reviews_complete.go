package governance

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// CompleteReviewInput says what becomes of rows that nobody decided.
type CompleteReviewInput struct {
	ReviewInput
	Undecided string `json:"undecided,omitzero" doc:"What becomes of rows that nobody decided, or that changed since: refuse to complete, or keep them" enum:"refuse,keep" default:"refuse" required:"false"`
}

// CompleteReview applies what was decided, all of it in one transaction: members get lower roles or are removed as the
// charter says of leavers, service accounts too, keys are revoked. Whoever completes needs the rights for every row. If one
// of them cannot be applied, the row is named and nothing happens.
var CompleteReview = &op.Op[CompleteReviewInput, Review]{
	Name:    "reviews.complete",
	Route:   "POST /v1/organizations/{organization}/reviews/{review}/complete",
	Summary: "Complete an access review: apply what was decided",
	Kind:    op.Access,
	Allow:   op.On("reviews.manage"),
	Confirm: op.L2,
	Fresh:   true,
	Target: func(ctx context.Context, r *op.Reader, in CompleteReviewInput) (op.Target, error) {
		return reviewTarget(ctx, r, in.ReviewInput)
	},
	Fences:  func(CompleteReviewInput, op.Target) []op.Fence { return nil }, // whose access changes is found in the transaction
	Preview: previewCompletion,
	Do:      completeReview,
	Example: CompleteReviewInput{ReviewInput: exampleReview, Undecided: "keep"},
}

// plan is what a completion does.
type plan struct {
	apply           []Item // reduce and remove, members first
	undecided, gone []Item
	kept            int
}

// plans reads every row of a review and says what its completion does.
func (v Review) plan(ctx context.Context, r *op.Reader, undecided string) (p plan, err error) {
	if err := v.over(); err != nil {
		return p, err
	}
	items, _, err := v.items(ctx, r, ItemFilter{}, nil, MostReviewed+1)
	if err != nil {
		return p, err
	}
	for _, i := range items {
		switch {
		case i.Gone:
			p.gone = append(p.gone, i)
		case i.decided() == "":
			p.undecided = append(p.undecided, i)
		case i.Decision == Keep:
			p.kept++
		default:
			p.apply = append(p.apply, i)
		}
	}
	if len(p.undecided) > 0 && undecided != "keep" {
		return p, p.waits()
	}
	return p, nil
}

// waits refuses to complete while rows wait for a decision, and names the first.
func (p plan) waits() error {
	first := p.undecided[0]
	why := "is not decided"
	if first.Decision != "" {
		why = "changed since it was decided"
	}
	more := ""
	if n := len(p.undecided) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return &op.Error{Kind: op.Conflict, Code: "review_undecided", Refers: map[string]string{first.Subject.Type: first.Subject.ID},
		Text: fmt.Sprintf("the row of %s %s%s: decide, or say undecided: keep", first.Subject.Name, why, more)}
}

// named puts a row's name before what is wrong with it. Whatever is no error of a caller stays as it is.
func (i Item) named(err error) error {
	e := op.AsError(err)
	if e.Kind == op.Internal {
		return err
	}
	told := *e
	told.Fields = nil
	if told.Kind == op.Invalid {
		told.Kind, told.Code = op.Conflict, "cannot_apply"
	}
	told.Text = "the row of " + i.Subject.Name + " cannot be applied: " + told.Text
	told.Refers = map[string]string{i.Subject.Type: i.Subject.ID}
	return &told
}

// previewCompletion is the dry run: what would happen to whom, by name.
func previewCompletion(ctx context.Context, r *op.Reader, in CompleteReviewInput) (op.Impact, error) {
	v, err := reviewByID(ctx, r, in.Review)
	if err != nil {
		return op.Impact{}, err
	}
	p, err := v.plan(ctx, r, in.Undecided)
	if err != nil {
		return op.Impact{}, err
	}
	impact := op.Impact{Summary: p.summary(), Gains: []charter.Permission{}, Loses: []charter.Permission{}, Effects: []op.Effect{}}
	if err := p.keepsOwner(ctx, r); err != nil {
		return impact, err
	}
	for _, i := range p.apply {
		if err := i.mayApply(ctx, r); err != nil {
			return impact, i.named(err)
		}
		effects, err := i.effects(ctx, r)
		if err != nil {
			return impact, i.named(err)
		}
		impact.Effects = append(impact.Effects, effects...)
	}
	for _, i := range p.undecided {
		impact.Effects = append(impact.Effects, i.effect("stays: nobody decided", "stays"))
	}
	return impact, nil
}

// summary says in a sentence what a completion does.
func (p plan) summary() string {
	reduced := 0
	for _, i := range p.apply {
		if i.Decision == Reduce {
			reduced++
		}
	}
	text := fmt.Sprintf("%d kept, %d reduced, %d removed", p.kept, reduced, len(p.apply)-reduced)
	if n := len(p.undecided); n > 0 {
		text += fmt.Sprintf(", %d kept without a decision", n)
	}
	if n := len(p.gone); n > 0 {
		text += fmt.Sprintf(", %d gone already", n)
	}
	return text
}

func (i Item) effect(text, action string) op.Effect {
	return op.Effect{Type: i.Subject.Type, ID: i.Subject.ID, Name: i.Subject.Name, Text: text, Action: action}
}

// effects are what applying a row does: to itself, and to what hangs on it.
func (i Item) effects(ctx context.Context, r *op.Reader) ([]op.Effect, error) {
	if i.Decision == Reduce {
		to, err := i.role(ctx, r, i.ToRole)
		if err != nil {
			return nil, err
		}
		return []op.Effect{i.effect("becomes "+to.Title, "changes")}, nil
	}
	if i.Subject.Type != "member" {
		return []op.Effect{i.effect("ends", "ends")}, nil
	}
	hanging, err := directory.HangingOn(ctx, r, i.Subject.ID)
	return append([]op.Effect{i.effect("is removed", "ends")}, hanging...), err
}

// keepsOwner refuses decisions after which nobody would be an active owner, and names the row.
func (p plan) keepsOwner(ctx context.Context, r *op.Reader) error {
	owner := r.Charter.OwnerRole().ID
	var going []Item
	var ids []string
	for _, i := range p.apply {
		if i.Subject.Type == "member" && i.now.role == owner {
			going, ids = append(going, i), append(ids, i.Subject.ID)
		}
	}
	if len(going) == 0 {
		return nil
	}
	in, args := sqldb.Placeholders(4, ids)
	var left int
	err := r.QueryRow(ctx, `SELECT count(*) FROM members WHERE organization = $1 AND role = $2 AND status = 'active' AND (ends_at = 0 OR ends_at > $3)
		AND id NOT IN (`+in+`)`, append([]any{r.Organization(), string(owner), r.Micros()}, args...)...).Scan(&left)
	if err != nil || left > 0 {
		return err
	}
	last := going[len(going)-1]
	return last.named(directory.LastOwner(r.Charter, last.Subject.Name))
}

func completeReview(ctx context.Context, tx *op.Tx, in CompleteReviewInput) (Review, error) {
	v, _ := tx.Target().Value.(Review)
	p, err := v.plan(ctx, tx.Reader, in.Undecided)
	if err != nil {
		return v, err
	}
	if err := p.keepsOwner(ctx, tx.Reader); err != nil {
		return v, err
	}
	for _, i := range p.apply {
		if err := i.mayApply(ctx, tx.Reader); err != nil {
			return v, i.named(err)
		}
		if err := i.carryOut(ctx, tx, v); err != nil {
			return v, i.named(err)
		}
	}
	tx.Changed("state", string(Open), string(Completed))
	if err := v.writeOutcomes(ctx, tx, p); err != nil {
		return v, err
	}
	return v.settle(ctx, tx, Completed)
}

// carryOut does what was decided about a row.
func (i Item) carryOut(ctx context.Context, tx *op.Tx, v Review) error {
	tx.Also(i.Subject.Type, i.Subject.ID, i.Subject.Name)
	reason := fmt.Sprintf("review %s: %s", v.Title, i.Reason)
	if i.Decision == Reduce {
		tx.Changed("role of "+i.Subject.ID, string(i.now.role), string(i.ToRole))
	} else {
		tx.Changed(i.Subject.ID, nil, "removed")
	}
	switch {
	case i.Subject.Type == "key":
		return credential.EndKey(ctx, tx, i.Subject.ID, reason)
	case i.Subject.Type == "service_account" && i.Decision == Reduce:
		return credential.GiveAccountRole(ctx, tx, i.Subject.ID, i.ToRole)
	case i.Subject.Type == "service_account":
		return credential.EndServiceAccount(ctx, tx, i.Subject.ID)
	case i.Decision == Reduce:
		return directory.GiveRole(ctx, tx, i.Subject.ID, string(i.ToRole))
	}
	return directory.EndMembership(ctx, tx, i.Subject.ID, reason)
}

// writeOutcomes writes beside each row what became of it.
func (v Review) writeOutcomes(ctx context.Context, tx *op.Tx, p plan) error {
	args := []any{tx.Organization(), v.ID}
	among := func(items []Item) string {
		ids := []string{"-"} // no subject's id
		for _, i := range items {
			ids = append(ids, i.Subject.ID)
		}
		in, more := sqldb.Placeholders(len(args)+1, ids)
		args = append(args, more...)
		return "subject IN (" + in + ")"
	}
	query := "UPDATE review_items SET outcome = CASE WHEN " + among(p.gone) + " THEN 'gone' WHEN " + among(p.undecided) + ` THEN 'undecided'
		WHEN decision = 'keep' THEN 'kept' WHEN decision = 'reduce' THEN 'reduced' ELSE 'removed' END WHERE organization = $1 AND review = $2`
	_, err := tx.Exec(ctx, query, args...)
	return err
}

// settle ends a review. One that is cancelled is not repeated.
func (v Review) settle(ctx context.Context, tx *op.Tx, state State) (Review, error) {
	v.State, v.SettledAt, v.SettledBy, v.Overdue = state, when(tx.Micros()), tx.Actor.ID, false
	v.Version++
	_, err := tx.Exec(ctx, `UPDATE reviews SET state = $3, settled_at = $4, settled_by = $5, version = $6, repeats_at = CASE WHEN $3 = 'cancelled' THEN 0 ELSE repeats_at END
		WHERE organization = $1 AND id = $2`, tx.Organization(), v.ID, string(state), tx.Micros(), v.SettledBy, v.Version)
	return v, err
}

// CancelReviewInput names a review and says why it is cancelled.
type CancelReviewInput struct {
	ReviewInput
	Reason string `json:"reason,omitzero" doc:"Why, for the audit log" maxLength:"500" required:"false"`
}

// CancelReview ends a review without applying anything. What was decided stays readable.
var CancelReview = &op.Op[CancelReviewInput, Review]{
	Name:    "reviews.cancel",
	Route:   "POST /v1/organizations/{organization}/reviews/{review}/cancel",
	Summary: "Cancel an access review: nothing of it is applied, and it is not repeated",
	Kind:    op.Write,
	Allow:   op.On("reviews.manage"),
	Confirm: op.L1,
	Target: func(ctx context.Context, r *op.Reader, in CancelReviewInput) (op.Target, error) {
		return reviewTarget(ctx, r, in.ReviewInput)
	},
	Do: func(ctx context.Context, tx *op.Tx, in CancelReviewInput) (Review, error) {
		v, _ := tx.Target().Value.(Review)
		if err := v.over(); err != nil {
			return v, err
		}
		tx.Because(in.Reason)
		tx.Changed("state", string(Open), string(Cancelled))
		return v.settle(ctx, tx, Cancelled)
	},
	Example: CancelReviewInput{ReviewInput: exampleReview, Reason: "started by mistake"},
}
