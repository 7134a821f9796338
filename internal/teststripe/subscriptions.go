package teststripe

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

type subscription struct {
	ID                string            `json:"id"`
	Object            string            `json:"object"`
	Customer          string            `json:"customer"`
	Status            string            `json:"status"`
	Created           int64             `json:"created"`
	Anchor            int64             `json:"billing_cycle_anchor"`
	CancelAtPeriodEnd bool              `json:"cancel_at_period_end"`
	Cancellation      map[string]string `json:"cancellation_details"`
	Items             itemList          `json:"items"`
	Metadata          map[string]string `json:"metadata"`
	Schedule          *schedule         `json:"schedule"`
	Livemode          bool              `json:"livemode"`
}

type itemList struct {
	Object string  `json:"object"`
	Data   []*item `json:"data"`
}

type item struct {
	ID    string `json:"id"`
	Price *price `json:"price"`
	Start int64  `json:"current_period_start"`
	End   int64  `json:"current_period_end"`
}

type schedule struct {
	ID           string   `json:"id"`
	Object       string   `json:"object"`
	Status       string   `json:"status"`
	Subscription string   `json:"subscription"`
	Phases       []*phase `json:"phases"`
}

type phase struct {
	Start int64        `json:"start_date"`
	End   int64        `json:"end_date"`
	Items []*phaseItem `json:"items"`
}

type phaseItem struct {
	Price *price `json:"price"`
}

type invoice struct {
	ID              string           `json:"id"`
	Object          string           `json:"object"`
	Customer        string           `json:"customer"`
	Number          string           `json:"number"`
	Status          string           `json:"status"`
	Currency        string           `json:"currency"`
	Created         int64            `json:"created"`
	PeriodStart     int64            `json:"period_start"`
	PeriodEnd       int64            `json:"period_end"`
	Total           int64            `json:"total"`
	AmountDue       int64            `json:"amount_due"`
	AmountPaid      int64            `json:"amount_paid"`
	AmountRemaining int64            `json:"amount_remaining"`
	Attempted       bool             `json:"attempted"`
	AttemptCount    int64            `json:"attempt_count"`
	CustomerName    string           `json:"customer_name"`
	CustomerEmail   string           `json:"customer_email"`
	HostedURL       string           `json:"hosted_invoice_url"`
	PDF             string           `json:"invoice_pdf"`
	Transitions     map[string]int64 `json:"status_transitions"`
	Lines           map[string]any   `json:"lines"`
	Parent          map[string]any   `json:"parent"`

	subscription string
	lines        []line
	nextAttempt  int64
}

type line struct {
	text       string
	amount     int64
	start, end int64
	proration  bool
}

func (l line) show() map[string]any {
	return map[string]any{"object": "line_item", "description": l.text, "amount": l.amount, "period": map[string]any{"start": l.start, "end": l.end},
		"parent": map[string]any{"type": "subscription_item_details", "subscription_item_details": map[string]any{"proration": l.proration}}}
}

// plan is the item that is no meter.
func (u *subscription) plan() *item { return u.Items.Data[0] }

// next is the moment after a period that begins at one.
func (p *price) next(start int64) int64 {
	at := time.Unix(start, 0).UTC()
	if p.Recurring.Interval == "year" {
		return at.AddDate(1, 0, 0).Unix()
	}
	return at.AddDate(0, 1, 0).Unix()
}

// Complete is a person who pays on a Checkout page, by its address.
func (s *Stripe) Complete(address string, with Card) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var c *session
	for _, one := range s.sessions {
		if one.URL == address {
			c = one
		}
	}
	if c == nil || c.Status != "open" {
		s.t.Fatalf("the page %s is not open", address)
	}
	s.customers[c.Customer].card = with
	if with == Declined {
		return // the person is asked for another card
	}
	u := &subscription{ID: s.id("sub"), Object: "subscription", Customer: c.Customer, Status: "incomplete", Created: s.now(), Anchor: s.now(), Items: itemList{Object: "list"}, Metadata: c.named}
	for _, id := range c.items {
		p := s.price(id)
		u.Items.Data = append(u.Items.Data, &item{s.id("si"), p, s.now(), p.next(s.now())})
	}
	s.subs[u.ID] = u
	s.tell("customer.subscription.created", *u)
	i := s.bill(u, u.planLine())
	c.Status, c.Subscription = "complete", u.ID
	if s.collect(i); i.Status == "paid" {
		c.PaymentStatus = "paid"
	}
	s.tell("checkout.session.completed", *c)
}

// Settle says what became of a slow payment.
func (s *Stripe) Settle(customer string, with Card) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.customers[customer].card = with
	for _, id := range slices.Sorted(maps.Keys(s.invoices)) {
		if i := s.invoices[id]; i.Customer == customer && i.Status == "open" {
			s.collect(i)
		}
	}
}

func (u *subscription) planLine() line {
	p := u.plan()
	return line{text: "1 × " + p.Price.LookupKey, amount: p.Price.UnitAmount, start: p.Start, end: p.End}
}

// draft is an invoice with lines, reckoned with the customer's balance.
func (s *Stripe) draft(u *subscription, lines ...line) *invoice {
	c := s.customers[u.Customer]
	i := &invoice{ID: "in_preview", Object: "invoice", Customer: u.Customer, Status: "draft", Currency: "usd", Created: s.now(), PeriodStart: u.plan().Start, PeriodEnd: u.plan().End,
		CustomerName: c.Name, CustomerEmail: c.Email, Transitions: map[string]int64{}, subscription: u.ID, lines: lines}
	shown := []map[string]any{}
	for _, l := range lines {
		i.Total += l.amount
		shown = append(shown, l.show())
	}
	i.Lines = map[string]any{"object": "list", "data": shown, "has_more": false}
	i.AmountDue = max(0, i.Total+c.Balance)
	i.AmountRemaining = i.AmountDue
	return i
}

// bill makes an invoice and issues it.
func (s *Stripe) bill(u *subscription, lines ...line) *invoice {
	i := s.draft(u, lines...)
	i.ID = s.id("in")
	i.Parent = map[string]any{"type": "subscription_details", "subscription_details": map[string]any{"subscription": u.ID, "metadata": u.Metadata}}
	s.invoices[i.ID] = i
	s.tell("invoice.created", *i)
	i.Status, i.Number, i.Transitions = "open", fmt.Sprintf("FAKE-%04d", len(s.invoices)), map[string]int64{"finalized_at": s.now()}
	i.HostedURL, i.PDF = "https://invoice.stripe.test/"+i.ID, "https://invoice.stripe.test/"+i.ID+"/pdf"
	if c := s.customers[u.Customer]; i.Total < 0 {
		c.Balance += i.Total
	} else {
		c.Balance = min(0, c.Balance+i.Total)
	}
	s.tell("invoice.finalized", *i)
	return i
}

// collect takes the money of an open invoice, and what follows of it for its subscription.
func (s *Stripe) collect(i *invoice) {
	u, c := s.subs[i.subscription], s.customers[i.Customer]
	was := u.Status
	i.Attempted, i.AttemptCount = true, i.AttemptCount+1
	switch {
	case i.AmountDue == 0 || c.card == Good:
		i.Status, i.AmountPaid, i.AmountRemaining, i.Transitions = "paid", i.AmountDue, 0, map[string]int64{"finalized_at": i.Transitions["finalized_at"], "paid_at": s.now()}
		s.tell("invoice.paid", *i)
		if u.Status != "canceled" {
			u.Status = "active"
		}
	case c.card == Slow:
		i.Attempted, i.AttemptCount = false, i.AttemptCount-1
		return
	case i.AttemptCount >= 4:
		s.tell("invoice.payment_failed", *i)
		s.end(u, "payment_failed")
		return
	default:
		i.nextAttempt = s.now() + 2*86400
		s.tell("invoice.payment_failed", *i)
		if u.Status == "active" {
			u.Status = "past_due"
		}
	}
	if u.Status != was {
		s.tell("customer.subscription.updated", *u)
	}
}

func (s *Stripe) end(u *subscription, reason string) {
	u.Status, u.Cancellation = "canceled", map[string]string{"reason": reason}
	if u.Schedule != nil {
		u.Schedule.Status, u.Schedule = "canceled", nil
	}
	s.tell("customer.subscription.deleted", *u)
}

// Advance lets happen what happens by itself until the clock's moment: renewals, retries, cancellations, schedules.
func (s *Stripe) Advance() {
	s.mu.Lock()
	defer s.mu.Unlock()
	until := s.clock().Unix()
	for {
		at, do := s.due(until)
		if do == nil {
			s.at = 0
			return
		}
		s.at = at
		do()
	}
}

// due is what happens first by itself.
func (s *Stripe) due(until int64) (at int64, do func()) {
	consider := func(when int64, what func()) {
		if when <= until && (do == nil || when < at) {
			at, do = when, what
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.subs)) {
		if u := s.subs[id]; u.Status == "active" || u.Status == "past_due" {
			consider(u.plan().End, func() { s.renew(u) })
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.invoices)) {
		if i := s.invoices[id]; i.Status == "open" && i.nextAttempt != 0 && s.subs[i.subscription].Status != "canceled" {
			consider(i.nextAttempt, func() { i.nextAttempt = 0; s.collect(i) })
		}
	}
	return at, do
}

// renew begins the next period of a subscription, or ends it.
func (s *Stripe) renew(u *subscription) {
	if u.CancelAtPeriodEnd {
		s.end(u, "cancellation_requested")
		return
	}
	if w := u.Schedule; w != nil {
		for _, p := range w.Phases {
			if p.Start >= u.plan().End {
				u.plan().Price = p.Items[0].Price
			}
		}
		w.Status, u.Schedule = "released", nil
	}
	for _, i := range u.Items.Data {
		i.Start = i.End
		i.End = i.Price.next(i.Start)
	}
	s.tell("customer.subscription.updated", *u)
	s.collect(s.bill(u, u.planLine()))
}

func (s *Stripe) listSubscriptions(q url.Values, _ string) (any, *failure) {
	var all []*subscription
	for _, id := range slices.Sorted(maps.Keys(s.subs)) {
		if u := s.subs[id]; u.Customer == q.Get("customer") && (q.Get("status") == "all" || u.Status != "canceled") {
			all = append(all, u)
		}
	}
	slices.Reverse(all)
	return list(all), nil
}

func (s *Stripe) getSubscription(_ url.Values, id string) (any, *failure) {
	if u := s.subs[id]; u != nil {
		return u, nil
	}
	return nil, gone("subscription", id)
}

// prorated are the lines of a change of plan at a moment: what is not used of the old price, and what is left of the new one.
func prorated(u *subscription, to *price, at int64) (lines []line, start, end int64) {
	from := u.plan()
	lines = append(lines, line{"Unused time on 1 × " + from.Price.LookupKey, -part(from.Price.UnitAmount, from.End-at, from.End-from.Start), at, from.End, true})
	if to.Recurring.Interval != from.Price.Recurring.Interval {
		return append(lines, line{"1 × " + to.LookupKey, to.UnitAmount, at, to.next(at), false}), at, to.next(at)
	}
	return append(lines, line{"Remaining time on 1 × " + to.LookupKey, part(to.UnitAmount, from.End-at, from.End-from.Start), at, from.End, true}), from.Start, from.End
}

// part is a part of an amount, rounded half away from zero.
func part(amount, of, whole int64) int64 {
	n := new(big.Int).Mul(big.NewInt(2*amount), big.NewInt(of))
	n.Add(n, big.NewInt(whole))
	return n.Div(n, big.NewInt(2*whole)).Int64()
}

func number(q url.Values, name string, otherwise int64) int64 {
	n := otherwise
	if q.Has(name) {
		_, _ = fmt.Sscan(q.Get(name), &n)
	}
	return n
}

func (s *Stripe) updateSubscription(q url.Values, id string) (any, *failure) {
	u := s.subs[id]
	switch {
	case u == nil:
		return nil, gone("subscription", id)
	case u.Status == "canceled":
		return nil, wrong("a canceled subscription can only update its cancellation_details and metadata")
	case u.Schedule != nil:
		return nil, wrong("the subscription is managed by the subscription schedule %s", u.Schedule.ID)
	}
	if q.Has("items[0][price]") {
		if failed := s.replan(u, q); failed != nil {
			return nil, failed
		}
	}
	if q.Has("cancel_at_period_end") {
		u.CancelAtPeriodEnd = q.Get("cancel_at_period_end") == "true"
	}
	s.tell("customer.subscription.updated", *u)
	return u, nil
}

// replan changes the plan at once, if it can be paid.
func (s *Stripe) replan(u *subscription, q url.Values) *failure {
	to, at := s.price(q.Get("items[0][price]")), number(q, "proration_date", s.now())
	switch {
	case to == nil:
		return gone("price", q.Get("items[0][price]"))
	case q.Get("items[0][id]") != u.plan().ID:
		return wrong("%s is not the item of the plan", q.Get("items[0][id]"))
	case at < u.plan().Start || at > u.plan().End:
		return wrong("proration_date has to be within the period")
	}
	lines, start, end := prorated(u, to, at)
	if due := s.draft(u, lines...).AmountDue; due > 0 && s.customers[u.Customer].card != Good && q.Get("payment_behavior") == "error_if_incomplete" {
		return &failure{http.StatusPaymentRequired, "card_error", "card_declined", "Your card was declined."}
	}
	p := u.plan()
	if p.Start != start {
		u.Anchor = start
	}
	p.Price, p.Start, p.End = to, start, end
	s.collect(s.bill(u, lines...))
	return nil
}

func (s *Stripe) cancelSubscription(q url.Values, id string) (any, *failure) {
	u := s.subs[id]
	if u == nil || u.Status == "canceled" {
		return nil, gone("subscription", id)
	}
	if q.Get("prorate") == "true" {
		p := u.plan()
		s.collect(s.bill(u, line{"Unused time on 1 × " + p.Price.LookupKey, -part(p.Price.UnitAmount, p.End-s.now(), p.End-p.Start), s.now(), p.End, true}))
	}
	s.end(u, "cancellation_requested")
	return u, nil
}

func (s *Stripe) previewInvoice(q url.Values, _ string) (any, *failure) {
	u := s.subs[q.Get("subscription")]
	if u == nil || u.Customer != q.Get("customer") {
		return nil, gone("subscription", q.Get("subscription"))
	}
	p, at := u.plan(), number(q, "subscription_details[proration_date]", s.now())
	if q.Get("subscription_details[cancel_now]") == "true" {
		return s.draft(u, line{"Unused time on 1 × " + p.Price.LookupKey, -part(p.Price.UnitAmount, p.End-at, p.End-p.Start), at, p.End, true}), nil
	}
	to := s.price(q.Get("subscription_details[items][0][price]"))
	if to == nil || q.Get("subscription_details[items][0][id]") != p.ID {
		return nil, wrong("no item with a price: %v", q)
	}
	lines, _, _ := prorated(u, to, at)
	return s.draft(u, lines...), nil
}

func (s *Stripe) createSchedule(q url.Values, _ string) (any, *failure) {
	u := s.subs[q.Get("from_subscription")]
	if u == nil || u.Schedule != nil || u.CancelAtPeriodEnd {
		return nil, wrong("no schedule can be made of %s", q.Get("from_subscription"))
	}
	w := &schedule{ID: s.id("sub_sched"), Object: "subscription_schedule", Status: "active", Subscription: u.ID,
		Phases: []*phase{{u.plan().Start, u.plan().End, []*phaseItem{{u.plan().Price}}}}}
	u.Schedule, s.schedules[w.ID] = w, w
	s.tell("customer.subscription.updated", *u)
	return w, nil
}

func (s *Stripe) updateSchedule(q url.Values, id string) (any, *failure) {
	w := s.schedules[id]
	if w == nil || w.Status != "active" {
		return nil, gone("subscription_schedule", id)
	}
	w.Phases = nil
	for n := 0; q.Has(fmt.Sprintf("phases[%d][items][0][price]", n)); n++ {
		at := func(field string) string { return fmt.Sprintf("phases[%d][%s]", n, field) }
		p := &phase{Start: number(q, at("start_date"), 0), End: number(q, at("end_date"), 0)}
		for m := 0; q.Has(at("items") + fmt.Sprintf("[%d][price]", m)); m++ {
			p.Items = append(p.Items, &phaseItem{s.price(q.Get(at("items") + fmt.Sprintf("[%d][price]", m)))})
		}
		if p.Items[0].Price == nil {
			return nil, wrong("a phase has no price")
		}
		if p.End == 0 {
			p.End = p.Items[0].Price.next(p.Start)
		}
		w.Phases = append(w.Phases, p)
	}
	s.tell("subscription_schedule.updated", map[string]any{"id": w.ID, "object": w.Object, "customer": s.subs[w.Subscription].Customer})
	return w, nil
}

func (s *Stripe) releaseSchedule(_ url.Values, id string) (any, *failure) {
	w := s.schedules[id]
	if w == nil || w.Status != "active" {
		return nil, gone("subscription_schedule", id)
	}
	u := s.subs[w.Subscription]
	w.Status, u.Schedule = "released", nil
	s.tell("customer.subscription.updated", *u)
	return w, nil
}

func (s *Stripe) listInvoices(q url.Values, _ string) (any, *failure) {
	var all []*invoice
	for _, i := range s.invoices {
		if i.Customer == q.Get("customer") {
			all = append(all, i)
		}
	}
	slices.SortFunc(all, func(a, b *invoice) int {
		if a.Created != b.Created {
			return int(b.Created - a.Created)
		}
		return strings.Compare(b.Number, a.Number)
	})
	return list(all), nil
}

// Forged is an event that says whatever it likes of a customer.
func Forged(id, kind, customer string, live bool) []byte {
	raw, err := json.Marshal(map[string]any{"id": id, "object": "event", "type": kind, "livemode": live, "data": map[string]any{"object": map[string]any{
		"object": "subscription", "id": "sub_forged", "customer": customer, "status": "active", "metadata": map[string]string{"guildhall_plan": "business"}}}})
	if err != nil {
		panic(err)
	}
	return raw
}
