package charter

import (
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Meter is something that is counted.
type Meter struct {
	ID    string
	Title string
	// Unit is what one is called, in the plural: "executions", "bytes".
	Unit string
	Kind MeterKind
	// Price is what Per units cost, in minor units of the charter's currency; 0: nothing.
	Price int64
	// Per is how many units Price buys; unsaid: 1. Never 0.
	Per int64
}

// MeterKind says how events become a figure.
type MeterKind string

// How events become a figure.
const (
	// Counter counts events.
	Counter MeterKind = "counter"
	// Sum adds the events' values up.
	Sum MeterKind = "sum"
	// Gauge is the last value.
	Gauge MeterKind = "gauge"
	// Unique counts the different values.
	Unique MeterKind = "unique"
	// Maximum is the greatest value.
	Maximum MeterKind = "maximum"
)

// Plan is something that is sold.
type Plan struct {
	ID    string
	Title string
	// Seats is how many members and pending invitations fit; 0: any number.
	Seats int
	// Features are what the plan unlocks, such as "sso".
	Features []string
	// Limits are how much of a meter is in the plan for a month (for a gauge, at any moment); a meter not in it has no limit.
	Limits map[string]int64
	Prices Prices
}

// Prices are what a plan costs, in minor units of the charter's currency; 0: nothing, or not sold so.
type Prices struct {
	Month int64
	Year  int64
}

// Has reports whether the plan unlocks a feature.
func (pl Plan) Has(feature string) bool {
	return slices.Contains(pl.Features, feature)
}

// Meter returns a meter by its id; false: the charter has none of that id.
func (c *Charter) Meter(id string) (Meter, bool) {
	for _, m := range c.Meters {
		if m.ID == id {
			return m, true
		}
	}
	return Meter{}, false
}

// Plan returns a plan by its id; false: the charter has none of that id.
func (c *Charter) Plan(id string) (Plan, bool) {
	for _, plan := range c.Plans {
		if plan.ID == id {
			return plan, true
		}
	}
	return Plan{}, false
}

// PlanWith returns the first plan that unlocks a feature; false: none does.
func (c *Charter) PlanWith(feature string) (*Plan, bool) {
	for i := range c.Plans {
		if c.Plans[i].Has(feature) {
			return &c.Plans[i], true
		}
	}
	return nil, false
}

// Locked returns the permissions that an organization on the plan is without, since they need a feature that the plan
// lacks. A plan that the charter does not have lacks every feature; a charter without plans locks nothing.
func (c *Charter) Locked(plan string) Set {
	if locked, ok := c.locked[plan]; ok {
		return locked
	}
	return c.featured
}

func (p *parser) meters(n *yaml.Node) {
	for _, e := range p.mapping(n, "meters") {
		p.c.Meters = append(p.c.Meters, p.meter(e))
	}
}

func (p *parser) meter(e entry) Meter {
	m := Meter{ID: p.word(e.key, "meter"), Per: 1}
	seen := p.fields(e.value, "meter "+m.ID, fields{
		"title": func(n *yaml.Node) { p.title(n, &m.Title) },
		"unit":  func(n *yaml.Node) { p.title(n, &m.Unit) },
		"kind":  func(n *yaml.Node) { choose(p, n, &m.Kind, Counter, Sum, Gauge, Unique, Maximum) },
		"price": func(n *yaml.Node) { p.number(n, &m.Price, 0) },
		"per":   func(n *yaml.Node) { p.number(n, &m.Per, 1) },
	})
	p.demand(e, seen, "meter", "title", "unit", "kind")
	return m
}

func (p *parser) plans(n *yaml.Node) {
	for _, e := range p.mapping(n, "plans") {
		p.c.Plans = append(p.c.Plans, p.plan(e))
	}
}

func (p *parser) plan(e entry) Plan {
	plan := Plan{ID: p.word(e.key, "plan")}
	seen := p.fields(e.value, "plan "+plan.ID, fields{
		"title":    func(n *yaml.Node) { p.title(n, &plan.Title) },
		"seats":    func(n *yaml.Node) { p.seats(n, &plan.Seats) },
		"features": func(n *yaml.Node) { plan.Features = p.words(n, "feature") },
		"limits":   func(n *yaml.Node) { plan.Limits = p.limits(n) },
		"prices": func(n *yaml.Node) {
			p.fields(n, "prices", fields{
				"month": func(n *yaml.Node) { p.number(n, &plan.Prices.Month, 0) },
				"year":  func(n *yaml.Node) { p.number(n, &plan.Prices.Year, 0) },
			})
		},
	})
	p.demand(e, seen, "plan", "title")
	return plan
}

// features checks that the features which permissions need are those of a plan, and compiles what each plan locks.
func (p *parser) features() {
	for _, n := range p.featured {
		if _, ok := p.c.PlanWith(n.Value); !ok && wordForm.MatchString(n.Value) {
			p.fail(n, "no plan has the feature %q%s", n.Value, p.didYouMean(n.Value, p.featureWords()))
		}
	}
	p.c.locked = map[string]Set{}
	for _, plan := range p.c.Plans {
		p.c.locked[plan.ID] = Set{}
	}
	for _, info := range p.c.permissions {
		if info.Feature != "" {
			p.lock(info)
		}
	}
}

// lock notes which plans are without a permission.
func (p *parser) lock(info Info) {
	p.c.featured = p.c.featured.With(info.Bit)
	for _, plan := range p.c.Plans {
		if !plan.Has(info.Feature) {
			p.c.locked[plan.ID] = p.c.locked[plan.ID].With(info.Bit)
		}
	}
}

func (p *parser) featureWords() []string {
	var words []string
	for _, plan := range p.c.Plans {
		words = append(words, plan.Features...)
	}
	return words
}

// mostSeats keeps seats within an int on every machine.
const mostSeats = 1_000_000_000

func (p *parser) seats(n *yaml.Node, to *int) {
	var seats int64
	p.number(n, &seats, 1)
	if seats > mostSeats {
		p.fail(n, "%d seats are too many; leave seats out where there is no limit", seats)
		return
	}
	*to = int(seats)
}

func (p *parser) limits(n *yaml.Node) map[string]int64 {
	limits := map[string]int64{}
	for _, e := range p.mapping(n, "limits") {
		if _, ok := p.c.Meter(e.name); !ok {
			p.fail(e.key, "unknown meter %q%s", e.name, p.didYouMean(e.name, p.meterIDs()))
			continue
		}
		var limit int64
		p.number(e.value, &limit, 0)
		limits[e.name] = limit
	}
	return limits
}

func (p *parser) meterIDs() []string {
	ids := make([]string, len(p.c.Meters))
	for i, m := range p.c.Meters {
		ids[i] = m.ID
	}
	return ids
}

var currencyForm = regexp.MustCompile(`^[A-Z]{3}$`)

func (p *parser) currency(n *yaml.Node) {
	text, ok := p.text(n)
	if !ok {
		return
	}
	if !currencyForm.MatchString(text) {
		p.fail(n, "currency %q is not three capital letters, such as USD", text)
		return
	}
	p.c.Currency = text
}
