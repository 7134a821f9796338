package billing_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

// till is a provider that keeps subscriptions: whoever has none pays first, at an address.
type till struct {
	ordered   []billing.Order
	state     billing.ProviderState
	preview   billing.ProviderPreview
	meanwhile func() // happens while somebody asks how it stands
}

func (p *till) Checkout(_ context.Context, o billing.Order) (billing.Checkout, error) {
	p.ordered = append(p.ordered, o)
	return billing.Checkout{Address: "https://till.test/pay", Customer: "cus_1"}, nil
}

func (p *till) Portal(context.Context, billing.Customer) (string, error) {
	return "https://till.test/portal", nil
}

func (p *till) State(context.Context, billing.Customer) (billing.ProviderState, error) {
	state := p.state
	if p.meanwhile != nil {
		p.meanwhile()
	}
	return state, nil
}

func (p *till) Preview(context.Context, billing.Order) (billing.ProviderPreview, error) {
	return p.preview, nil
}

func (p *till) Change(_ context.Context, o billing.Order) (billing.ProviderState, error) {
	p.ordered = append(p.ordered, o)
	p.is(o.Plan, billing.Active)
	p.state.CancelAtEnd = o.Cancel
	return p.state, nil
}

func (p *till) Run(context.Context, billing.Errand) error { return nil }

// is makes the subscription that the till keeps another one.
func (p *till) is(plan string, state billing.State) {
	p.state = billing.ProviderState{Customer: "cus_1", Object: "sub_1", Plan: plan, Interval: billing.Monthly, State: state,
		PeriodStart: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC), PeriodEnd: time.Date(2026, 12, 2, 9, 0, 0, 0, time.UTC)}
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

func (h *house) till() context.Context {
	return op.As(h.T.Context(), op.Caller{System: "till"})
}

// hears takes an event of the till in, and says whether it changed anything.
func (h *house) hears(event string) bool {
	h.T.Helper()
	done, err := billing.SyncSubscription.Call(h.till(), h.Service, billing.SyncInput{InOrganization: h.in(), Event: event, Customer: "cus_1"})
	h.Must(err)
	return done.Changed
}

// TestACheckoutGivesNothing: only what the provider says does. T-089.
func TestACheckoutGivesNothing(t *testing.T) {
	inTills(t, func(h *house, p *till) {
		done := h.changes("pro")
		if done.Checkout != "https://till.test/pay" || done.Plan != "free" || h.plan() != "free" || len(h.invoices()) != 0 || !done.Portal {
			t.Errorf("the checkout gave %+v", done)
		}
		if o := p.ordered[0]; o.Plan != "pro" || o.Amount != 4900 || o.Currency != "USD" || o.Organization != h.acme || o.Name != "Acme" ||
			o.ReturnTo != "https://hall.test/o/"+h.acme+"/settings/billing" || o.Key == "" {
			t.Errorf("ordered %+v", o)
		}
		h.Fenced()
		if h.hears("evt_0") || h.plan() != "free" {
			t.Error("what nobody paid is there")
		}
		p.is("pro", billing.Active)
		if !h.hears("evt_1") || h.plan() != "pro" || len(h.Fenced()) == 0 {
			t.Error("what was paid is not there")
		}
		up := h.changes("business")
		if up.Plan != "business" || h.plan() != "business" || up.Checkout != "" || p.ordered[1].Object != "sub_1" {
			t.Errorf("a change of what the till keeps: %+v", up)
		}
	})
}

// T-088.
func TestAnEventCountsOnceAndNothingOfItIsBelieved(t *testing.T) {
	inTills(t, func(h *house, p *till) {
		p.is("business", billing.Active)
		if !h.hears("evt_1") || h.plan() != "business" {
			t.Error("the first is not taken in")
		}
		if h.hears("evt_2") || h.hears("evt_1") {
			t.Error("what is known changed something")
		}
		p.is("pro", billing.PastDue)
		if h.hears("evt_1") || h.plan() != "business" {
			t.Error("an event was taken in twice")
		}
		if !h.hears("") || h.plan() != "pro" {
			t.Error("a reading without an event found nothing")
		}
		if s := h.subscription(); s.State != billing.PastDue || s.PastDueSince == nil || s.EndsAt != nil {
			t.Errorf("past due: %+v", s.Standing)
		}
		h.Refused("more while it is overdue", errOf(h.wants("business")), "payment_overdue") // T-089
		p.is("pro", billing.Cancelled)
		if !h.hears("evt_3") || h.plan() != "free" {
			t.Error("what has ended gives the first plan")
		}
		if n := h.Number("SELECT count(*) FROM billing_events WHERE organization = $1", h.acme); n != 3 {
			t.Errorf("%d events are kept", n)
		}
		p.is("pro", billing.Ended)
		if p.state.Object = "sub_2"; !h.hears("evt_4") || h.plan() != "free" || h.subscription().State != billing.Ended {
			t.Error("the end of a later subscription does not count")
		}
		p.state = billing.ProviderState{Customer: "cus_1"}
		if h.hears("evt_4b") {
			t.Error("that there is nothing any more changed something")
		}
		p.is("gold", billing.Active)
		_, err := billing.SyncSubscription.Call(h.till(), h.Service, billing.SyncInput{InOrganization: h.in(), Event: "evt_5"})
		h.Refused("a plan that is not there", err, "provider_prices")
		if p.is("business", billing.Active); !h.hears("evt_5") {
			t.Error("after a refused state the same event does not count")
		}
	})
}

// A reading that another one overtakes could be older than what is known: it is refused, and read again. T-088.
func TestAReadingThatWasOvertakenIsReadAgain(t *testing.T) {
	inTills(t, func(h *house, p *till) {
		p.is("pro", billing.Active)
		p.meanwhile = func() {
			p.meanwhile = nil
			p.is("business", billing.Active)
			h.hears("evt_2")
		}
		in := billing.SyncInput{InOrganization: h.in(), Event: "evt_1", Customer: "cus_1"}
		_, err := billing.SyncSubscription.Call(h.till(), h.Service, in)
		h.Refused("an overtaken reading", err, "subscription_moved")
		if h.plan() != "business" {
			t.Errorf("the older state is there: %s", h.plan())
		}
		h.Must(billing.Sync(h.till(), h.Service, in))
		if h.plan() != "business" {
			t.Errorf("read again, the plan is %s", h.plan())
		}
	})
}

func TestWhatTheProviderChargesIsPreviewed(t *testing.T) {
	inTills(t, func(h *house, p *till) {
		h.day(17)
		first := h.previews("pro", "", "")
		if first.DueToday != 4900 || !first.Next.At.Equal(time.Date(2026, 12, 17, 9, 0, 0, 0, time.UTC)) || len(first.Gains) != 2 {
			t.Errorf("a first subscription: %+v", first)
		}
		h.Refused("less is agreed to", errOf(h.wants("pro", func(in *billing.ChangeInput) { in.AtMost = new(int64(4899)) })), "costs_more")
		p.is("pro", billing.Active)
		h.hears("evt_1")
		p.preview = billing.ProviderPreview{Due: 12345, Lines: []billing.InvoiceLine{{Kind: billing.ProrationLine, Text: "as the till says", Amount: 12345}}}
		up := h.previews("business", "", "")
		if up.DueToday != 12345 || len(up.Lines) != 1 || up.Direction != "up" {
			t.Errorf("a change: %+v", up)
		}
		h.Refused("less is agreed to", errOf(h.wants("business", func(in *billing.ChangeInput) { in.AtMost = new(int64(12344)) })), "costs_more")
		if h.plan() != "pro" || len(p.ordered) != 0 {
			t.Errorf("it was ordered: %+v", p.ordered)
		}
	})
}

// invoice is one of the till's.
func (p *till) invoice(object string, state billing.InvoiceState, day int) billing.ProviderInvoice {
	at := time.Date(2026, 11, day, 9, 0, 0, 0, time.UTC)
	i := billing.ProviderInvoice{Object: object, Number: "TILL-" + object, State: state, Currency: "USD", Total: 4900, Owed: 4900, IssuedAt: at, DueAt: at,
		PeriodStart: at, PeriodEnd: at, Page: "https://till.test/" + object, Paper: "https://till.test/" + object + ".pdf",
		Lines: []billing.InvoiceLine{{Kind: billing.PlanLine, Text: "Pro", From: at, Until: at, Amount: 4900}}}
	if state == billing.Paid {
		i.Owed, i.SettledAt = 0, at
	}
	return i
}

func TestTheProvidersInvoicesStandBesideOurs(t *testing.T) {
	inTills(t, func(h *house, p *till) {
		p.is("pro", billing.Active)
		p.state.Invoices = []billing.ProviderInvoice{p.invoice("in_1", billing.Paid, 2), p.invoice("in_2", billing.Open, 9)}
		h.hears("evt_1")
		all := h.invoices()
		if len(all) != 2 || all[0].Number != "TILL-in_2" || all[0].Provider != "till" || all[0].Page == "" || all[1].State != billing.Paid || h.subscription().Owed != 4900 {
			t.Fatalf("invoices: %+v", all)
		}
		if h.hears("evt_2") {
			t.Error("the same again is a change")
		}
		p.state.Invoices[1] = p.invoice("in_2", billing.Paid, 9)
		if !h.hears("evt_3") || h.subscription().Owed != 0 {
			t.Errorf("paid: owed %d", h.subscription().Owed)
		}
		again := h.invoices()
		if len(again) != 2 || again[0].ID != all[0].ID || again[0].Version != 2 || again[1].Version != 1 {
			t.Errorf("then %+v", again)
		}
		_, err := billing.PayInvoice.Call(h.As(h.svc), h.Service, billing.PayInvoiceInput{InvoiceInput: h.invoice(all[0].ID), Reference: "4711"})
		h.Refused("paid by hand", err, "at_provider")
		h.Refused("printed", h.prints(all[0].ID), "at_provider")
		_, globex := h.Found("globex", "gil@globex.test")
		_, err = billing.GetInvoice.Call(h.As(globex.Token), h.Service, billing.InvoiceInput{InOrganization: op.InOrganization{Organization: "globex"}, Invoice: all[0].ID})
		h.Refused("another organization's", err, "not_found") // T-004
	})
}

// TestWhatWasUsedIsReported: at the end of a month, and when a new period begins before it.
func TestWhatWasUsedIsReportedOnce(t *testing.T) {
	inTills(t, func(h *house, p *till) {
		p.is("pro", billing.Active)
		h.hears("evt_1")
		h.uses("executions", 60_000) // 50,000 are included
		h.day(32)
		p.state.PeriodStart, p.state.PeriodEnd = p.state.PeriodEnd, p.state.PeriodEnd.AddDate(0, 1, 0)
		h.hears("evt_2") // the provider renewed it before the month was closed here
		h.works()
		errands := h.errands()
		if len(errands) != 1 || len(errands[0].Lines) != 1 || errands[0].Lines[0].Units-errands[0].Lines[0].Included != 10_000 ||
			errands[0].Object != "sub_1" || !errands[0].Lines[0].Until.Equal(p.state.PeriodStart) {
			t.Fatalf("errands: %+v", errands)
		}
		h.uses("executions", 50_001)
		h.day(63)
		h.works() // and now it is closed before the provider renews it
		p.state.PeriodStart, p.state.PeriodEnd = p.state.PeriodEnd, p.state.PeriodEnd.AddDate(0, 1, 0)
		h.hears("evt_3")
		errands = h.errands()
		if len(errands) != 2 || errands[0].Key == errands[1].Key || errands[1].Lines[0].Units != 50_001 {
			t.Errorf("errands: %+v", errands)
		}
		if len(h.invoices()) != 0 {
			t.Error("an invoice was made here")
		}
	})
}

func TestACancellationIsTheProviders(t *testing.T) {
	inTills(t, func(h *house, p *till) {
		p.is("pro", billing.Active)
		h.hears("evt_1")
		done, err := billing.CancelSubscription.Call(h.by(h.owner), h.Service, billing.CancelInput{InOrganization: h.in(), Reason: "it was dear"})
		h.Must(err)
		if !done.CancelAtPeriodEnd || done.Plan != "pro" || !p.ordered[0].Cancel {
			t.Errorf("cancelled: %+v", done)
		}
		_, err = billing.ResumeSubscription.Call(h.by(h.owner), h.Service, billing.ResumeInput{InOrganization: h.in()})
		h.Must(err)
		if last := p.ordered[len(p.ordered)-1]; !last.Resume || h.subscription().CancelAtPeriodEnd {
			t.Errorf("resumed: %+v", last)
		}
	})
}

// What is over at the provider takes nobody's plan that it did not give; what it gave and does not have any more is over.
func TestWhatTheProviderDoesNotHaveIsOver(t *testing.T) {
	inTills(t, func(h *house, p *till) {
		h.Exec("INSERT INTO subscriptions SELECT id, 'pro', 'month', 'active', created_at, created_at, created_at + 2592000000000, created_at + 2592000000000, '', '', 0, FALSE, 0, 0, 'builtin', 'cus_1', '', 0, '', '', '', '', 1, created_at, created_at, 0 FROM organizations WHERE id = $1", h.acme)
		h.Exec("UPDATE organizations SET plan = 'pro', seats = 0, period_anchor = created_at WHERE id = $1", h.acme)
		p.is("business", billing.Cancelled)
		if h.hears("evt_1") || h.plan() != "pro" {
			t.Errorf("an old subscription took the plan away: %s", h.plan())
		}
		p.is("business", billing.Active)
		h.hears("evt_2")
		p.state = billing.ProviderState{Customer: "cus_1"}
		if !h.hears("evt_3") || h.plan() != "free" || h.subscription().State != billing.Ended {
			t.Errorf("without a subscription there is the plan %s", h.plan())
		}
	})
}

func TestOnlyTheSystemReadsBack(t *testing.T) {
	inTills(t, func(h *house, p *till) {
		p.is("business", billing.Active)
		in := billing.SyncInput{InOrganization: h.in(), Event: "evt_1", Customer: "cus_1"}
		_, err := billing.SyncSubscription.Call(h.by(h.owner), h.Service, in) // T-008
		h.Refused("an owner", err, "operator_only")
		_, err = billing.SyncSubscription.Call(h.As(h.svc), h.Service, in)
		h.Refused("a service key", err, "operator_only")
	})
	inHouses(t, func(_ *testing.T, h *house) {
		_, err := billing.SyncSubscription.Call(h.till(), h.Service, billing.SyncInput{InOrganization: h.in()})
		h.Refused("without a provider", err, "no_provider")
	})
}

func TestWhoIsReadBackFromTimeToTime(t *testing.T) {
	inTills(t, func(h *house, p *till) {
		due := func() (all []string) {
			h.Must(h.Service.Snapshot(t.Context(), func(r *op.Reader) (err error) {
				all, err = billing.DueSyncs(t.Context(), r, "till")
				return err
			}))
			return all
		}
		if len(due()) != 0 {
			t.Error("somebody who never paid is read back")
		}
		h.changes("pro") // to the checkout
		if !slices.Equal(due(), []string{h.acme}) {
			t.Error("whoever went to pay is not looked for")
		}
		h.hears("")
		p.is("pro", billing.Active)
		if h.After(9 * time.Minute); len(due()) != 0 {
			t.Error("too soon")
		}
		h.After(time.Minute)
		h.hears("")
		if h.After(5 * time.Hour); len(due()) != 0 || h.plan() != "pro" {
			t.Errorf("due %v with the plan %s", due(), h.plan())
		}
		if h.After(time.Hour); !slices.Equal(due(), []string{h.acme}) {
			t.Error("after six hours nobody is read back")
		}
	})
}
