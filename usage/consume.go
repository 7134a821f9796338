package usage

import (
	"cmp"
	"context"
	"errors"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// ConsumeInput says what is used now.
type ConsumeInput struct {
	op.InOrganization
	Meter    string `json:"meter" cli:"arg" doc:"What is counted: a meter of the charter that adds up" maxLength:"64" example:"executions"`
	Amount   int64  `json:"amount,omitzero" cli:"arg" doc:"How much; without it, 1" minimum:"1" maximum:"1000000000000000" example:"1" required:"false"`
	ID       string `json:"id,omitzero" doc:"The use's own id: a second one of the same source and id is accepted and counts nothing. Without it, it follows from the call's Idempotency-Key" maxLength:"200" example:"run_8126" required:"false"`
	Source   string `json:"source,omitzero" doc:"What made it; without it, the key that asks" maxLength:"200" example:"scheduler" required:"false"`
	Member   string `json:"member,omitzero" doc:"For whom: their own limit counts too" maxLength:"128" required:"false"`
	Key      string `json:"key,omitzero" doc:"By which API key: its own limit counts too" maxLength:"128" required:"false"`
	Resource string `json:"resource,omitzero" doc:"For what" maxLength:"128" required:"false"`
	Region   string `json:"region,omitzero" doc:"Where" maxLength:"128" required:"false"`
	Model    string `json:"model,omitzero" doc:"With which model" maxLength:"128" required:"false"`
}

// Consumed is what was counted, and what is left.
type Consumed struct {
	ID        string `json:"id" doc:"The use's id"`
	Meter     string `json:"meter" doc:"What was counted"`
	Amount    int64  `json:"amount" doc:"How much"`
	Status    string `json:"status" doc:"recorded, or duplicate: it counted before"`
	Remaining *int64 `json:"remaining,omitempty" doc:"What is left of the plan's limit; absent where there is none"`
}

// Consume counts what is used now, if there is so much left: quotas.reserve and quotas.commit in one transaction. Of any
// number of callers at once, as many are answered as there are units, and the others are refused with quota_exceeded and
// count nothing. A repeat counts nothing and is accepted, also after the last unit.
var Consume = &op.Op[ConsumeInput, Consumed]{
	Name:    "quotas.consume",
	Route:   "POST /v1/organizations/{organization}/quotas/consume",
	Summary: "Count what is used now, if there is so much left",
	Kind:    op.Count,
	Allow:   op.AnyOf(op.ByService, op.ByOperator),
	Do:      consume,
	Example: ConsumeInput{InOrganization: op.InOrganization{Organization: "acme"}, Meter: "executions", Amount: 1, ID: "run_8126"},
}

func consume(ctx context.Context, tx *op.Tx, in ConsumeInput) (Consumed, error) {
	m, err := addingMeter(tx.Charter, in.Meter)
	if err != nil {
		return Consumed{}, err
	}
	b, err := newBatch(ctx, tx, in.Organization, shared)
	if err != nil {
		return Consumed{}, err
	}
	b.add(0, Event{Meter: m.ID, Value: max(in.Amount, 1), said: true, ID: in.ID, Source: in.Source, Member: in.Member, Key: in.Key,
		Resource: in.Resource, Region: in.Region, Model: in.Model})
	if v := b.verdicts[0]; v.Status == StatusRefused {
		return Consumed{}, op.InvalidField("", v.Code, "%s", v.Detail)
	}
	return b.consume(ctx, tx)
}

// consume takes the batch's one row from every limit that it has, and records it.
func (b *batch) consume(ctx context.Context, tx *op.Tx) (Consumed, error) {
	r := b.rows[0]
	out := Consumed{ID: r.event.ID, Meter: r.meter.ID, Amount: r.event.Value}
	taken, err := b.takeAll(ctx, tx, r, &out)
	var full *op.Error
	if errors.As(err, &full) && full.Kind == op.Limited {
		before, failed := b.isRecorded(ctx, tx, r.event.Source, r.event.ID)
		if failed != nil || !before {
			return Consumed{}, cmp.Or(failed, err)
		}
		out.Status = StatusDuplicate
		return out, nil
	}
	if err != nil {
		return Consumed{}, err
	}
	if err := b.store(ctx, tx); err != nil {
		return Consumed{}, err
	}
	if out.Status = b.verdicts[0].Status; out.Status == StatusDuplicate {
		return out, b.giveBack(ctx, tx, taken, &out)
	}
	return out, b.letAllGo(ctx, tx, taken, out.Amount)
}

// giveBack lets go what was taken and is not used.
func (b *batch) giveBack(ctx context.Context, tx *op.Tx, taken []counterKey, out *Consumed) error {
	if out.Remaining != nil {
		*out.Remaining += out.Amount
	}
	return b.letAllGo(ctx, tx, taken, out.Amount)
}

func (b *batch) letAllGo(ctx context.Context, tx *op.Tx, taken []counterKey, amount int64) error {
	for _, k := range taken {
		if err := b.letGo(ctx, tx, k, amount); err != nil {
			return err
		}
	}
	return nil
}

// takeAll holds the row's units of every counter that has a limit, or of none.
func (b *batch) takeAll(ctx context.Context, tx *op.Tx, r row, out *Consumed) (taken []counterKey, err error) {
	ends, err := b.limitsOf(ctx, tx.Reader, r.meter, r.event)
	if err != nil {
		return nil, err
	}
	for _, e := range ends {
		if e.hard == charter.Unlimited {
			continue
		}
		left, err := b.take(ctx, tx, r.meter, e, r.event.Value)
		if err != nil {
			return nil, cmp.Or(b.giveBack(ctx, tx, taken, out), err)
		}
		taken = append(taken, counterKey{r.meter.ID, b.month(tx.Micros()).Start, e.subject})
		if e.subject == "" {
			out.Remaining = left
		}
	}
	return taken, nil
}
