package billing

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/period"
	"github.com/guildhall/guildhall/op"
)

// LineKind says what a line of an invoice is for.
type LineKind string

// The kinds of lines.
const (
	PlanLine      LineKind = "plan"      // a plan for a whole period
	ProrationLine LineKind = "proration" // the rest of a period, charged or given back
	UsageLine     LineKind = "usage"     // what was used beyond what is included
	CreditLine    LineKind = "credit"    // what is kept for a later invoice, or used of it
)

// InvoiceLine is one line of an invoice. The amounts of an invoice's lines add up to its total.
type InvoiceLine struct {
	Kind     LineKind  `json:"kind" enum:"plan,proration,usage,credit"`
	Text     string    `json:"text" doc:"What it is for, in words" example:"Pro, by the month"`
	Meter    string    `json:"meter,omitzero" doc:"Of usage: which meter"`
	Units    int64     `json:"units,omitzero" doc:"Of usage: how much there was in the period"`
	Included int64     `json:"included,omitzero" doc:"Of usage: how much of it the plan includes"`
	From     time.Time `json:"from" doc:"Where the span begins that it is for"`
	Until    time.Time `json:"until" doc:"And where it ends"`
	Amount   int64     `json:"amount" doc:"In minor units; below 0: given back" example:"4900"`
}

// Estimate is an invoice as it would be now.
type Estimate struct {
	At    time.Time     `json:"at" doc:"When it will be made"`
	Lines []InvoiceLine `json:"lines"`
	Total int64         `json:"total" doc:"In minor units: the lines added up"`
}

func (i Interval) words() string {
	if i == Yearly {
		return "by the year"
	}
	return "by the month"
}

// planLine charges a plan for a whole period; false where it costs nothing.
func planLine(c *charter.Charter, fee Fee, p period.Period) (InvoiceLine, bool) {
	return InvoiceLine{Kind: PlanLine, Text: titleOf(c, fee.Plan) + ", " + fee.Interval.words(), From: moment(p.Start), Until: moment(p.End),
		Amount: fee.Amount}, fee.Amount != 0
}

// chargeLine is a charge of a change in words.
func chargeLine(c *charter.Charter, charge Charge) InvoiceLine {
	text := titleOf(c, charge.Fee.Plan) + ", " + charge.Fee.Interval.words()
	if charge.Back {
		text = "Unused time of " + text
	} else {
		text = "Remaining time of " + text
	}
	return InvoiceLine{Kind: ProrationLine, Text: text, From: moment(charge.Span.Start), Until: moment(charge.Span.End), Amount: charge.Amount}
}

// sum adds lines up.
func sum(lines []InvoiceLine) (total int64) {
	for _, l := range lines {
		total += l.Amount
	}
	return total
}

// settled adds the line of what is kept as credit, or used of it, and says what credit is there then.
func settled(lines []InvoiceLine, credit, at int64) (all []InvoiceLine, total, left int64) {
	total, used, kept := Settle(sum(lines), credit)
	line := InvoiceLine{Kind: CreditLine, From: moment(at), Until: moment(at)}
	switch {
	case used > 0:
		line.Text, line.Amount = "Credit of earlier invoices", -used
	case kept > 0:
		line.Text, line.Amount = "Kept as credit for the next invoice", kept
	default:
		return lines, total, credit
	}
	return append(lines, line), total, credit - used + kept
}

// closing is what the end of the open month brings: lines, and the plan and period that follow. Only where the plan's
// period ends too is a plan charged, for the period after it.
type closing struct {
	lines  []InvoiceLine
	plan   string
	anchor int64
	next   period.Period
	fee    Fee
}

// closing works out the end of the open month, without its usage.
func (s record) closing(c *charter.Charter) closing {
	done := closing{plan: s.plan, anchor: s.anchor, next: s.period, fee: feeOf(c, s.plan, s.interval)}
	if s.closesAt < s.period.End {
		return done
	}
	if s.next.at != 0 && s.next.at <= s.closesAt {
		done.plan, done.fee = s.next.plan, feeOf(c, s.next.plan, s.next.interval)
		if s.next.interval != s.interval {
			done.anchor = s.closesAt
		}
	}
	done.next = done.fee.Interval.Of(done.anchor, s.closesAt)
	if line, costs := planLine(c, done.fee, done.next); costs {
		done.lines = append(done.lines, line)
	}
	return done
}

// estimate is the next invoice as it would be now: the plan for the period to come, and what was used until now.
func (s record) estimate(ctx context.Context, r *op.Reader) (Estimate, error) {
	used, err := usageLines(ctx, r, s.organization, s.month())
	if err != nil {
		return Estimate{}, err
	}
	lines, total, _ := settled(append(s.closing(r.Charter).lines, used...), s.credit, s.closesAt)
	if lines == nil {
		lines = []InvoiceLine{}
	}
	return Estimate{At: moment(s.closesAt), Lines: lines, Total: total}, nil
}
