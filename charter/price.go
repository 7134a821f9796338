package charter

import (
	"math"
	"math/big"

	"go.yaml.in/yaml/v3"
)

// PriceModel says how a quantity becomes money.
type PriceModel string

// The price models.
const (
	// Nothing costs nothing.
	Nothing PriceModel = ""
	// PerUnit costs Amount for each Per units, and the part of it for a part of them.
	PerUnit PriceModel = "per_unit"
	// Flat costs Amount once, if there is any.
	Flat PriceModel = "flat"
	// Tiered prices each unit by the tier that it falls into; what lies in an earlier tier stays at that one's price.
	Tiered PriceModel = "tiered"
	// Package costs Amount for each Per units that are begun.
	Package PriceModel = "package"
)

// Price is what a quantity costs in a period, in minor units of the charter's currency. The zero value costs nothing.
type Price struct {
	Model  PriceModel
	Amount int64
	// Per is how many units Amount buys; never 0 where the model looks at it.
	Per int64
	// Tiers are those of a Tiered price, in rising order; the last one has no end.
	Tiers []Tier
}

// Tier is one part of a tiered price.
type Tier struct {
	// UpTo is the last unit of the tier; Unlimited in the last one.
	UpTo int64
	// Amount is what Per units in it cost.
	Amount int64
	Per    int64
	// Flat is added once, as soon as there is a unit in the tier.
	Flat int64
}

// Free reports whether any quantity costs nothing.
func (p Price) Free() bool { return p.Model == Nothing }

// Of is what a number of units costs, in minor units, rounded once: half a minor unit and more is a whole one. A number
// under 1 costs nothing. What does not fit in 64 bits is the greatest number that does.
func (p Price) Of(units int64) int64 {
	if units <= 0 {
		return 0
	}
	switch p.Model {
	case PerUnit:
		return rounded(share(units, p.Amount, p.Per))
	case Flat:
		return p.Amount
	case Package:
		return rounded(share((units-1)/p.Per+1, p.Amount, 1))
	case Tiered:
		return rounded(p.tiered(units))
	}
	return 0
}

func (p Price) tiered(units int64) *big.Rat {
	sum, before := new(big.Rat), int64(0)
	for _, t := range p.Tiers {
		if units <= before {
			break
		}
		within := units
		if t.UpTo != Unlimited {
			within = min(units, t.UpTo)
		}
		sum.Add(sum, share(within-before, t.Amount, t.Per))
		sum.Add(sum, new(big.Rat).SetInt64(t.Flat))
		before = within
	}
	return sum
}

// share is units times amount, divided by per, exactly.
func share(units, amount, per int64) *big.Rat {
	product := new(big.Int).Mul(big.NewInt(units), big.NewInt(amount))
	return new(big.Rat).SetFrac(product, big.NewInt(max(per, 1)))
}

// rounded is the nearest whole number, of two that are as near the greater one.
func rounded(r *big.Rat) int64 {
	twice := new(big.Int).Lsh(r.Num(), 1)
	twice.Add(twice, r.Denom())
	whole := twice.Div(twice, new(big.Int).Lsh(r.Denom(), 1))
	if !whole.IsInt64() {
		return math.MaxInt64
	}
	return whole.Int64()
}

// price reads what a meter costs: a number is what each "per" units cost.
func (p *parser) price(n *yaml.Node, per int64) Price {
	price := Price{Model: PerUnit, Per: per}
	if n.Kind == yaml.ScalarNode {
		p.number(n, &price.Amount, 0)
		return price.unlessFree()
	}
	seen := p.fields(n, "price", fields{
		"model":  func(n *yaml.Node) { choose(p, n, &price.Model, PerUnit, Flat, Tiered, Package) },
		"amount": func(n *yaml.Node) { p.number(n, &price.Amount, 0) },
		"per":    func(n *yaml.Node) { p.number(n, &price.Per, 1) },
		"tiers":  func(n *yaml.Node) { price.Tiers = p.tiers(n) },
	})
	needs := "amount"
	if price.Model == Tiered {
		needs = "tiers"
	}
	p.demand(entry{name: "price", key: n, value: n}, seen, "price", "model", needs)
	return price.unlessFree()
}

// unlessFree is the price, or that of what costs nothing.
func (p Price) unlessFree() Price {
	if p.Amount == 0 && len(p.Tiers) == 0 {
		return Price{}
	}
	return p
}

// tiers reads the parts of a tiered price: each ends after the one before it, and only the last one has no end.
func (p *parser) tiers(n *yaml.Node) []Tier {
	items := p.list(n)
	tiers := make([]Tier, len(items))
	before := int64(0)
	for i, item := range items {
		t := Tier{UpTo: Unlimited, Per: 1}
		p.fields(item, "tier", fields{
			"up_to":  func(n *yaml.Node) { p.number(n, &t.UpTo, 1) },
			"amount": func(n *yaml.Node) { p.number(n, &t.Amount, 0) },
			"per":    func(n *yaml.Node) { p.number(n, &t.Per, 1) },
			"flat":   func(n *yaml.Node) { p.number(n, &t.Flat, 0) },
		})
		last := i == len(items)-1
		switch {
		case last && t.UpTo != Unlimited:
			p.fail(item, "the last tier has an end; leave its up_to out, since every unit needs a price")
		case !last && t.UpTo == Unlimited:
			p.fail(item, "the tier has no up_to; only the last one goes on for ever")
		case !last && t.UpTo <= before:
			p.fail(item, "the tier ends at %d, and the one before it at %d", t.UpTo, before)
		}
		tiers[i], before = t, t.UpTo
	}
	return tiers
}
