package billing

import (
	"context"
	"slices"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// PlanOffer is a plan as it is sold.
type PlanOffer struct {
	ID          string        `json:"id" example:"pro"`
	Title       string        `json:"title" example:"Pro"`
	Description string        `json:"description,omitzero" doc:"Whom it is for"`
	Current     bool          `json:"current" doc:"Whether the organization has it"`
	Currency    string        `json:"currency" example:"USD"`
	Prices      PlanPrices    `json:"prices" cli:"-" doc:"What it costs, in minor units"`
	Seats       int64         `json:"seats" cli:"-" doc:"How many members and pending invitations there may be; 0: no limit"`
	Features    []PlanFeature `json:"features" cli:"-" doc:"Everything that any plan unlocks, and whether this one does"`
	Limits      []PlanLimit   `json:"limits" cli:"-" doc:"How much of each meter it gives"`
}

// PlanPrices are what a plan costs.
type PlanPrices struct {
	Month int64 `json:"month" doc:"By the month; 0: free, or not sold by the month" example:"4900"`
	Year  int64 `json:"year" doc:"By the year; 0: not sold by the year" example:"49000"`
}

// PlanFeature is something that plans unlock.
type PlanFeature struct {
	ID       string `json:"id" example:"sso"`
	Title    string `json:"title" example:"Single sign-on"`
	Brings   string `json:"brings,omitzero" doc:"What one gets by it"`
	Included bool   `json:"included" doc:"Whether the plan unlocks it"`
}

// PlanLimit is how much of a meter a plan gives. What is absent has no such end.
type PlanLimit struct {
	Meter    string `json:"meter" example:"executions"`
	Title    string `json:"title" example:"Executions"`
	Unit     string `json:"unit" example:"executions"`
	Included int64  `json:"included" doc:"What the plan's own price covers"`
	Soft     *int64 `json:"soft,omitzero" doc:"Where people are warned"`
	Hard     *int64 `json:"hard,omitzero" doc:"What use never goes beyond"`
	Priced   bool   `json:"priced" doc:"Whether use beyond what is included is charged"`
}

// PlanList are all plans, in the charter's order.
type PlanList struct {
	Data []PlanOffer `json:"data" doc:"The plans, the first one first: an organization begins with it and falls back to it"`
}

// ListPlansInput names an organization.
type ListPlansInput struct{ op.InOrganization }

// ListPlans lists what is sold, with prices, features and limits, and which the organization has.
var ListPlans = &op.Op[ListPlansInput, PlanList]{
	Name:    "plans.list",
	Route:   "GET /v1/organizations/{organization}/plans",
	Summary: "List the plans with prices, features and limits",
	Allow:   op.AnyOf(op.On("organization.view"), op.ByService),
	Do:      listPlans,
	Example: ListPlansInput{op.InOrganization{Organization: "acme"}},
}

func listPlans(ctx context.Context, tx *op.Tx, _ ListPlansInput) (PlanList, error) {
	if err := sold(tx.Charter); err != nil {
		return PlanList{}, err
	}
	s, err := recordOf(ctx, tx.Reader, tx.Organization())
	list := PlanList{Data: make([]PlanOffer, len(tx.Charter.Plans))}
	for n, p := range tx.Charter.Plans {
		list.Data[n] = offer(tx.Charter, p)
		list.Data[n].Current = p.ID == s.plan
	}
	return list, err
}

func offer(c *charter.Charter, p charter.Plan) PlanOffer {
	o := PlanOffer{ID: p.ID, Title: p.Title, Description: p.Description, Currency: c.Currency,
		Prices: PlanPrices{Month: p.Prices.Month, Year: p.Prices.Year}, Seats: int64(p.Seats), Features: []PlanFeature{}, Limits: []PlanLimit{}}
	for _, id := range allFeatures(c) {
		f := c.Feature(id)
		o.Features = append(o.Features, PlanFeature{ID: id, Title: f.Title, Brings: f.Brings, Included: p.Has(id)})
	}
	for _, m := range c.Meters {
		o.Limits = append(o.Limits, limitOf(m, p.LimitOf(m.ID)))
	}
	return o
}

// allFeatures are those that any plan unlocks, in the charter's order.
func allFeatures(c *charter.Charter) []string {
	var all []string
	for _, f := range c.Features {
		if _, sold := c.PlanWith(f.ID); sold {
			all = append(all, f.ID)
		}
	}
	for _, p := range c.Plans {
		for _, f := range p.Features {
			if !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	return all
}

func limitOf(m charter.Meter, l charter.Limit) PlanLimit {
	return PlanLimit{Meter: m.ID, Title: m.Title, Unit: m.Unit, Included: l.Included, Soft: unlessUnlimited(l.Soft),
		Hard: unlessUnlimited(l.Hard), Priced: !m.Price.Free()}
}

func unlessUnlimited(n int64) *int64 {
	if n == charter.Unlimited {
		return nil
	}
	return &n
}
