package usage

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/period"
	"github.com/guildhall/guildhall/op"
)

// GetSummaryInput asks what was used in a period.
type GetSummaryInput struct {
	op.InOrganization
	At time.Time `json:"at,omitzero" doc:"A moment in the period; without it, now" example:"2026-11-02T09:00:00Z" required:"false"`
}

// Range is what a figure will be at the end of the period, if use goes on as in the last days: in eight of ten cases it
// is between Low and High.
type Range struct {
	Low      int64 `json:"low" doc:"Nine of ten times it is more than this"`
	Expected int64 `json:"expected" doc:"What it will be if use goes on as it does"`
	High     int64 `json:"high" doc:"Nine of ten times it is less than this"`
}

// MeterSummary is what was used of one meter.
type MeterSummary struct {
	Meter     string `json:"meter" doc:"The meter's id" example:"executions"`
	Title     string `json:"title" doc:"Its title" example:"Executions"`
	Group     string `json:"group" doc:"The heading that it stands under" example:"Executions"`
	Unit      string `json:"unit" doc:"What one is called, in the plural" example:"executions"`
	Kind      string `json:"kind" enum:"counter,sum,gauge,unique,maximum" doc:"How events become a figure"`
	Quantity  int64  `json:"quantity" doc:"What is billed: the sum, the greatest value, the number of different things, or the mean of a gauge's days"`
	Now       *int64 `json:"now,omitempty" doc:"Of a gauge: its level at this moment"`
	Before    int64  `json:"before" doc:"What there was in the whole period before"`
	Included  int64  `json:"included" doc:"What the plan's price covers"`
	Soft      *int64 `json:"soft,omitempty" doc:"Where people are warned; absent: nowhere"`
	Limit     *int64 `json:"limit,omitempty" doc:"What there is at most; absent: there is no such end"`
	Percent   *int64 `json:"percent,omitempty" doc:"How much of the limit, or else of what is included, is used; absent where there is neither"`
	Projected *Range `json:"projected,omitempty" doc:"What it will be at the end of the period; absent once that has come"`
	Cost      *int64 `json:"cost,omitempty" doc:"What is beyond the included part costs, in minor units; absent without cost.view"`
	Projects  *Range `json:"cost_projected,omitempty" doc:"What that will cost at the end of the period"`
}

// Summary is what an organization uses in a period.
type Summary struct {
	From     time.Time      `json:"from" doc:"When the period began"`
	To       time.Time      `json:"to" doc:"When it ends, and a new one begins"`
	Plan     string         `json:"plan,omitzero" doc:"The organization's plan now"`
	Currency string         `json:"currency,omitzero" doc:"Of all costs; absent without cost.view" example:"USD"`
	Cost     *int64         `json:"cost,omitempty" doc:"What all meters cost together, in minor units; absent without cost.view"`
	Projects *Range         `json:"cost_projected,omitempty" doc:"What they will cost at the end of the period"`
	Meters   []MeterSummary `json:"meters" doc:"One for each meter, in the charter's order"`
}

// GetSummary says what was used in a period, of how much, and what it costs. What was recorded a moment ago is in it.
var GetSummary = &op.Op[GetSummaryInput, Summary]{
	Name:    "usage.summary",
	Route:   "GET /v1/organizations/{organization}/usage",
	Summary: "Say what was used in a period, of how much, what it costs, and where it will end",
	Kind:    op.Read,
	Allow:   op.AnyOf(op.On("usage.view"), op.ByService),
	Do:      getSummary,
	Example: GetSummaryInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

func getSummary(ctx context.Context, tx *op.Tx, in GetSummaryInput) (Summary, error) {
	a, err := accountOf(ctx, tx.Reader, in.Organization, unlocked)
	if err != nil {
		return Summary{}, err
	}
	at := tx.Micros()
	if !in.At.IsZero() {
		at = in.At.UnixMicro()
	}
	return a.summary(ctx, tx.Reader, a.month(at))
}

func (a account) summary(ctx context.Context, r *op.Reader, p period.Period) (Summary, error) {
	lines, err := a.bill(ctx, r, p)
	if err != nil {
		return Summary{}, err
	}
	before, err := a.figures(ctx, r, a.month(p.Start-1), p.Start-1)
	if err != nil {
		return Summary{}, err
	}
	levels, err := a.levelsNow(ctx, r)
	if err != nil {
		return Summary{}, err
	}
	f := forecast{period: p, now: r.Micros()}
	if f.daily, err = a.daily(ctx, r, p); err != nil {
		return Summary{}, err
	}
	s := Summary{From: moment(p.Start), To: moment(p.End), Plan: a.plan, Meters: []MeterSummary{}}
	for _, l := range lines {
		m := a.summarize(r.Charter, l)
		m.Before = before[l.Meter.ID]
		if l.Meter.Kind == charter.Gauge && p.Contains(r.Micros()) {
			level := levels[l.Meter.ID]
			m.Now = &level
		}
		m.Projected = f.of(l, levels[l.Meter.ID])
		s.Meters = append(s.Meters, m)
	}
	if maySeeCost(r) {
		a.cost(r.Charter, &s, lines)
	}
	return s, nil
}

// maySeeCost reports whether the caller sees money.
func maySeeCost(r *op.Reader) bool {
	return r.Actor.Kind == op.ServiceActor || r.May("cost.view").Allow
}

func moment(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

func (a account) summarize(c *charter.Charter, l Line) MeterSummary {
	limit := a.limit(c, l.Meter.ID)
	return MeterSummary{Meter: l.Meter.ID, Title: l.Meter.Title, Group: l.Meter.Group, Unit: l.Meter.Unit, Kind: string(l.Meter.Kind),
		Quantity: l.Quantity, Included: l.Included, Soft: limited(limit.Soft), Limit: limited(limit.Hard), Percent: percentOf(l.Quantity, limit)}
}

// limited is an amount that limits; nil where it does not.
func limited(amount int64) *int64 {
	if amount == charter.Unlimited {
		return nil
	}
	return &amount
}

// percentOf says how much of a limit is used, in whole percents, never rounded up.
func percentOf(used int64, l charter.Limit) *int64 {
	of := l.Hard
	if of == charter.Unlimited {
		of = l.Included
	}
	if of <= 0 {
		return nil
	}
	percent := share(used, of)
	return &percent
}

// share is how many percent one amount is of another, rounded down.
func share(part, of int64) int64 {
	if part > math.MaxInt64/100 {
		return plus(part/of, 0) * 100
	}
	return part * 100 / of
}

// cost adds what things cost.
func (a account) cost(c *charter.Charter, s *Summary, lines []Line) {
	var total int64
	projected, open := Range{}, false
	for i, l := range lines {
		amount := l.Amount
		s.Meters[i].Cost = &amount
		total = plus(total, amount)
		if f := s.Meters[i].Projected; f != nil {
			cost := &Range{a.line(c, l.Meter, f.Low).Amount, a.line(c, l.Meter, f.Expected).Amount, a.line(c, l.Meter, f.High).Amount}
			s.Meters[i].Projects, open = cost, true
			projected = Range{plus(projected.Low, cost.Low), plus(projected.Expected, cost.Expected), plus(projected.High, cost.High)}
		}
	}
	s.Currency, s.Cost = c.Currency, &total
	if open {
		s.Projects = &projected
	}
}

// levelsNow are the levels of all gauges.
func (a account) levelsNow(ctx context.Context, r *op.Reader) (map[string]int64, error) {
	return figuresOf(r.Query(ctx, "SELECT meter, CAST(SUM(value) AS bigint) FROM usage_readings WHERE organization = $1 GROUP BY meter", a.organization))
}

// daily are what each meter that adds up had on each day of a period, and on the last ones before now.
func (a account) daily(ctx context.Context, r *op.Reader, p period.Period) (map[string]map[int64]int64, error) {
	by, from := map[string]map[int64]int64{}, min(floor(p.Start, day), floor(r.Micros(), day)-recentDays*day)
	add := func(meter string, start, total int64) {
		if by[meter] == nil {
			by[meter] = map[int64]int64{}
		}
		by[meter][start] = plus(by[meter][start], total)
	}
	in, args := listOf(meterIDs(r.Charter), 4)
	rows, err := r.Query(ctx, "SELECT meter, start, total FROM usage_buckets WHERE organization = $1 AND grain = 'days' AND start >= $2 AND start < $3 AND meter IN ("+in+")",
		append([]any{a.organization, from, p.End}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var meter string
		var start, total int64
		if err := rows.Scan(&meter, &start, &total); err != nil {
			return nil, err
		}
		add(meter, start, total)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	unfolded, err := tail(ctx, r, a.organization)
	for _, c := range unfolded {
		if start := floor(c.Start, day); start >= from && start < p.End {
			add(c.Meter, start, c.Total)
		}
	}
	return by, err
}

// listOf makes the placeholders of a list, from $first on, and its arguments. An empty list holds one text that nothing is.
func listOf(texts []string, first int) (string, []any) {
	if len(texts) == 0 {
		texts = []string{""}
	}
	in, args := make([]string, len(texts)), make([]any, len(texts))
	for i, text := range texts {
		in[i], args[i] = "$"+strconv.Itoa(first+i), text
	}
	return strings.Join(in, ", "), args
}
