package billing

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/period"
	"github.com/guildhall/guildhall/op"
)

// ClosePeriodInput names an organization.
type ClosePeriodInput struct{ op.InOrganization }

// ClosedPeriod is what the end of a month brought.
type ClosedPeriod struct {
	Standing
	Invoice string `json:"invoice,omitzero" doc:"The invoice, if anything was due"`
}

// ClosePeriod ends the open month of an organization once it is over: what was used is invoiced, and where the plan's
// period ends too, the plan for the next one; a change that waited for it takes effect. Before that, and a second time, it
// changes nothing. It is scheduled work.
var ClosePeriod = &op.Op[ClosePeriodInput, ClosedPeriod]{
	Name:    "invoices.close",
	Route:   "POST /v1/organizations/{organization}/invoices/close",
	Summary: "End a month that is over: make its invoice, and carry out what waited for it",
	Kind:    op.Access,
	Allow:   op.ByOperator,
	Target: func(ctx context.Context, r *op.Reader, _ ClosePeriodInput) (op.Target, error) {
		return subscriptionTarget(ctx, r)
	},
	Fences:  func(_ ClosePeriodInput, t op.Target) []op.Fence { return fences(t) },
	Do:      closePeriod,
	Example: ClosePeriodInput{op.InOrganization{Organization: "acme"}},
}

func closePeriod(ctx context.Context, tx *op.Tx, _ ClosePeriodInput) (ClosedPeriod, error) {
	s, _ := tx.Target().Value.(record)
	if err := sold(tx.Charter); err != nil {
		return ClosedPeriod{}, err
	}
	if tx.Micros() < s.closesAt {
		tx.Unchanged()
		return ClosedPeriod{Standing: s.standing(tx.Reader)}, nil
	}
	before := s
	var done ClosedPeriod
	var err error
	if s.provider == Builtin {
		done.Invoice, err = s.invoiceMonth(ctx, tx)
	} else {
		err = s.reportUsage(ctx, tx, s.month())
	}
	if err != nil {
		return done, err
	}
	s.advance(s.closing(tx.Charter))
	s.note(tx, before)
	if s.plan != before.plan || s.anchor != before.anchor {
		err = s.give(ctx, tx)
	} else {
		err = s.save(ctx, tx)
	}
	done.Standing = s.standing(tx.Reader)
	return done, err
}

// invoiceMonth issues the invoice of the open month, if anything is to be said on it, and gives its id.
func (s *record) invoiceMonth(ctx context.Context, tx *op.Tx) (string, error) {
	used, err := usageLines(ctx, tx.Reader, s.organization, s.month())
	if err != nil {
		return "", err
	}
	lines, total, credit := settled(append(s.closing(tx.Charter).lines, used...), s.credit, s.closesAt)
	if sumOfSizes(lines) == 0 {
		return "", nil
	}
	s.credit = credit
	i, err := s.issue(ctx, tx, bill{fmt.Sprintf("month:%d", s.closesAt), s.month(), lines, total})
	if err != nil {
		return "", err
	}
	s.owed += total
	s.post(tx, i)
	return i.ID, nil
}

// sumOfSizes is 0 if no line has an amount.
func sumOfSizes(lines []InvoiceLine) (size int64) {
	for _, l := range lines {
		size += max(l.Amount, -l.Amount)
	}
	return size
}

// advance begins the next month, and the next period where the old one is over.
func (s *record) advance(c closing) {
	ended := s.closesAt
	if ended >= s.period.End && s.next.at != 0 && s.next.at <= ended {
		if s.next.cancels {
			s.state = Cancelled
		}
		s.next = scheduled{}
	}
	s.plan, s.interval, s.period, s.anchor = c.plan, c.fee.Interval, c.next, c.anchor
	s.closesAt = period.Month(s.anchor, ended).End
}

// post mails an invoice to whoever the account names.
func (s record) post(tx *op.Tx, i Invoice) {
	if s.account.Email == "" {
		return
	}
	address, err := directory.ParseAddress(s.account.Email)
	if err != nil {
		return
	}
	what := "Please pay " + Money(i.Total, i.Currency) + " by " + mail.Moment(i.DueAt) + "."
	if i.Total == 0 {
		what = "There is nothing to pay."
	}
	payload, err := json.Marshal(mail.Message{To: mail.Deliverable(address.Email, address.Folded),
		Subject: "Invoice " + i.Number + " for “" + mail.Line(s.name) + "”",
		Text:    mail.Paragraphs("The invoice "+i.Number+" comes to "+Money(i.Total, i.Currency)+". "+what, "See it here:\n"+tx.Settings.URL("/o/"+s.organization+"/settings/billing/invoices/"+i.ID))})
	if err == nil {
		tx.Send("mail", payload)
	}
}
