package governance

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/op"
)

// RemindedAgain is how long after a reminder the next one can be sent.
const RemindedAgain = 7 * day

// RemindReview mails whoever started a review, and the reviewers who have rows to decide. An overdue one is reminded of by
// itself, once a week.
var RemindReview = &op.Op[ReviewInput, Review]{
	Name:    "reviews.remind",
	Route:   "POST /v1/organizations/{organization}/reviews/{review}/remind",
	Summary: "Remind whoever has to act on an access review, by mail",
	Kind:    op.Write,
	Allow:   op.On("reviews.manage"),
	Confirm: op.L1,
	Target:  reviewTarget,
	Do:      remindReview,
	Example: exampleReview,
}

func remindReview(ctx context.Context, tx *op.Tx, _ ReviewInput) (Review, error) {
	v, _ := tx.Target().Value.(Review)
	if err := v.over(); err != nil {
		return v, err
	}
	if v.reminded > tx.Now.Add(-RemindedAgain).UnixMicro() {
		return v, op.Errorf(op.Conflict, "reminded", "everybody was reminded on %s: wait a week", when(v.reminded).Format("2 January 2006"))
	}
	told, err := v.remind(ctx, tx)
	if err != nil {
		return v, err
	}
	tx.Changed("reminded", nil, told)
	_, err = tx.Exec(ctx, "UPDATE reviews SET reminded_at = $3 WHERE organization = $1 AND id = $2", tx.Organization(), v.ID, tx.Micros())
	return v, err
}

// remind mails the starter, and each reviewer with the number of their rows that wait. It says how many are told.
func (v Review) remind(ctx context.Context, tx *op.Tx) (int, error) {
	rows, err := tx.Query(ctx, `SELECT u.email, o.slug, o.name, (SELECT count(*) FROM review_items i WHERE i.organization = m.organization AND i.review = $2
			AND i.reviewer = m.id AND i.decision = '') FROM members m JOIN users u ON u.id = m.user_id JOIN organizations o ON o.id = m.organization
		WHERE m.organization = $1 AND m.status = 'active' AND (m.ends_at = 0 OR m.ends_at > $3) AND (m.id = $4 OR m.id IN (SELECT i.reviewer FROM review_items i
			WHERE i.organization = $1 AND i.review = $2 AND i.decision = '')) ORDER BY m.id`, tx.Organization(), v.ID, tx.Micros(), v.Starter)
	type asked struct {
		email, slug, organization string
		waiting                   int
	}
	all, err := rowsOf(rows, err, func(rows *sql.Rows) (a asked, err error) {
		err = rows.Scan(&a.email, &a.slug, &a.organization, &a.waiting)
		return a, err
	})
	due := "is due on " + v.DueAt.Format("2 January 2006")
	if v.Overdue {
		due = "was due on " + v.DueAt.Format("2 January 2006")
	}
	for _, a := range all {
		waits := fmt.Sprintf("%d of %d rows are decided.", v.Decided, v.Rows)
		if a.waiting > 0 {
			waits = fmt.Sprintf("%d rows wait for you.", a.waiting)
		}
		sendMail(tx, mail.Message{To: a.email, Subject: "The access review of " + a.organization + " " + due, Text: fmt.Sprintf(
			"The review %q %s. %s\n\n%s\n", v.Title, due, waits, tx.Settings.URL("/o/"+a.slug+"/settings/reviews/"+v.ID))})
	}
	return len(all), err
}

// Due is the scheduled work on reviews.
type Due struct {
	Repeat []ReviewInput // complete ones whose next one begins now
	Remind []ReviewInput // overdue ones of which nobody was reminded within RemindedAgain
}

// DueNow lists up to 1,000 reviews of all organizations on which there is work, of each kind.
func DueNow(ctx context.Context, r *op.Reader) (due Due, err error) {
	named := func(rows *sql.Rows) (in ReviewInput, err error) {
		err = rows.Scan(&in.Organization, &in.Review)
		return in, err
	}
	rows, err := r.Query(ctx, `SELECT v.organization, v.id FROM reviews v JOIN organizations o ON v.organization = o.id AND o.state = 'active'
		WHERE v.repeats_at <> 0 AND v.repeats_at <= $1 AND v.state = 'completed' ORDER BY v.repeats_at LIMIT 1000`, r.Micros())
	if due.Repeat, err = rowsOf(rows, err, named); err != nil {
		return due, err
	}
	rows, err = r.Query(ctx, `SELECT v.organization, v.id FROM reviews v JOIN organizations o ON v.organization = o.id AND o.state = 'active'
		WHERE v.state = 'open' AND v.due_at < $1 AND v.reminded_at <= $2 ORDER BY v.due_at LIMIT 1000`, r.Micros(), r.Now.Add(-RemindedAgain).UnixMicro())
	due.Remind, err = rowsOf(rows, err, named)
	return due, err
}
