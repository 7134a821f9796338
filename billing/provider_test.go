package billing_test

import (
	"context"
	"testing"
	"time"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

// till is a provider that keeps subscriptions: whoever has none pays first, at an address.
type till struct {
	ordered  []billing.Order
	versions int64
}

func (p *till) Checkout(_ context.Context, o billing.Order) (string, error) {
	p.ordered = append(p.ordered, o)
	return "https://till.test/pay", nil
}

func (p *till) Change(_ context.Context, o billing.Order) (billing.ProviderState, error) {
	p.ordered = append(p.ordered, o)
	return p.says(o.Plan, billing.Active), nil
}

func (p *till) Portal(context.Context, billing.Customer) (string, error) {
	return "https://till.test/portal", nil
}

func (p *till) ReportUsage(context.Context, billing.UsageReport) error { return nil }

// says is a state of the till's next version.
func (p *till) says(plan string, state billing.State) billing.ProviderState {
	p.versions++
	return billing.ProviderState{Provider: "till", Event: "evt_" + string(rune('a'+p.versions)), Customer: "cus_1", Object: "sub_1", Version: p.versions,
		Plan: plan, Interval: billing.Monthly, State: state, PeriodStart: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC), PeriodEnd: time.Date(2026, 12, 2, 9, 0, 0, 0, time.UTC)}
}

// inTills runs a scenario in a house whose money a provider takes.
func inTills(t *testing.T, run func(h *house, p *till)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		var h *house
		p := &till{}
		h = openHouse(t, db, seated(t), op.Config{Outside: func(ctx context.Context) context.Context {
			return billing.At(ctx, billing.Desk{Name: "till", Provider: p, Read: func(ctx context.Context, look func(*op.Reader) error) error {
				return h.Service.Snapshot(ctx, look)
			}})
		}})
		run(h, p)
		h.sound()
	})
}

// hears takes in what the till says.
func (h *house) hears(state billing.ProviderState) (billing.AppliedState, error) {
	return billing.ApplyState.Call(op.As(h.T.Context(), op.Caller{System: "till"}), h.Service,
		billing.ApplyStateInput{InOrganization: h.in(), ProviderState: state})
}

// applies is hears, and says whether it counted.
func (h *house) applies(state billing.ProviderState) bool {
	h.T.Helper()
	done, err := h.hears(state)
	h.Must(err)
	return done.Applied
}

// TestACheckoutGivesNothing: only what the provider says does. T-089.
func TestACheckoutGivesNothing(t *testing.T) {
	inTills(t, func(h *house, p *till) {
		done := h.changes("pro")
		if done.Checkout != "https://till.test/pay" || done.Plan != "free" || h.plan() != "free" || len(h.invoices()) != 0 {
			t.Errorf("the checkout gave %+v", done)
		}
		if o := p.ordered[0]; o.Plan != "pro" || o.Amount != 4900 || o.Currency != "USD" || o.Organization != h.acme || o.Name != "Acme" ||
			o.ReturnTo != "https://hall.test/o/"+h.acme+"/settings/billing" || o.Key == "" {
			t.Errorf("ordered %+v", o)
		}
		h.Fenced()
		if !h.applies(p.says("pro", billing.Active)) || h.plan() != "pro" || len(h.Fenced()) == 0 {
			t.Error("what was paid is not there")
		}
		up := h.changes("business")
		if up.Plan != "business" || h.plan() != "business" || up.Checkout != "" || p.ordered[1].Object != "sub_1" {
			t.Errorf("a change of what the till keeps: %+v", up)
		}
	})
}

func TestStatesOfAProviderAreOrderedAndCountOnce(t *testing.T) {
	inTills(t, func(h *house, p *till) {
		first, second, third := p.says("pro", billing.Active), p.says("business", billing.Active), p.says("pro", billing.Active)
		if !h.applies(second) || h.plan() != "business" {
			t.Error("the second is not applied")
		}
		if h.applies(first) || h.applies(second) || h.plan() != "business" {
			t.Error("an older state, or the same one again, changed something")
		}
		third.Event = second.Event
		if h.applies(third) || h.plan() != "business" {
			t.Error("an event was applied twice")
		}
		if !h.applies(p.says("pro", billing.PastDue)) || h.plan() != "pro" {
			t.Error("what is past due gives its plan still")
		}
		if s := h.subscription(); s.State != billing.PastDue || s.PastDueSince == nil || s.EndsAt == nil {
			t.Errorf("past due: %+v", s.Standing)
		}
		if !h.applies(p.says("pro", billing.Cancelled)) || h.plan() != "free" {
			t.Error("what has ended gives the first plan")
		}
		if n := h.Number("SELECT count(*) FROM billing_events WHERE organization = $1", h.acme); n != 4 {
			t.Errorf("%d events are kept", n)
		}
		other := p.says("pro", billing.Ended)
		other.Object = "sub_2"
		if h.applies(other) {
			t.Error("another object that gives nothing counted")
		}
		wrong := p.says("gold", billing.Active)
		_, err := h.hears(wrong)
		h.Refused("a plan that is not there", err, "invalid")
		if !h.applies(p.says("business", billing.Active)) {
			t.Error("after a refused state the next one does not count")
		}
	})
}

func TestOnlyTheSystemTellsStates(t *testing.T) {
	inTills(t, func(h *house, p *till) {
		in := billing.ApplyStateInput{InOrganization: h.in(), ProviderState: p.says("business", billing.Active)}
		_, err := billing.ApplyState.Call(h.by(h.owner), h.Service, in) // T-008
		h.Refused("an owner", err, "operator_only")
		_, err = billing.ApplyState.Call(h.As(h.svc), h.Service, in)
		h.Refused("a service key", err, "operator_only")
	})
}
