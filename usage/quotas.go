package usage

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// Quota is how much there is of a meter in this period.
type Quota struct {
	Meter     string    `json:"meter" doc:"The meter's id" example:"executions"`
	Title     string    `json:"title" doc:"Its title" example:"Executions"`
	Unit      string    `json:"unit" doc:"What one is called, in the plural" example:"executions"`
	Used      int64     `json:"used" doc:"What is used: of a gauge at this moment, of others in this period"`
	Reserved  int64     `json:"reserved" doc:"What is held for work that has begun"`
	Included  int64     `json:"included" doc:"What the plan's price covers"`
	Soft      *int64    `json:"soft,omitempty" doc:"Where people are warned; absent: nowhere"`
	Limit     *int64    `json:"limit,omitempty" doc:"What there is at most; absent: there is no such end"`
	Remaining *int64    `json:"remaining,omitempty" doc:"What is left of the limit; absent where there is none"`
	Over      bool      `json:"over" doc:"Whether there is more than the limit"`
	ResetsAt  time.Time `json:"resets_at" doc:"When the next period begins"`
}

// Quotas are those of an organization.
type Quotas struct {
	Plan   string  `json:"plan,omitzero" doc:"The organization's plan"`
	Quotas []Quota `json:"quotas" doc:"One for each meter, in the charter's order"`
}

// GetQuotasInput asks for quotas.
type GetQuotasInput struct {
	op.InOrganization
	Meter string `json:"meter,omitzero" doc:"Only that of this meter" maxLength:"64" required:"false"`
}

// GetQuotas says how much of each meter is used, reserved and left, at this moment and exactly.
var GetQuotas = &op.Op[GetQuotasInput, Quotas]{
	Name:    "quotas.get",
	Route:   "GET /v1/organizations/{organization}/quotas",
	Summary: "Say how much of each meter is used, reserved and left of what the plan gives",
	Kind:    op.Read,
	Allow:   op.AnyOf(op.On("usage.view"), op.ByService),
	Do:      getQuotas,
	Example: GetQuotasInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

func getQuotas(ctx context.Context, tx *op.Tx, in GetQuotasInput) (Quotas, error) {
	if _, ok := tx.Charter.Meter(in.Meter); in.Meter != "" && !ok {
		return Quotas{}, unknownMeter(tx.Charter, in.Meter)
	}
	a, err := accountOf(ctx, tx.Reader, in.Organization, unlocked)
	if err != nil {
		return Quotas{}, err
	}
	held, err := a.held(ctx, tx.Reader, "")
	if err != nil {
		return Quotas{}, err
	}
	out := Quotas{Plan: a.plan, Quotas: []Quota{}}
	for _, m := range tx.Charter.Meters {
		if in.Meter == "" || in.Meter == m.ID {
			out.Quotas = append(out.Quotas, a.quota(tx.Reader, m, held[m.ID]))
		}
	}
	return out, nil
}

func unknownMeter(c *charter.Charter, meter string) error {
	detail := ""
	if near := charter.Nearest(meter, meterIDs(c)); near != "" {
		detail = "; did you mean \"" + near + "\"?"
	}
	return op.InvalidField("meter", "unknown_meter", "unknown meter %q%s", meter, detail)
}

// held is what is used and reserved of a meter.
type held struct{ used, reserved int64 }

// held reads what is used and reserved of every meter in this period, by the organization or by one of its members or
// keys with limits of their own. What is reserved and past its time is not.
func (a account) held(ctx context.Context, r *op.Reader, subject string) (map[string]held, error) {
	by := map[string]held{}
	rows, err := r.Query(ctx, "SELECT meter, used, reserved FROM usage_counters WHERE organization = $1 AND start = $2 AND subject = $3",
		a.organization, a.month(r.Micros()).Start, subject)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var meter string
		var h held
		if err := rows.Scan(&meter, &h.used, &h.reserved); err != nil {
			return nil, err
		}
		by[meter] = h
	}
	if err := rows.Err(); err != nil || subject != "" {
		return by, err
	}
	over, err := figuresOf(r.Query(ctx, `SELECT meter, CAST(SUM(amount) AS bigint) FROM usage_reservations
		WHERE organization = $1 AND start = $2 AND expires_at <= $3 GROUP BY meter`, a.organization, a.month(r.Micros()).Start, r.Micros()))
	for meter, n := range over {
		by[meter] = held{by[meter].used, by[meter].reserved - n}
	}
	if err != nil {
		return by, err
	}
	levels, err := a.levelsNow(ctx, r)
	for meter, level := range levels {
		by[meter] = held{used: level}
	}
	return by, err
}

func (a account) quota(r *op.Reader, m charter.Meter, h held) Quota {
	limit := a.limit(r.Charter, m.ID)
	q := Quota{Meter: m.ID, Title: m.Title, Unit: m.Unit, Used: h.used, Reserved: h.reserved, Included: limit.Included,
		Soft: limited(limit.Soft), Limit: limited(limit.Hard), ResetsAt: moment(a.month(r.Micros()).End)}
	if q.Limit != nil {
		left := max(0, limit.Hard-h.used-h.reserved)
		q.Remaining, q.Over = &left, h.used > limit.Hard
	}
	return q
}
