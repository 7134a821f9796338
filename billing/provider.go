package billing

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/internal/period"
	"github.com/guildhall/guildhall/op"
)

// Builtin is the name of the provider that takes no money itself: invoices are made here, and whoever runs the
// installation says when one was paid.
const Builtin = "builtin"

// Provider takes the money for subscriptions that it keeps. Its methods are called outside of any transaction, after the
// caller was authorized, and are safe for concurrent use. What comes of them is read back from it as a ProviderState,
// and is never what a browser says on its way back.
type Provider interface {
	Pages
	Books
}

// Pages are what a person does on a provider's own pages.
type Pages interface {
	// Checkout begins a subscription: it says where a person pays for it.
	Checkout(ctx context.Context, o Order) (Checkout, error)
	// Portal gives the address of the provider's own pages for means of payment and invoices.
	Portal(ctx context.Context, c Customer) (address string, err error)
}

// Books are what a provider keeps of a customer.
type Books interface {
	// State reads how it stands with a customer now. A customer who is another organization's is op.ErrNotFound.
	State(ctx context.Context, c Customer) (ProviderState, error)
	// Preview says what the provider would charge for a change of a subscription that it keeps. It changes nothing.
	Preview(ctx context.Context, o Order) (ProviderPreview, error)
	// Change changes, cancels or resumes a subscription that it keeps, and gives its state afterwards.
	Change(ctx context.Context, o Order) (ProviderState, error)
	// Run does an errand. It may be called again for the same one, which counts once.
	Run(ctx context.Context, e Errand) error
}

// Customer is an organization as a provider knows it. Customer and Object are empty where it does not yet.
type Customer struct {
	Organization string  `json:"organization"` // our id
	Name         string  `json:"name"`
	Account      Account `json:"account"`
	Customer     string  `json:"customer"`           // the provider's id of the customer
	Object       string  `json:"object"`             // and of the subscription that gives a plan
	ReturnTo     string  `json:"return_to,omitzero"` // the address that the browser comes back to
}

// Checkout is where a person pays, and whom for.
type Checkout struct {
	Address  string
	Customer string // the provider's id of the customer
}

// Order is what a customer wants of a provider.
type Order struct {
	Customer
	Plan     string
	Interval Interval
	Currency string
	Amount   int64     // what one interval costs, in minor units
	When     When      // AtPeriodEnd: the change waits
	At       time.Time // of a change now: the moment that it is reckoned from
	Cancel   bool      // the subscription ends: with its period, or Now
	Resume   bool      // what waits for the end of the period is taken back
	Key      string    // the same for the same order: what is asked again is done once
}

// ErrandKind is the kind of the outbox's jobs that a provider is told by; the payload is an Errand.
const ErrandKind = "billing_errand"

// Errand is what a provider is told after the transaction in which it came about.
type Errand struct {
	Customer
	Month period.Period `json:"month"`           // with Lines: the span in which they were used
	Lines []InvoiceLine `json:"lines,omitempty"` // what was used beyond what is included, to be charged
	Payer bool          `json:"payer,omitzero"`  // who pays has changed
	End   bool          `json:"end,omitzero"`    // the organization is gone: its subscription ends at once
	Key   string        `json:"key"`
}

// ProviderState is how it stands with a customer, as a provider keeps it.
type ProviderState struct {
	Customer    string // the provider's id
	Object      string // of the subscription; empty: there is none, or nothing of it was ever paid
	Plan        string // that is paid
	Interval    Interval
	State       State // Active and PastDue give the plan; the others give the first one
	PeriodStart time.Time
	PeriodEnd   time.Time
	Anchor      time.Time         // whose day of the month all periods begin on; the zero value: PeriodStart
	CancelAtEnd bool              // it ends with its period
	Next        NextPlan          // what follows the period, if that is another plan
	PastDue     time.Time         // since when it is overdue; the zero value: since the period began
	Invoices    []ProviderInvoice // the latest ones that were issued, in any order
}

// NextPlan is what a subscription becomes at the end of its period. Without a plan it stays as it is.
type NextPlan struct {
	Plan     string
	Interval Interval
}

// ProviderPreview is what a provider would charge for a change.
type ProviderPreview struct {
	Lines []InvoiceLine // today's; they add up to Due
	Due   int64
	Next  Estimate // the invoice after that
}

// builtin is the provider of an installation that takes no money itself: everything is done here, in Do.
type builtin struct{}

func (builtin) Checkout(context.Context, Order) (Checkout, error) { return Checkout{}, nil }

func (builtin) Portal(context.Context, Customer) (string, error) {
	return "", op.Errorf(op.Conflict, "no_portal", "invoices are paid here as they say: there is no payment provider with pages of its own")
}

func (builtin) State(context.Context, Customer) (ProviderState, error) { return ProviderState{}, nil }

func (builtin) Preview(context.Context, Order) (ProviderPreview, error) {
	return ProviderPreview{}, nil
}

func (builtin) Change(context.Context, Order) (ProviderState, error) { return ProviderState{}, nil }

func (builtin) Run(context.Context, Errand) error { return nil }

// Desk is what reaches beyond this process: the provider, and a look at the data.
type Desk struct {
	Name     string   // of the provider: see Builtin
	Provider Provider // nil: the built-in one
	// Read runs a function on a snapshot of the data.
	Read func(ctx context.Context, look func(*op.Reader) error) error
}

// Run tells the provider what a job of kind ErrandKind holds.
func (d Desk) Run(ctx context.Context, payload []byte) error {
	var e Errand
	if err := json.Unmarshal(payload, &e); err != nil {
		return err
	}
	return deskOf(At(ctx, d)).Provider.Run(ctx, e)
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
		c := s.customerOf()
		c.ReturnTo = r.Settings.URL("/o/" + s.organization + "/settings/billing")
		return use(s, r, c)
	})
}

// customerOf is the organization as its provider knows it. What has ended is not kept by the provider any more.
func (s record) customerOf() Customer {
	c := Customer{Organization: s.organization, Name: s.name, Account: s.account, Customer: s.customer}
	if s.provider != Builtin && s.state != Cancelled && s.state != Ended {
		c.Object = s.object
	}
	return c
}

// answer is what a provider said to an order. The zero value is that of the built-in one: it is done here.
type answer struct {
	provider string
	checkout Checkout       // where the person goes on
	state    *ProviderState // what is so now
	seen     int64          // the version of the subscription at which it was asked
}

// fillOrder writes what is wanted into an order. What would be refused later is refused there.
type fillOrder func(context.Context, record, *op.Reader, *Order) error

// order asks the provider for a change. Whoever has no subscription with it yet begins one, if it costs anything.
func (d Desk) order(ctx context.Context, organization string, most *int64, fill fillOrder) (answer, error) {
	if d.Name == Builtin {
		return answer{}, nil
	}
	o, seen, err := d.written(ctx, organization, fill)
	if err != nil || o.here() {
		return answer{}, err
	}
	a := answer{provider: d.Name, seen: seen}
	if err := d.agreed(ctx, o, most); err != nil {
		return a, err
	}
	if o.Object == "" {
		a.checkout, err = d.Provider.Checkout(ctx, o)
		return a, err
	}
	state, err := d.Provider.Change(ctx, o)
	a.state = &state
	return a, err
}

func (d Desk) written(ctx context.Context, organization string, fill fillOrder) (o Order, seen int64, err error) {
	err = d.look(ctx, organization, func(s record, r *op.Reader, c Customer) error {
		seen = s.version
		o = Order{Customer: c, Currency: r.Charter.Currency, At: r.Now.Truncate(time.Second), Key: s.organization + ":" + strconv.FormatInt(s.version, 10)}
		return fill(ctx, s, r, &o)
	})
	return o, seen, err
}

// here reports whether an order is none of the provider's: it keeps no subscription, and nothing is to be paid now.
func (o Order) here() bool {
	return o.Object == "" && (o.Cancel || o.Resume || o.Amount == 0 || o.When == AtPeriodEnd)
}

// agreed refuses what costs more today than the person agreed to.
func (d Desk) agreed(ctx context.Context, o Order, most *int64) error {
	if most == nil || o.When == AtPeriodEnd || o.Cancel || o.Resume {
		return nil
	}
	due := o.Amount
	if o.Object != "" {
		p, err := d.Provider.Preview(ctx, o)
		if err != nil {
			return err
		}
		due = p.Due
	}
	return within(due, most, o.Currency)
}

// OrganizationOf finds whose customer a provider's customer is; without one it returns op.ErrNotFound.
func OrganizationOf(ctx context.Context, r *op.Reader, customer string) (organization string, err error) {
	if customer == "" {
		return "", op.ErrNotFound
	}
	err = r.QueryRow(ctx, "SELECT organization FROM subscriptions WHERE customer = $1", customer).Scan(&organization)
	if errors.Is(err, sql.ErrNoRows) {
		err = op.ErrNotFound
	}
	return organization, err
}
