package billing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/period"
	"github.com/guildhall/guildhall/op"
)

// SyncInput says whose subscription is read back, and why.
type SyncInput struct {
	op.InOrganization
	Event    string `json:"event,omitzero" doc:"The provider's id of the event that it is read for: one that was taken in is not taken in again" maxLength:"255" example:"evt_1"`
	Customer string `json:"customer,omitzero" doc:"The provider's id of the customer, where it is not known here yet" maxLength:"255" example:"cus_1"`

	read reading
}

// reading is what was read of a provider, and at which version of the subscription.
type reading struct {
	provider string
	heard    bool // the event was taken in before
	seen     int64
	state    ProviderState
}

// SyncedSubscription says what became of a reading.
type SyncedSubscription struct {
	Standing
	Changed bool `json:"changed" doc:"False: it was known already"`
}

// SyncSubscription makes a subscription and the provider's invoices here what they are with the payment provider now. It
// is called for each event of the provider, and from time to time for all; nothing of the event itself is believed, so
// that events can come late, twice, in any order or not at all. T-088.
var SyncSubscription = &op.Op[SyncInput, SyncedSubscription]{
	Name:    "subscription.sync",
	Route:   "POST /v1/organizations/{organization}/subscription/sync",
	Summary: "Read back from the payment provider how it stands with a subscription",
	Kind:    op.Access,
	Allow:   op.ByOperator,
	Target: func(ctx context.Context, r *op.Reader, _ SyncInput) (op.Target, error) {
		return subscriptionTarget(ctx, r)
	},
	Fences: func(_ SyncInput, t op.Target) []op.Fence { return fences(t) },
	Prepare: func(ctx context.Context, in SyncInput) (SyncInput, error) {
		var err error
		in.read, err = deskOf(ctx).reading(ctx, in)
		return in, err
	},
	Do:      syncSubscription,
	Example: SyncInput{Event: "evt_1", Customer: "cus_1"},
}

// reading asks the provider. The version of the subscription is read before: what is read later is at least as new.
func (d Desk) reading(ctx context.Context, in SyncInput) (reading, error) {
	if d.Name == Builtin {
		return reading{}, op.Errorf(op.Conflict, "no_provider", "no payment provider is configured: there is nothing to read back")
	}
	read := reading{provider: d.Name}
	var customer Customer
	err := d.look(ctx, in.Organization, func(s record, r *op.Reader, c Customer) (err error) {
		read.seen, customer = s.version, c
		read.heard, err = heard(ctx, r, d.Name, in.Event)
		return err
	})
	if customer.Customer == "" {
		customer.Customer = in.Customer
	}
	if err != nil || read.heard || customer.Customer == "" {
		return read, err
	}
	read.state, err = d.Provider.State(ctx, customer)
	return read, err
}

func heard(ctx context.Context, r *op.Reader, provider, event string) (bool, error) {
	var n int
	err := r.QueryRow(ctx, "SELECT COUNT(*) FROM billing_events WHERE provider = $1 AND id = $2", provider, event).Scan(&n)
	return n > 0, err
}

func syncSubscription(ctx context.Context, tx *op.Tx, in SyncInput) (SyncedSubscription, error) {
	s, _ := tx.Target().Value.(record)
	if err := sold(tx.Charter); err != nil {
		return SyncedSubscription{}, err
	}
	if in.read.heard {
		tx.Unchanged()
		return SyncedSubscription{Standing: s.standing(tx.Reader)}, nil
	}
	if s.version != in.read.seen {
		return SyncedSubscription{}, errMoved
	}
	first, err := s.hear(ctx, tx, in)
	if err != nil {
		return SyncedSubscription{}, err
	}
	done := SyncedSubscription{}
	if first {
		if done.Changed, err = s.absorb(ctx, tx, in.read.provider, in.read.state); err != nil {
			return done, err
		}
	}
	if !done.Changed {
		tx.Unchanged()
	}
	done.Standing = s.standing(tx.Reader)
	return done, s.synced(ctx, tx)
}

// errMoved answers where somebody else changed the subscription between the reading and the lock: what was read could be
// older than what is known.
var errMoved = &op.Error{Kind: op.Unavailable, Code: "subscription_moved", RetryAfter: time.Second,
	Text: "the subscription was changed at the same moment: read it again"}

// hear notes an event; false: another call was first.
func (s record) hear(ctx context.Context, tx *op.Tx, in SyncInput) (first bool, err error) {
	if in.Event == "" {
		return true, nil
	}
	n, err := tx.Exec(ctx, `INSERT INTO billing_events (provider, id, organization, object, version, outcome, at)
		VALUES ($1, $2, $3, $4, $5, 'applied', $6) ON CONFLICT (provider, id) DO NOTHING`,
		in.read.provider, in.Event, s.organization, in.read.state.Object, s.version, tx.Micros())
	return n > 0, err
}

// synced notes when it was last read.
func (s record) synced(ctx context.Context, tx *op.Tx) error {
	_, err := tx.Exec(ctx, "UPDATE subscriptions SET synced_at = $2 WHERE organization = $1", s.organization, tx.Micros())
	return err
}

// absorb makes the subscription and its invoices what a provider's state says; false: they were that already. What was
// used until a new period began is reported first, since its month is not closed here any more.
func (s *record) absorb(ctx context.Context, tx *op.Tx, provider string, p ProviderState) (changed bool, err error) {
	before := *s
	if err := s.take(tx.Reader, provider, p); err != nil {
		return false, err
	}
	mirrored, err := s.mirror(ctx, tx, provider, p.Invoices)
	if err != nil || *s == before {
		return mirrored, err
	}
	if err := before.reportLeft(ctx, tx, *s); err != nil {
		return false, err
	}
	s.note(tx, before)
	if s.plan != before.plan || s.anchor != before.anchor || !s.kept {
		return true, s.give(ctx, tx)
	}
	return true, s.save(ctx, tx)
}

// reportLeft reports what was used of the open month where it ends otherwise than by its own end: since a new period has
// begun, or the subscription is over.
func (s record) reportLeft(ctx context.Context, tx *op.Tx, then record) error {
	switch open := s.month(); {
	case then.customerOf().Object == "":
		return s.reportUsage(ctx, tx, period.Period{Start: open.Start, End: min(open.End, max(tx.Micros(), open.Start+1))})
	case then.month().Start > open.Start:
		return s.reportUsage(ctx, tx, period.Period{Start: open.Start, End: then.month().Start})
	}
	return nil
}

// take makes the subscription what a provider says. What is over gives the first plan, by the month. T-089.
func (s *record) take(r *op.Reader, provider string, p ProviderState) error {
	over := p.State == Cancelled || p.State == Ended
	if p.Customer != "" {
		s.customer = p.Customer
	}
	if p.Object == "" && s.customerOf().Object != "" {
		p.Object, p.State, p.Interval, over = s.object, Ended, s.interval, true // what gave the plan is not there any more
	}
	if p.Object == "" || over && s.provider != provider && s.plan != first(r.Charter).ID {
		return nil // nothing that gives a plan, and nothing that gave the one that there is
	}
	again := s.provider == provider && s.object == p.Object && s.state == p.State
	s.provider, s.object = provider, p.Object
	if over {
		if !again { // its last period first: whether or not its beginning was heard of, the same month is open
			s.interval = p.Interval
			s.span(p)
			s.fall(r, p.State)
		}
		return nil
	}
	if _, ok := r.Charter.Plan(p.Plan); !ok {
		return op.Errorf(op.Unavailable, "provider_prices", "the payment provider says that the plan %q is paid, which there is not: %s", p.Plan, planIDs(r.Charter))
	}
	s.plan, s.interval, s.state, s.pastDueSince = p.Plan, p.Interval, p.State, 0
	s.span(p)
	s.next = p.next(r, s.period.End)
	if p.State == PastDue {
		if s.pastDueSince = s.period.Start; !p.PastDue.IsZero() {
			s.pastDueSince = p.PastDue.UnixMicro()
		}
	}
	return nil
}

// span gives the subscription the provider's period. Months that are open within it stay open.
func (s *record) span(p ProviderState) {
	span, anchor := period.Period{Start: p.PeriodStart.UnixMicro(), End: p.PeriodEnd.UnixMicro()}, p.Anchor.UnixMicro()
	if span.End <= span.Start {
		return
	}
	if p.Anchor.IsZero() || s.interval.Of(anchor, span.Start) != span {
		anchor = span.Start
	}
	if s.period == span && s.anchor == anchor {
		return
	}
	s.period, s.anchor = span, anchor
	s.closesAt = min(period.Month(s.anchor, span.Start).End, span.End)
}

// next is what waits for the end of the period.
func (p ProviderState) next(r *op.Reader, end int64) scheduled {
	switch {
	case p.CancelAtEnd:
		return scheduled{plan: first(r.Charter).ID, interval: Monthly, at: end, cancels: true}
	case p.Next.Plan != "":
		return scheduled{plan: p.Next.Plan, interval: p.Next.Interval, at: end}
	}
	return scheduled{}
}

// reportUsage tells the provider what was used in a span of time beyond what the plan includes. What it is told twice of
// one end of a span counts once.
func (s record) reportUsage(ctx context.Context, tx *op.Tx, span period.Period) error {
	if s.customerOf().Object == "" {
		return nil
	}
	lines, err := unitLines(ctx, tx.Reader, s.organization, span)
	if err != nil || len(lines) == 0 {
		return err
	}
	return s.send(tx, Errand{Month: span, Lines: lines, Key: fmt.Sprintf("%s:%d", s.organization, span.End)})
}

// send puts an errand into the outbox.
func (s record) send(tx *op.Tx, e Errand) error {
	e.Customer = s.customerOf()
	payload, err := json.Marshal(e)
	if err == nil {
		tx.Send(ErrandKind, payload)
	}
	return err
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

// EndAtProvider is the step of an organization's end in which a provider that keeps its subscription is told.
func EndAtProvider(ctx context.Context, tx *op.Tx, organization string) (more bool, err error) {
	s, err := recordOf(ctx, tx.Reader, organization)
	if err != nil || s.customerOf().Object == "" {
		return false, err
	}
	return false, s.send(tx, Errand{End: true, Key: s.organization + ":end"})
}

// syncEvery is how often what no event told is found out: of what is kept by a provider, and of whoever went to pay.
const (
	syncEvery   = 6 * time.Hour
	syncPending = 10 * time.Minute
)

// DueSyncs finds the organizations, at most fifty, whose state is to be read back from a provider: those that it keeps,
// and those that went to its pages within the last two days and have nothing yet.
func DueSyncs(ctx context.Context, r *op.Reader, provider string) ([]string, error) {
	if provider == Builtin || len(r.Charter.Plans) == 0 {
		return nil, nil
	}
	now := r.Micros()
	return organizations(ctx, r, `SELECT s.organization FROM subscriptions s JOIN organizations o ON s.organization = o.id AND o.state = 'active'
		WHERE s.customer <> '' AND (s.provider = $1 AND s.synced_at <= $2 OR s.provider <> $1 AND s.synced_at <= $3 AND s.updated_at > $4)
		ORDER BY s.synced_at, s.organization LIMIT 50`, provider, now-syncEvery.Microseconds(), now-syncPending.Microseconds(), now-2*day)
}

// Sync reads one organization back from the provider, as scheduled work or for an event. Where somebody else changes it
// at the same moment it is read again.
func Sync(ctx context.Context, b op.Backend, in SyncInput) error {
	var err error
	for range 4 {
		if _, err = SyncSubscription.Call(ctx, b, in); !errors.Is(err, errMoved) {
			return err
		}
	}
	return err
}
