package billing

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/notice"
	"github.com/guildhall/guildhall/op"
)

// RemindInput names an organization.
type RemindInput struct{ op.InOrganization }

// Reminded is what became of what is overdue.
type Reminded struct {
	Standing
	Sent int `json:"sent" doc:"How many mails went out"`
}

// Remind looks after what an organization has not paid in time: it is overdue, whoever manages billing is reminded after
// three, seven and fourteen days, and when the time that the configuration gives is over the organization falls to the
// first plan. It is scheduled work; in between it changes nothing.
var Remind = &op.Op[RemindInput, Reminded]{
	Name:    "invoices.remind",
	Route:   "POST /v1/organizations/{organization}/invoices/remind",
	Summary: "Look after overdue invoices: remind, and in the end fall to the first plan",
	Kind:    op.Access,
	Allow:   op.ByOperator,
	Target: func(ctx context.Context, r *op.Reader, _ RemindInput) (op.Target, error) {
		return subscriptionTarget(ctx, r)
	},
	Fences:  func(_ RemindInput, t op.Target) []op.Fence { return fences(t) },
	Do:      remind,
	Example: RemindInput{op.InOrganization{Organization: "acme"}},
}

// reminders are after how long those who manage billing are reminded.
var reminders = []time.Duration{3 * 24 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour}

// stage is how many reminders are due for what is overdue since a moment.
func stage(since, now int64) (n int64) {
	for _, after := range reminders {
		if now-since >= after.Microseconds() {
			n++
		}
	}
	return n
}

// arrears is what an organization has not paid in time.
type arrears struct {
	since, reminded int64 // since when, and how many reminders were sent
	fresh           int64 // how many invoices are overdue that do not say so yet
}

func (s record) arrears(ctx context.Context, r *op.Reader) (a arrears, err error) {
	err = r.QueryRow(ctx, `SELECT COALESCE(MIN(v.due_at), 0), COALESCE(MAX(v.reminded), 0), COALESCE(SUM(CASE WHEN v.state = 'open' THEN 1 ELSE 0 END), 0)
		FROM invoices v WHERE v.organization = $1 AND v.state IN ('open', 'past_due') AND v.due_at <= $2`, s.organization, r.Micros()).
		Scan(&a.since, &a.reminded, &a.fresh)
	return a, err
}

func remind(ctx context.Context, tx *op.Tx, _ RemindInput) (Reminded, error) {
	s, _ := tx.Target().Value.(record)
	if err := sold(tx.Charter); err != nil {
		return Reminded{}, err
	}
	a, err := s.arrears(ctx, tx.Reader)
	if err != nil {
		return Reminded{}, err
	}
	before := s
	falls := s.unpaid(tx, a)
	due := stage(a.since, tx.Micros())
	if a.since == 0 || s == before && a.fresh == 0 && due <= a.reminded {
		tx.Unchanged()
		return Reminded{Standing: before.standing(tx.Reader)}, nil
	}
	if _, err := tx.Exec(ctx, `UPDATE invoices SET state = 'past_due', reminded = $3, version = version + 1
		WHERE organization = $1 AND state IN ('open', 'past_due') AND due_at <= $2`, s.organization, tx.Micros(), due); err != nil {
		return Reminded{}, err
	}
	done := Reminded{}
	if falls || due > a.reminded {
		if done.Sent, err = s.tell(ctx, tx, a, falls); err != nil {
			return done, err
		}
	}
	s.note(tx, before)
	done.Standing = s.standing(tx.Reader)
	if falls {
		return done, s.give(ctx, tx)
	}
	return done, s.save(ctx, tx)
}

// unpaid makes the subscription what it is with arrears, and says whether it falls to the first plan by it. T-089.
func (s *record) unpaid(tx *op.Tx, a arrears) (falls bool) {
	if a.since == 0 || s.state == Ended || s.provider != Builtin {
		return false
	}
	falls = tx.Micros() >= a.since+tx.Settings.UnpaidFor.Microseconds() && s.plan != first(tx.Charter).ID
	if s.state = PastDue; falls {
		s.fall(tx.Reader, Ended)
	}
	s.pastDueSince = a.since
	return falls
}

// tell mails those who manage billing what is overdue, and what comes of it: two statements.
func (s record) tell(ctx context.Context, tx *op.Tx, a arrears, fell bool) (int, error) {
	roles, err := directory.RolesHolding(ctx, tx.Reader, manage)
	if err != nil || len(roles) == 0 {
		return 0, err
	}
	n := notice.Notice{Subject: "invoices are overdue", Path: "/settings/billing", Always: true,
		Text: Money(s.owed, tx.Charter.Currency) + " has not been paid since " + mail.Moment(moment(a.since)) + "."}
	ends := mail.Moment(moment(a.since).Add(tx.Settings.UnpaidFor))
	switch {
	case fell:
		n.Subject = "the plan has ended unpaid"
		n.Text += " The organization is on the plan " + titleOf(tx.Charter, s.plan) + " now. Nobody was removed and nothing was deleted."
	case s.plan != first(tx.Charter).ID:
		n.Text += " Unless it is paid, the organization falls to the plan " + first(tx.Charter).Title + " on " + ends + "."
	}
	return notice.TellRoles(ctx, tx, roles, n)
}
