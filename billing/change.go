package billing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/period"
	"github.com/guildhall/guildhall/op"
)

// When says when a change takes effect.
type When string

// When a change takes effect.
const (
	Now         When = "now"
	AtPeriodEnd When = "period_end"
)

// WantedPlan is a plan that is asked for.
type WantedPlan struct {
	op.InOrganization
	Plan     string   `json:"plan" doc:"The plan's id" minLength:"1" maxLength:"64" example:"business"`
	Interval Interval `json:"interval,omitzero" doc:"How often it is paid; left out: as now" enum:"month,year"`
	At       When     `json:"at,omitzero" doc:"When; left out: a greater plan now, a smaller one at the end of the period" enum:"now,period_end"`

	asked *ProviderPreview // what the provider would charge; nil: it is reckoned here
}

// quote is what a change would do.
type quote struct {
	plan        charter.Plan
	from, to    Fee
	when        When
	at          int64 // when it takes effect
	down, same  bool
	charges     []InvoiceLine // today's, with what is used or kept of credit
	due, credit int64         // to be paid today, and the credit that is there then
	next        period.Period // from then on
	anchor      int64
}

// quote works a change out. A smaller plan, or the month instead of the year, waits for the end of the period unless it
// is wanted now.
func (s record) quote(ctx context.Context, r *op.Reader, in WantedPlan) (quote, error) {
	plan, ok := r.Charter.Plan(in.Plan)
	if !ok {
		return quote{}, op.InvalidField("plan", "unknown", "there is no plan %q: %s", in.Plan, planIDs(r.Charter))
	}
	interval := in.Interval
	if interval == "" {
		if interval = s.interval; !soldBy(plan, interval) {
			interval = other(interval)
		}
	}
	if !soldBy(plan, interval) {
		return quote{}, op.InvalidField("interval", "not_sold", "the plan %s is not sold %s", plan.Title, interval.words())
	}
	q := quote{plan: plan, from: feeOf(r.Charter, s.plan, s.interval), to: feeOf(r.Charter, plan.ID, interval), anchor: s.anchor}
	higher := rank(r.Charter, plan.ID) - rank(r.Charter, s.plan)
	q.same = higher == 0 && interval == s.interval
	q.down = higher < 0 || higher == 0 && s.interval == Yearly && interval == Monthly
	if q.when = in.At; q.when == "" {
		q.when = Now
		if q.down {
			q.when = AtPeriodEnd
		}
	}
	if q.when == Now && s.interval == Yearly && interval == Monthly && q.down {
		return quote{}, op.InvalidField("at", "not_now", "the year that is paid comes to its end first: at has to be period_end")
	}
	if in.asked != nil && !q.same {
		q.at, q.next, q.credit, q.charges, q.due = s.period.End, s.period, s.credit, in.asked.Lines, in.asked.Due
		if q.when == Now {
			q.at = r.Micros()
		}
		return q, nil
	}
	return q, s.amounts(ctx, r, &q)
}

// amounts fills in what is due today, and what holds afterwards. Where another period begins, the usage of the month that
// was open is due with it.
func (s record) amounts(ctx context.Context, r *op.Reader, q *quote) error {
	q.at, q.next, q.credit = s.period.End, s.period, s.credit
	if q.when == AtPeriodEnd || q.same {
		return nil
	}
	q.at = r.Micros()
	charges, next := Switch(q.from, q.to, s.period, q.at)
	for _, charge := range charges {
		q.charges = append(q.charges, chargeLine(r.Charter, charge))
	}
	if q.next = next; next != s.period {
		q.anchor = q.at
		used, err := usageLines(ctx, r, s.organization, period.Period{Start: s.month().Start, End: q.at})
		if err != nil {
			return err
		}
		q.charges = append(q.charges, used...)
	}
	q.charges, q.due, q.credit = settled(q.charges, s.credit, q.at)
	return nil
}

func other(i Interval) Interval {
	if i == Yearly {
		return Monthly
	}
	return Yearly
}

func planIDs(c *charter.Charter) string {
	text := "it has to be"
	for n, p := range c.Plans {
		switch {
		case n == 0:
		case n == len(c.Plans)-1:
			text += " or"
		default:
			text += ","
		}
		text += " " + p.ID
	}
	return text
}

// after is the subscription as it would be right after the change took effect.
func (s record) after(q quote) record {
	s.plan, s.interval, s.period, s.anchor, s.credit, s.next = q.plan.ID, q.to.Interval, q.next, q.anchor, q.credit, scheduled{}
	s.state, s.seats = Active, int64(q.plan.Seats)
	if q.when == Now && q.anchor == q.at {
		s.closesAt = period.Month(s.anchor, q.at).End
	}
	return s
}

// planned is the subscription with the change waiting for the end of its period.
func (s record) planned(q quote) record {
	s.next = scheduled{plan: q.plan.ID, interval: q.to.Interval, at: s.period.End}
	return s
}

// ChangePreview is what a change would do, to the minor unit.
type ChangePreview struct {
	Plan      string        `json:"plan" example:"business"`
	PlanTitle string        `json:"plan_title" example:"Business"`
	Interval  Interval      `json:"interval" enum:"month,year"`
	Direction string        `json:"direction" enum:"up,down,same" doc:"Whether it is more or less than what there is"`
	When      When          `json:"when" enum:"now,period_end" doc:"When it takes effect"`
	At        time.Time     `json:"at" doc:"The moment at which it takes effect"`
	Currency  string        `json:"currency" example:"USD"`
	DueToday  int64         `json:"due_today" doc:"What is invoiced at once, in minor units" example:"24500"`
	Lines     []InvoiceLine `json:"lines" cli:"-" doc:"What is due today, by line"`
	Next      Estimate      `json:"next" cli:"-" doc:"The invoice after that, as it would be"`
	Gains     []PlanFeature `json:"gains" cli:"-" doc:"Features that are gained"`
	Loses     Losses        `json:"loses" cli:"-" doc:"What is lost when it takes effect"`
}

// Losses is what an organization has and would not have any more.
type Losses struct {
	Features []PlanFeature `json:"features" doc:"Features that are lost"`
	Limits   []LimitLoss   `json:"limits" doc:"Limits that are below what is used now"`
	Seats    *SeatLoss     `json:"seats,omitzero" doc:"Fewer seats than there are people and invitations"`
	Settings []SettingLoss `json:"settings" doc:"Settings that the plan does not have"`
}

// LimitLoss is a limit below what is used now.
type LimitLoss struct {
	Meter string `json:"meter" example:"executions"`
	Title string `json:"title" example:"Executions"`
	Used  int64  `json:"used" doc:"In this month until now"`
	Hard  int64  `json:"hard" doc:"What use would never go beyond"`
}

// SeatLoss is what becomes of people and invitations when there are fewer seats.
type SeatLoss struct {
	Limit       int64     `json:"limit" doc:"How many seats there would be"`
	Members     int64     `json:"members" doc:"How many members there are; all of them stay"`
	Over        int64     `json:"over" doc:"How many of them are over the limit"`
	Invitations int64     `json:"invitations" doc:"Pending invitations that are frozen: nobody can accept them while there is no seat"`
	At          time.Time `json:"at" doc:"From when on"`
}

// SettingLoss is a setting that needs a feature which the plan lacks.
type SettingLoss struct {
	Setting string `json:"setting" enum:"region,retention" example:"retention"`
	Feature string `json:"feature" example:"security_controls"`
	Text    string `json:"text" doc:"What there is now, and what becomes of it"`
}

// PreviewChange says what a change of plan would cost and take away, to the minor unit, and changes nothing.
var PreviewChange = &op.Op[WantedPlan, ChangePreview]{
	Name:    "subscription.preview_change",
	Route:   "GET /v1/organizations/{organization}/subscription/preview_change",
	Summary: "Say what a change of plan would cost and take away",
	Allow:   op.AnyOf(op.On(see), op.ByService),
	Prepare: func(ctx context.Context, in WantedPlan) (WantedPlan, error) {
		var err error
		in.asked, err = deskOf(ctx).preview(ctx, in)
		return in, err
	},
	Do: func(ctx context.Context, tx *op.Tx, in WantedPlan) (ChangePreview, error) {
		return preview(ctx, tx.Reader, in)
	},
	Example: WantedPlan{Plan: "business"},
}

// preview asks the provider what a change would cost; nil: it is reckoned here, since it is done here.
func (d Desk) preview(ctx context.Context, in WantedPlan) (*ProviderPreview, error) {
	if d.Name == Builtin {
		return nil, nil //nolint:nilnil // no provider has anything to say
	}
	var begun ProviderPreview
	o, _, err := d.written(ctx, in.Organization, func(ctx context.Context, s record, r *op.Reader, o *Order) error {
		if err := sold(r.Charter); err != nil {
			return err
		}
		q, err := s.quote(ctx, r, in)
		q.order(o)
		begun = q.begins(r)
		return err
	})
	switch {
	case err != nil || o.here() || o.Resume:
		return nil, err
	case o.Object == "":
		return &begun, nil
	}
	asked, err := d.Provider.Preview(ctx, o)
	return &asked, err
}

// begins is a subscription that begins now with a provider: its first period is paid, and then the next one.
func (q quote) begins(r *op.Reader) ProviderPreview {
	now := q.to.Interval.Of(r.Micros(), r.Micros())
	after := q.to.Interval.Of(r.Micros(), now.End)
	paid, _ := planLine(r.Charter, q.to, now)
	then, _ := planLine(r.Charter, q.to, after)
	return ProviderPreview{Lines: []InvoiceLine{paid}, Due: paid.Amount,
		Next: Estimate{At: moment(now.End), Lines: []InvoiceLine{then}, Total: then.Amount}}
}

func preview(ctx context.Context, r *op.Reader, in WantedPlan) (ChangePreview, error) {
	if err := sold(r.Charter); err != nil {
		return ChangePreview{}, err
	}
	s, err := recordOf(ctx, r, r.Organization())
	if err != nil {
		return ChangePreview{}, err
	}
	if err := s.current(r.Micros()); err != nil {
		return ChangePreview{}, err
	}
	q, err := s.quote(ctx, r, in)
	if err != nil {
		return ChangePreview{}, err
	}
	return s.previewOf(ctx, r, q, in.asked)
}

func (s record) previewOf(ctx context.Context, r *op.Reader, q quote, asked *ProviderPreview) (ChangePreview, error) {
	p := ChangePreview{Plan: q.plan.ID, PlanTitle: q.plan.Title, Interval: q.to.Interval, Direction: q.direction(), When: q.when, At: moment(q.at),
		Currency: r.Charter.Currency, DueToday: q.due, Lines: q.charges}
	if p.Lines == nil {
		p.Lines = []InvoiceLine{}
	}
	then := s.after(q)
	if q.when == AtPeriodEnd {
		then = s.planned(q)
	}
	var err error
	if p.Next, err = then.estimate(ctx, r); err != nil {
		return p, err
	}
	if asked != nil && !q.same {
		p.Next = asked.Next
	}
	p.Gains, p.Loses.Features = featureChanges(r.Charter, s.plan, q.plan)
	p.Loses.Settings = s.settingLosses(r, q)
	p.Loses.Seats = s.seatLoss(q)
	p.Loses.Limits, err = s.limitLosses(ctx, r, q)
	return p, err
}

func (q quote) direction() string {
	switch {
	case q.same:
		return "same"
	case q.down:
		return "down"
	}
	return "up"
}

// featureChanges are the features that one plan has and another one lacks, both ways.
func featureChanges(c *charter.Charter, from string, to charter.Plan) (gains, loses []PlanFeature) {
	gains, loses = []PlanFeature{}, []PlanFeature{}
	had, _ := c.Plan(from)
	for _, id := range allFeatures(c) {
		f := PlanFeature{ID: id, Title: c.Feature(id).Title, Brings: c.Feature(id).Brings, Included: to.Has(id)}
		switch {
		case to.Has(id) && !had.Has(id):
			gains = append(gains, f)
		case had.Has(id) && !to.Has(id):
			loses = append(loses, f)
		}
	}
	return gains, loses
}

func (s record) seatLoss(q quote) *SeatLoss {
	limit := int64(q.plan.Seats)
	if limit == 0 || s.members+s.pending <= limit {
		return nil
	}
	return &SeatLoss{Limit: limit, Members: s.members, Over: max(0, s.members-limit), Invitations: seatsOf(limit, s.members, s.pending).Frozen, At: moment(q.at)}
}

func (s record) limitLosses(ctx context.Context, r *op.Reader, q quote) ([]LimitLoss, error) {
	losses := []LimitLoss{}
	used, err := usedNow(ctx, r, s.organization, s.month())
	for _, m := range r.Charter.Meters {
		if hard := q.plan.LimitOf(m.ID).Hard; hard != charter.Unlimited && used[m.ID] > hard {
			losses = append(losses, LimitLoss{Meter: m.ID, Title: m.Title, Used: used[m.ID], Hard: hard})
		}
	}
	return losses, err
}

// settingLosses are the organization's settings that need a feature which it has now and would lose.
func (s record) settingLosses(r *op.Reader, q quote) []SettingLoss {
	losses := []SettingLoss{}
	lost := func(feature string) bool {
		return r.Charter.Unlocked(s.plan, feature) && !r.Charter.Unlocked(q.plan.ID, feature)
	}
	if lost("regions") && slices.Index(r.Charter.Regions, s.region) > 0 {
		losses = append(losses, SettingLoss{"region", "regions", "The default region " + s.region +
			" stays, but no region other than " + r.Charter.Regions[0] + " can be chosen any more."})
	}
	if lost("security_controls") && (s.retentionDays == 0 || s.retentionDays > directory.DefaultRetentionDays) {
		losses = append(losses, SettingLoss{"retention", "security_controls", "Artifacts go on being kept " + days(s.retentionDays) +
			", but " + days(directory.DefaultRetentionDays) + " is the most that can be chosen then."})
	}
	return losses
}

func days(n int64) string {
	if n == 0 {
		return "for ever"
	}
	return fmt.Sprintf("for %d days", n)
}
