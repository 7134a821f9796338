package billing

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/period"
	"github.com/guildhall/guildhall/op"
)

// Builtin is the name of the provider that takes no money itself: invoices are made here, and whoever runs the
// installation says when one was paid.
const Builtin = "builtin"

// Provider takes the money for subscriptions that it keeps. Its methods are called outside of any transaction, after the
// caller was authorized, and are safe for concurrent use. What comes of them arrives as a ProviderState, never as what a
// browser says on its way back.
type Provider interface {
	// Checkout begins a subscription, and gives the address at which a person pays for it.
	Checkout(ctx context.Context, o Order) (address string, err error)
	// Change changes, cancels or resumes a subscription that the provider keeps, and gives its state afterwards.
	Change(ctx context.Context, o Order) (ProviderState, error)
	// Portal gives the address of the provider's own pages for means of payment and invoices.
	Portal(ctx context.Context, c Customer) (address string, err error)
	// ReportUsage tells what was used in a month. It may be called again with the same key, and counts once.
	ReportUsage(ctx context.Context, u UsageReport) error
}

// Customer is an organization as a provider knows it. Customer and Object are empty where it does not yet.
type Customer struct {
	Organization string // our id
	Name         string
	Account      Account
	Customer     string // the provider's id of the customer
	Object       string // and of the subscription
	ReturnTo     string // the address that the browser comes back to
}

// Order is what a customer wants of a provider.
type Order struct {
	Customer
	Plan     string
	Interval Interval
	Currency string
	Amount   int64  // what one interval costs, in minor units
	When     When   // AtPeriodEnd: the change waits
	Cancel   bool   // the subscription ends with its period
	Resume   bool   // what waits for the end of the period is taken back
	Key      string // the same for the same order: what is asked again is done once
}

// UsageReport is what an organization used in a month that has ended.
type UsageReport struct {
	Customer
	Month period.Period
	Lines []InvoiceLine
	Key   string
}

// ProviderState is a subscription as a provider keeps it, at a version of its object. Of two states of one object the one
// with the greater version counts, whichever arrives later.
type ProviderState struct {
	Provider    string    `json:"provider" doc:"Who says so" example:"stripe" minLength:"1" maxLength:"40"`
	Event       string    `json:"event" doc:"The provider's id of the event: one that was applied is not applied again" minLength:"1" maxLength:"255" example:"evt_1"`
	Customer    string    `json:"customer" doc:"The provider's id of the customer" maxLength:"255" example:"cus_1"`
	Object      string    `json:"object" doc:"The provider's id of the subscription" minLength:"1" maxLength:"255" example:"sub_1"`
	Version     int64     `json:"version" doc:"Orders the states of one object; never 0" minimum:"1"`
	Plan        string    `json:"plan" doc:"The plan that is paid" minLength:"1" maxLength:"64" example:"pro"`
	Interval    Interval  `json:"interval" enum:"month,year"`
	State       State     `json:"state" enum:"active,past_due,cancelled,ended" doc:"active and past_due give the plan; the others give the first one. What is not paid yet at all is none of them, and is not told"`
	PeriodStart time.Time `json:"period_start"`
	PeriodEnd   time.Time `json:"period_end"`
	CancelAtEnd bool      `json:"cancel_at_period_end,omitzero" doc:"Whether it ends with its period"`
	PastDue     time.Time `json:"past_due_since,omitzero" doc:"Since when it is overdue"`
}

// builtin is the provider of an installation that takes no money itself: everything is done here, in Do.
type builtin struct{}

func (builtin) Checkout(context.Context, Order) (string, error) { return "", nil }

func (builtin) Change(context.Context, Order) (ProviderState, error) { return ProviderState{}, nil }

func (builtin) Portal(context.Context, Customer) (string, error) {
	return "", op.Errorf(op.Conflict, "no_portal", "invoices are paid here as they say: there is no payment provider with pages of its own")
}

func (builtin) ReportUsage(context.Context, UsageReport) error { return nil }

// Desk is what reaches beyond this process: the provider, and a look at the data.
type Desk struct {
	Name     string   // of the provider: see Builtin
	Provider Provider // nil: the built-in one
	// Read runs a function on a snapshot of the data.
	Read func(ctx context.Context, look func(*op.Reader) error) error
}

// Report tells the provider what a job of kind UsageKind holds.
func (d Desk) Report(ctx context.Context, payload []byte) error {
	var u UsageReport
	if err := json.Unmarshal(payload, &u); err != nil {
		return err
	}
	return deskOf(At(ctx, d)).Provider.ReportUsage(ctx, u)
}

type deskKey struct{}

// At gives a context whose calls reach the desk's provider. Without it they do what the built-in provider does.
func At(ctx context.Context, d Desk) context.Context { return context.WithValue(ctx, deskKey{}, d) }

func deskOf(ctx context.Context) Desk {
	d, _ := ctx.Value(deskKey{}).(Desk)
	if d.Provider == nil {
		d.Name, d.Provider = Builtin, builtin{}
	}
	return d
}

// look reads how it stands with an organization, and hands it on with a reader of the same moment.
func (d Desk) look(ctx context.Context, organization string, use func(record, *op.Reader, Customer) error) error {
	return d.Read(ctx, func(r *op.Reader) error {
		s, err := recordOf(ctx, r, organization)
		if err != nil {
			return err
		}
		return use(s, r, Customer{Organization: s.organization, Name: s.name, Account: s.account, Customer: s.customer, Object: s.object,
			ReturnTo: r.Settings.URL("/o/" + s.organization + "/settings/billing")})
	})
}

// answer is what a provider said to an order. The zero value is that of the built-in one: it is done here.
type answer struct {
	address string         // where the person goes on
	state   *ProviderState // what is so now
}

// order asks the provider for a change. Whoever has no subscription with it yet begins one.
func (d Desk) order(ctx context.Context, organization string, fill func(context.Context, record, *op.Reader, *Order) error) (answer, error) {
	if d.Name == Builtin {
		return answer{}, nil
	}
	var o Order
	err := d.look(ctx, organization, func(s record, r *op.Reader, c Customer) error {
		o = Order{Customer: c, Currency: r.Charter.Currency, Key: s.organization + ":" + strconv.FormatInt(s.version, 10)}
		return fill(ctx, s, r, &o)
	})
	if err != nil {
		return answer{}, err
	}
	if o.Object == "" {
		address, err := d.Provider.Checkout(ctx, o)
		return answer{address: address}, err
	}
	state, err := d.Provider.Change(ctx, o)
	return answer{state: &state}, err
}

// AppliedState says what became of a provider's state.
type AppliedState struct {
	Standing
	Applied bool `json:"applied" doc:"False: it was applied before, or is older than what is known"`
}

// ApplyStateInput is what a provider says of an organization's subscription.
type ApplyStateInput struct {
	op.InOrganization
	ProviderState
}

// ApplyState takes in what a provider says of a subscription. The adapter of the provider's webhooks calls it as the
// system, after it has verified that the provider said so.
var ApplyState = &op.Op[ApplyStateInput, AppliedState]{
	Name:    "subscription.apply",
	Route:   "POST /v1/organizations/{organization}/subscription/apply",
	Summary: "Take in what a payment provider says of a subscription",
	Kind:    op.Access,
	Allow:   op.ByOperator,
	Target: func(ctx context.Context, r *op.Reader, _ ApplyStateInput) (op.Target, error) {
		return subscriptionTarget(ctx, r)
	},
	Fences: func(_ ApplyStateInput, t op.Target) []op.Fence { return fences(t) },
	Do: func(ctx context.Context, tx *op.Tx, in ApplyStateInput) (AppliedState, error) {
		if err := sold(tx.Charter); err != nil {
			return AppliedState{}, err
		}
		s, _ := tx.Target().Value.(record)
		applied, err := s.apply(ctx, tx, in.ProviderState)
		if !applied {
			tx.Unchanged()
		}
		return AppliedState{s.standing(tx.Reader), applied}, err
	},
	Example: ApplyStateInput{ProviderState: ProviderState{Provider: "stripe", Event: "evt_1", Customer: "cus_1", Object: "sub_1", Version: 1,
		Plan: "pro", Interval: Monthly, State: Active, PeriodStart: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), PeriodEnd: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}},
}

// OrganizationOf finds whose subscription a provider's object is; without one it returns op.ErrNotFound.
func OrganizationOf(ctx context.Context, r *op.Reader, provider, object string) (organization string, err error) {
	err = r.QueryRow(ctx, "SELECT organization FROM subscriptions WHERE provider = $1 AND provider_object = $2", provider, object).Scan(&organization)
	if errors.Is(err, sql.ErrNoRows) {
		err = op.ErrNotFound
	}
	return organization, err
}

// Apply makes the subscription of the call's organization what a provider says. Who calls it has locked the organization.
// An event that was applied changes nothing again, and neither does a state that is older than what is known of the same
// object; applied says so. Another object than the known one counts once it gives a plan. It takes four statements.
func Apply(ctx context.Context, tx *op.Tx, p ProviderState) (applied bool, err error) {
	s, err := recordOf(ctx, tx.Reader, tx.Organization())
	if err != nil {
		return false, err
	}
	return s.apply(ctx, tx, p)
}

func (s *record) apply(ctx context.Context, tx *op.Tx, p ProviderState) (applied bool, err error) {
	newer := s.newer(p)
	outcome := map[bool]string{true: "applied", false: "older"}[newer]
	first, err := tx.Exec(ctx, `INSERT INTO billing_events (provider, id, organization, object, version, outcome, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (provider, id) DO NOTHING`,
		p.Provider, p.Event, s.organization, p.Object, p.Version, outcome, tx.Micros())
	if err != nil || first == 0 || !newer {
		return false, err
	}
	before := *s
	if err := s.take(tx.Reader, p); err != nil {
		return false, err
	}
	s.note(tx, before)
	return true, s.give(ctx, tx)
}

// newer reports whether a provider's state is to be believed.
func (s record) newer(p ProviderState) bool {
	if s.provider == p.Provider && s.object == p.Object {
		return p.Version > s.objectVersion
	}
	return p.State == Active || p.State == PastDue
}

// take makes the subscription what a provider says. What is over gives the first plan, by the month. T-089.
func (s *record) take(r *op.Reader, p ProviderState) error {
	if _, ok := r.Charter.Plan(p.Plan); !ok {
		return op.InvalidField("plan", "unknown", "there is no plan %q: %s", p.Plan, planIDs(r.Charter))
	}
	s.provider, s.customer, s.object, s.objectVersion, s.state, s.next, s.pastDueSince = p.Provider, p.Customer, p.Object, p.Version, p.State, scheduled{}, 0
	if p.State == Cancelled || p.State == Ended {
		s.fall(r, p.State)
		return nil
	}
	if !p.PeriodEnd.After(p.PeriodStart) {
		return op.InvalidField("period_end", "out_of_range", "period_end has to be after period_start")
	}
	s.plan, s.interval = p.Plan, p.Interval
	s.period = period.Period{Start: p.PeriodStart.UnixMicro(), End: p.PeriodEnd.UnixMicro()}
	if s.interval.Of(s.anchor, s.period.Start) != s.period {
		s.anchor = s.period.Start
	}
	s.closesAt = min(max(period.Month(s.anchor, max(s.period.Start, r.Micros())).End, s.period.Start+1), s.period.End)
	if p.CancelAtEnd {
		s.next = scheduled{plan: first(r.Charter).ID, interval: Monthly, at: s.period.End, cancels: true}
	}
	if p.State == PastDue {
		if s.pastDueSince = p.PastDue.UnixMicro(); p.PastDue.IsZero() {
			s.pastDueSince = r.Micros()
		}
	}
	return nil
}

// fall brings the subscription to the first plan, by the month. The open month stays as it is, and is billed when it ends.
func (s *record) fall(r *op.Reader, state State) {
	s.period = s.month()
	s.plan, s.interval, s.state, s.next, s.pastDueSince = first(r.Charter).ID, Monthly, state, scheduled{}, 0
}

// give writes the subscription, and tells the directory what it gives: two statements.
func (s *record) give(ctx context.Context, tx *op.Tx) error {
	if err := s.save(ctx, tx); err != nil {
		return err
	}
	plan, _ := tx.Charter.Plan(s.plan)
	s.seats = int64(plan.Seats)
	return directory.SetPlan(ctx, tx, s.organization, s.plan, s.seats, s.anchor)
}

// note notes what is another thing than before, for the audit row.
func (s record) note(tx *op.Tx, before record) {
	noted(tx, "plan", before.plan, s.plan)
	noted(tx, "interval", before.interval, s.interval)
	noted(tx, "state", before.state, s.state)
	noted(tx, "scheduled_plan", before.next.plan, s.next.plan)
	if before.next.at != s.next.at {
		tx.Changed("scheduled_at", timeOrNil(before.next.at), timeOrNil(s.next.at))
	}
}

func noted[T comparable](tx *op.Tx, field string, before, after T) {
	if before != after {
		tx.Changed(field, before, after)
	}
}

func timeOrNil(micros int64) any {
	if micros == 0 {
		return nil
	}
	return moment(micros)
}
