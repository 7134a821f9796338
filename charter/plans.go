package charter

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Meter is something that is counted.
type Meter struct {
	ID    string
	Title string
	// Group is the heading that it is shown under, with the other parts of one thing; unsaid: its title.
	Group string
	// Unit is what one is called, in the plural: "executions", "bytes".
	Unit string
	Kind MeterKind
	// Dimensions are what it can be broken down by, of Dimensions.
	Dimensions []Dimension
	// Price is what units beyond those that the plan includes cost, in minor units of the charter's currency.
	Price Price
}

// Dimension is something that usage can be broken down by.
type Dimension string

// The dimensions. Each event says, for those of its meter, who or what it was for.
const (
	ByMember   Dimension = "member"
	ByKey      Dimension = "key"
	ByResource Dimension = "resource"
	ByRegion   Dimension = "region"
	ByModel    Dimension = "model"
)

// By reports whether the meter can be broken down by a dimension.
func (m Meter) By(d Dimension) bool { return slices.Contains(m.Dimensions, d) }

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
	// Description says in a sentence whom the plan is for; "" where the charter says nothing.
	Description string
	// Limits are how much there is of a meter in a month (of a gauge: at any moment); a meter not in it is unlimited, and
	// all of it is charged.
	Limits map[string]Limit
	Prices Prices
	// RequestLog is how long lines of the request log are kept; DefaultRequestLog unless said.
	RequestLog time.Duration
}

// DefaultRequestLog is how long lines of the request log are kept where no plan says it.
const DefaultRequestLog = 7 * 24 * time.Hour

// Unlimited is the amount of a Limit that does not limit.
const Unlimited int64 = -1

// Limit is how much of a meter a plan gives.
type Limit struct {
	// Included is what the plan's own price covers; the meter's price is for what is beyond it.
	Included int64
	// Soft is where people are warned; Unlimited: nowhere.
	Soft int64
	// Hard is what use never goes beyond; Unlimited: there is no such end.
	Hard int64
}

// LimitOf is how much of a meter the plan gives: nothing included and no end, where it does not say.
func (pl Plan) LimitOf(meter string) Limit {
	if l, ok := pl.Limits[meter]; ok {
		return l
	}
	return Limit{Soft: Unlimited, Hard: Unlimited}
}

// Feature is something that plans unlock.
type Feature struct {
	ID    string
	Title string
	// Brings says in a sentence what one gets by it; "" where the charter says nothing.
	Brings string
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

// Adds reports whether the meter's events add up: such a meter can be reserved and consumed.
func (m Meter) Adds() bool { return m.Kind == Counter || m.Kind == Sum }

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

// RequestLog is how long lines of the request log of an organization on the plan are kept.
func (c *Charter) RequestLog(plan string) time.Duration {
	if p, ok := c.Plan(plan); ok {
		return p.RequestLog
	}
	return DefaultRequestLog
}

// Feature returns what the charter says of a feature. One that it says nothing of is called by its id.
func (c *Charter) Feature(id string) Feature {
	for _, f := range c.Features {
		if f.ID == id {
			return f
		}
	}
	title := strings.ReplaceAll(id, "_", " ")
	return Feature{ID: id, Title: strings.ToUpper(title[:min(1, len(title))]) + title[min(1, len(title)):]}
}

// Unlocked reports whether an organization on the plan has a feature. A feature that no plan sells is everybody's, and so
// is every one where there are no plans.
func (c *Charter) Unlocked(plan, feature string) bool {
	if _, sold := c.PlanWith(feature); !sold {
		return true
	}
	has, ok := c.Plan(plan)
	return ok && has.Has(feature)
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
	m := Meter{ID: p.word(e.key, "meter")}
	per := int64(1)
	var price *yaml.Node
	seen := p.fields(e.value, "meter "+m.ID, fields{
		"title":      func(n *yaml.Node) { p.title(n, &m.Title) },
		"group":      func(n *yaml.Node) { p.title(n, &m.Group) },
		"unit":       func(n *yaml.Node) { p.title(n, &m.Unit) },
		"kind":       func(n *yaml.Node) { choose(p, n, &m.Kind, Counter, Sum, Gauge, Unique, Maximum) },
		"dimensions": func(n *yaml.Node) { m.Dimensions = p.dimensions(n) },
		"price":      func(n *yaml.Node) { price = n },
		"per":        func(n *yaml.Node) { p.number(n, &per, 1) },
	})
	p.demand(e, seen, "meter", "title", "unit", "kind")
	m.Group = cmp.Or(m.Group, m.Title)
	if price != nil {
		m.Price = p.price(price, per)
	}
	return m
}

func (p *parser) dimensions(n *yaml.Node) []Dimension {
	var all []Dimension
	for _, item := range p.list(n) {
		var d Dimension
		choose(p, item, &d, ByMember, ByKey, ByResource, ByRegion, ByModel)
		if slices.Contains(all, d) {
			p.fail(item, "dimension %q is listed twice", d)
		}
		all = append(all, d)
	}
	return all
}

func (p *parser) featureList(n *yaml.Node) {
	for _, e := range p.mapping(n, "features") {
		f := Feature{ID: p.word(e.key, "feature")}
		seen := p.fields(e.value, "feature "+f.ID, fields{
			"title":  func(n *yaml.Node) { p.title(n, &f.Title) },
			"brings": func(n *yaml.Node) { p.title(n, &f.Brings) },
		})
		p.demand(e, seen, "feature", "title")
		p.c.Features = append(p.c.Features, f)
	}
}

func (p *parser) plans(n *yaml.Node) {
	for _, e := range p.mapping(n, "plans") {
		p.c.Plans = append(p.c.Plans, p.plan(e))
	}
}

func (p *parser) plan(e entry) Plan {
	plan := Plan{ID: p.word(e.key, "plan"), RequestLog: DefaultRequestLog}
	seen := p.fields(e.value, "plan "+plan.ID, fields{
		"title":       func(n *yaml.Node) { p.title(n, &plan.Title) },
		"description": func(n *yaml.Node) { p.title(n, &plan.Description) },
		"seats":       func(n *yaml.Node) { p.seats(n, &plan.Seats) },
		"features":    func(n *yaml.Node) { plan.Features = p.words(n, "feature"); p.sold = append(p.sold, n.Content...) },
		"request_log": func(n *yaml.Node) { p.duration(n, &plan.RequestLog) },
		"limits":      func(n *yaml.Node) { plan.Limits = p.limits(n) },
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
	p.listed()
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

// listed checks that a charter which lists features lists all of them.
func (p *parser) listed() {
	if len(p.c.Features) == 0 {
		return
	}
	known := make([]string, len(p.c.Features))
	for i, f := range p.c.Features {
		known[i] = f.ID
	}
	for _, n := range p.sold {
		if !slices.Contains(known, n.Value) && wordForm.MatchString(n.Value) {
			p.fail(n, "features do not list %q%s", n.Value, p.didYouMean(n.Value, known))
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

func (p *parser) limits(n *yaml.Node) map[string]Limit {
	limits := map[string]Limit{}
	for _, e := range p.mapping(n, "limits") {
		if _, ok := p.c.Meter(e.name); !ok {
			p.fail(e.key, "unknown meter %q%s", e.name, p.didYouMean(e.name, p.meterIDs()))
			continue
		}
		limits[e.name] = p.limit(e)
	}
	return limits
}

// limit reads how much of a meter a plan gives: a number is all that there is, and all of it is included.
func (p *parser) limit(e entry) Limit {
	l := Limit{Soft: Unlimited, Hard: Unlimited}
	if e.value.Kind == yaml.ScalarNode {
		p.number(e.value, &l.Hard, 0)
		l.Included = l.Hard
		return l
	}
	p.fields(e.value, "limit of "+e.name, fields{
		"included": func(n *yaml.Node) { p.number(n, &l.Included, 0) },
		"soft":     func(n *yaml.Node) { p.number(n, &l.Soft, 0) },
		"hard":     func(n *yaml.Node) { p.number(n, &l.Hard, 0) },
	})
	switch {
	case l.Hard != Unlimited && l.Included > l.Hard:
		p.fail(e.value, "the limit of %s includes %d, which is more than its hard end of %d", e.name, l.Included, l.Hard)
	case l.Hard != Unlimited && l.Soft > l.Hard:
		p.fail(e.value, "the limit of %s warns at %d, which is after its hard end of %d", e.name, l.Soft, l.Hard)
	}
	return l
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
