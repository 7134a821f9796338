// Package teststripe is Stripe for tests: an HTTP server on this machine that keeps customers, Checkout pages,
// subscriptions with items and schedules, invoices and meter events, prorates by the second, takes money or is refused
// it, tries again, and makes signed events of all of it. It knows what Guildhall asks of Stripe, and refuses the rest.
package teststripe

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Key is the API key that the server takes.
const Key = "sk_test_fake"

// Card is what a customer pays with.
type Card string

// What becomes of a payment.
const (
	Good     Card = ""         // the money is there at once
	Declined Card = "declined" // it is refused
	Slow     Card = "slow"     // nobody knows until Settle says so
)

// Stripe is the server.
type Stripe struct {
	URL string

	t         testing.TB
	mu        sync.Mutex
	clock     func() time.Time
	at        int64 // of what happens by itself; 0: the clock's
	n         int
	prices    []*price
	customers map[string]*customer
	sessions  map[string]*session
	subs      map[string]*subscription
	schedules map[string]*schedule
	invoices  map[string]*invoice
	meters    map[string]MeterEvent
	repeats   map[string]repeat
	events    []Event
	asked     []string
	broken    int // how many requests fail from now on
}

// Event is an event as it is sent to a webhook.
type Event struct {
	ID, Type string
	Body     []byte
}

// MeterEvent is what was told of a meter.
type MeterEvent struct {
	Name, Customer, Value string
	At                    int64
}

type repeat struct {
	form, body string
	status     int
}

// New starts a server whose clock is a test's.
func New(t testing.TB, clock func() time.Time) *Stripe {
	s := &Stripe{t: t, clock: clock, customers: map[string]*customer{}, sessions: map[string]*session{}, subs: map[string]*subscription{},
		schedules: map[string]*schedule{}, invoices: map[string]*invoice{}, meters: map[string]MeterEvent{}, repeats: map[string]repeat{}}
	mux := http.NewServeMux()
	for pattern, do := range map[string]func(*Stripe, url.Values, string) (any, *failure){
		"POST /v1/customers": (*Stripe).createCustomer, "GET /v1/customers/{id}": (*Stripe).getCustomer, "POST /v1/customers/{id}": (*Stripe).updateCustomer,
		"GET /v1/prices": (*Stripe).listPrices, "POST /v1/checkout/sessions": (*Stripe).createSession, "GET /v1/checkout/sessions": (*Stripe).listSessions,
		"POST /v1/checkout/sessions/{id}/expire": (*Stripe).expireSession, "GET /v1/subscriptions": (*Stripe).listSubscriptions,
		"GET /v1/subscriptions/{id}": (*Stripe).getSubscription, "POST /v1/subscriptions/{id}": (*Stripe).updateSubscription,
		"DELETE /v1/subscriptions/{id}": (*Stripe).cancelSubscription, "POST /v1/subscription_schedules": (*Stripe).createSchedule,
		"POST /v1/subscription_schedules/{id}": (*Stripe).updateSchedule, "POST /v1/subscription_schedules/{id}/release": (*Stripe).releaseSchedule,
		"GET /v1/invoices": (*Stripe).listInvoices, "POST /v1/invoices/create_preview": (*Stripe).previewInvoice,
		"POST /v1/billing/meter_events": (*Stripe).createMeterEvent, "POST /v1/billing_portal/sessions": (*Stripe).createPortal,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, do) })
	}
	served := httptest.NewServer(mux)
	t.Cleanup(served.Close)
	s.URL = served.URL
	return s
}

// failure is an error as Stripe says it.
type failure struct {
	Status  int    `json:"-"`
	Type    string `json:"type"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
}

func wrong(format string, args ...any) *failure {
	return &failure{http.StatusBadRequest, "invalid_request_error", "", fmt.Sprintf(format, args...)}
}

func gone(what, id string) *failure {
	return &failure{http.StatusNotFound, "invalid_request_error", "resource_missing", "No such " + what + ": '" + id + "'"}
}

// serve answers one request. A repeat with the same key gets the same answer; with other parameters it is refused.
func (s *Stripe) serve(w http.ResponseWriter, r *http.Request, do func(*Stripe, url.Values, string) (any, *failure)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := r.ParseForm(); err != nil || r.Header.Get("Authorization") != "Bearer "+Key {
		write(w, http.StatusUnauthorized, map[string]any{"error": failure{Type: "invalid_request_error", Message: "Invalid API Key provided"}})
		return
	}
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	if s.broken > 0 {
		s.broken--
		write(w, http.StatusInternalServerError, map[string]any{"error": failure{Type: "api_error", Message: "An unknown error occurred"}})
		return
	}
	key := r.Header.Get("Idempotency-Key")
	if was, ok := s.repeats[key]; ok && key != "" {
		if was.form != r.URL.Path+"?"+r.Form.Encode() {
			write(w, http.StatusBadRequest, map[string]any{"error": failure{Type: "idempotency_error", Message: "Keys for idempotent requests can only be used with the same parameters"}})
			return
		}
		w.WriteHeader(was.status)
		fmt.Fprint(w, was.body)
		return
	}
	out, failed := do(s, r.Form, r.PathValue("id"))
	status := http.StatusOK
	if failed != nil {
		status, out = failed.Status, map[string]any{"error": failed}
	}
	body := write(w, status, out)
	if key != "" && r.Method == http.MethodPost {
		s.repeats[key] = repeat{r.URL.Path + "?" + r.Form.Encode(), body, status}
	}
}

func write(w http.ResponseWriter, status int, out any) string {
	raw, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(raw)
	return string(raw)
}

func (s *Stripe) now() int64 {
	if s.at != 0 {
		return s.at
	}
	return s.clock().Unix()
}

func (s *Stripe) id(prefix string) string {
	s.n++
	return fmt.Sprintf("%s_%d", prefix, s.n)
}

// list is a page that has all of it, the latest first.
func list[T any](all []T) map[string]any {
	if all == nil {
		all = []T{}
	}
	return map[string]any{"object": "list", "data": all, "has_more": false}
}

// tell makes an event of an object as it is now.
func (s *Stripe) tell(kind string, object any) {
	e := Event{ID: s.id("evt"), Type: kind}
	raw, err := json.Marshal(map[string]any{"id": e.ID, "object": "event", "type": kind, "created": s.now(), "livemode": false,
		"api_version": "2025-08-27.basil", "data": map[string]any{"object": object}})
	if err != nil {
		panic(err)
	}
	e.Body = raw
	s.events = append(s.events, e)
}

// Events takes the events since it was last asked.
func (s *Stripe) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.events
	s.events = nil
	return all
}

// Asked are the requests since it was last asked: "POST /v1/customers".
func (s *Stripe) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.asked
	s.asked = nil
	return all
}

// Break lets so many requests fail.
func (s *Stripe) Break(requests int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = requests
}

// MeterEvents are all that was told of meters, by their identifiers.
func (s *Stripe) MeterEvents() map[string]MeterEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.meters)
}

// Sign is the header Stripe-Signature of a body at a moment, with any number of secrets.
func Sign(body []byte, at time.Time, secrets ...string) string {
	header := fmt.Sprintf("t=%d", at.Unix())
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
		header += ",v1=" + hex.EncodeToString(mac.Sum(nil))
	}
	return header
}

type price struct {
	ID         string            `json:"id"`
	Object     string            `json:"object"`
	Active     bool              `json:"active"`
	Currency   string            `json:"currency"`
	LookupKey  string            `json:"lookup_key"`
	UnitAmount int64             `json:"unit_amount"`
	Metadata   map[string]string `json:"metadata"`
	Recurring  recurring         `json:"recurring"`
}

type recurring struct {
	Interval      string `json:"interval"`
	IntervalCount int64  `json:"interval_count"`
	UsageType     string `json:"usage_type"`
}

// Sells adds a price.
func (s *Stripe) Sells(lookupKey, interval string, amount int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := "licensed"
	if strings.HasPrefix(lookupKey, "guildhall_meter_") {
		kind = "metered"
	}
	for _, p := range s.prices {
		if p.LookupKey == lookupKey {
			p.LookupKey = "" // it goes on to the newer one
		}
	}
	s.prices = append(s.prices, &price{s.id("price"), "price", true, "usd", lookupKey, amount, map[string]string{}, recurring{interval, 1, kind}})
}

func (s *Stripe) price(id string) *price {
	for _, p := range s.prices {
		if p.ID == id {
			return p
		}
	}
	return nil
}

func (s *Stripe) listPrices(q url.Values, _ string) (any, *failure) {
	var found []*price
	for _, p := range s.prices {
		for n := 0; q.Has(fmt.Sprintf("lookup_keys[%d]", n)); n++ {
			if p.LookupKey != "" && p.LookupKey == q.Get(fmt.Sprintf("lookup_keys[%d]", n)) {
				found = append(found, p)
			}
		}
	}
	return list(found), nil
}

type customer struct {
	ID       string            `json:"id"`
	Object   string            `json:"object"`
	Name     string            `json:"name"`
	Email    string            `json:"email"`
	Metadata map[string]string `json:"metadata"`
	Balance  int64             `json:"balance"`

	card Card
}

func metadata(q url.Values, prefix string) map[string]string {
	all := map[string]string{}
	for name := range q {
		if rest, ok := strings.CutPrefix(name, prefix+"["); ok {
			all[strings.TrimSuffix(rest, "]")] = q.Get(name)
		}
	}
	return all
}

func (s *Stripe) createCustomer(q url.Values, _ string) (any, *failure) {
	c := &customer{ID: s.id("cus"), Object: "customer", Name: q.Get("name"), Email: q.Get("email"), Metadata: metadata(q, "metadata")}
	s.customers[c.ID] = c
	return c, nil
}

func (s *Stripe) getCustomer(_ url.Values, id string) (any, *failure) {
	if c := s.customers[id]; c != nil {
		return c, nil
	}
	return nil, gone("customer", id)
}

func (s *Stripe) updateCustomer(q url.Values, id string) (any, *failure) {
	c := s.customers[id]
	if c == nil {
		return nil, gone("customer", id)
	}
	c.Name, c.Email = q.Get("name"), q.Get("email")
	return c, nil
}

// Customer is the one customer that names an organization; its name and e-mail address too.
func (s *Stripe) Customer(organization string) (id, name, email string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.customers {
		if c.Metadata["guildhall_organization"] == organization {
			return c.ID, c.Name, c.Email
		}
	}
	return "", "", ""
}

// Pays gives a customer another card.
func (s *Stripe) Pays(id string, with Card) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.customers[id].card = with
}

func (s *Stripe) createMeterEvent(q url.Values, _ string) (any, *failure) {
	e := MeterEvent{q.Get("event_name"), q.Get("payload[stripe_customer_id]"), q.Get("payload[value]"), 0}
	_, _ = fmt.Sscan(q.Get("timestamp"), &e.At)
	switch {
	case s.customers[e.Customer] == nil:
		return nil, gone("customer", e.Customer)
	case e.At > s.now()+300 || e.At < s.now()-35*86400:
		return nil, wrong("timestamp %d is not within the last 35 days", e.At)
	}
	key := q.Get("identifier")
	if _, twice := s.meters[key]; twice {
		return nil, wrong("An event already exists with identifier %s", key)
	}
	s.meters[key] = e
	return map[string]any{"object": "billing.meter_event", "event_name": e.Name, "identifier": key, "timestamp": e.At, "livemode": false}, nil
}

func (s *Stripe) createPortal(q url.Values, _ string) (any, *failure) {
	if s.customers[q.Get("customer")] == nil {
		return nil, gone("customer", q.Get("customer"))
	}
	id := s.id("bps")
	return map[string]any{"id": id, "object": "billing_portal.session", "url": "https://billing.stripe.test/" + id, "return_url": q.Get("return_url")}, nil
}

type session struct {
	ID            string            `json:"id"`
	Object        string            `json:"object"`
	Customer      string            `json:"customer"`
	Mode          string            `json:"mode"`
	Status        string            `json:"status"`
	PaymentStatus string            `json:"payment_status"`
	Metadata      map[string]string `json:"metadata"`
	Subscription  string            `json:"subscription,omitempty"`
	URL           string            `json:"url"`

	items []string
	named map[string]string // the subscription's metadata
}

func (s *Stripe) createSession(q url.Values, _ string) (any, *failure) {
	id := s.id("cs_test")
	c := &session{ID: id, Object: "checkout.session", Customer: q.Get("customer"), Mode: q.Get("mode"), Status: "open", PaymentStatus: "unpaid",
		Metadata: metadata(q, "metadata"), URL: "https://checkout.stripe.test/" + id, named: metadata(q, "subscription_data[metadata]")}
	if s.customers[c.Customer] == nil {
		return nil, gone("customer", c.Customer)
	}
	for n := 0; q.Has(fmt.Sprintf("line_items[%d][price]", n)); n++ {
		p := s.price(q.Get(fmt.Sprintf("line_items[%d][price]", n)))
		if p == nil {
			return nil, gone("price", q.Get(fmt.Sprintf("line_items[%d][price]", n)))
		}
		if metered := p.Recurring.UsageType == "metered"; metered == q.Has(fmt.Sprintf("line_items[%d][quantity]", n)) {
			return nil, wrong("a metered price has no quantity, and any other has one: %s", p.LookupKey)
		}
		c.items = append(c.items, p.ID)
	}
	s.sessions[id] = c
	return c, nil
}

func (s *Stripe) listSessions(q url.Values, _ string) (any, *failure) {
	var all []*session
	for _, id := range slices.Sorted(maps.Keys(s.sessions)) {
		if c := s.sessions[id]; c.Customer == q.Get("customer") && c.Status == q.Get("status") {
			all = append(all, c)
		}
	}
	return list(all), nil
}

func (s *Stripe) expireSession(_ url.Values, id string) (any, *failure) {
	c := s.sessions[id]
	if c == nil || c.Status != "open" {
		return nil, wrong("the session %s is not open", id)
	}
	c.Status = "expired"
	s.tell("checkout.session.expired", *c)
	return c, nil
}
