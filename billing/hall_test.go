package billing_test

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

// house is Acme, made on Monday 2 November 2026 at nine. Its plans: free has 3 seats, pro and business have any number.
type house struct {
	*testroom.Room
	acme   string
	owner  testroom.Person
	editor testroom.Person
	svc    string // a service key
}

// seated is the automation charter with three seats on its first plan.
func seated(t testing.TB) *charter.Charter {
	t.Helper()
	return testroom.With(t, "automation", "    description: To build the first workflows.\n", "    description: To build the first workflows.\n    seats: 3\n")
}

// inHouses runs a scenario on both databases, and asks the doctor at the end.
func inHouses(t *testing.T, run func(t *testing.T, h *house)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := openHouse(t, db, seated(t), op.Config{})
		run(t, h)
		h.sound()
	})
}

func openHouse(t testing.TB, db *sqldb.DB, c *charter.Charter, config op.Config) *house {
	t.Helper()
	h := &house{Room: testroom.New(t, db, c)}
	config.Operations = slices.Concat(billing.Operations(), directory.Operations(), credential.Operations(), usage.Operations())
	config.Fence, config.Settings.BaseURL, config.Settings.SessionIdle, config.Settings.SessionLife = h.Fence, "https://hall.test", -1, 10*365*24*time.Hour
	h.Most = 15 // what was used is looked up for an invoice: five
	h.Serve(config)
	h.acme, h.owner = h.Found("acme", "ada@acme.test")
	h.editor = h.Join(h.acme, "eve@acme.test", "editor")
	key, err := credential.CreateServiceKey.Call(h.Operator(), h.Service, credential.CreateServiceKeyInput{Name: "back end"})
	h.Must(err)
	h.svc = key.Secret
	h.Fenced()
	return h
}

// sound asks every invariant of this room, the directory and the log.
func (h *house) sound() {
	h.T.Helper()
	h.Must(h.Service.Snapshot(h.T.Context(), func(r *op.Reader) error {
		for _, find := range []func(context.Context, *op.Reader) ([]string, error){directory.Broken, audit.Broken, billing.Broken, usage.Broken} {
			broken, err := find(h.T.Context(), r)
			if err != nil {
				return err
			}
			for _, rule := range broken {
				h.T.Errorf("broken: %s", rule)
			}
		}
		return nil
	}))
}

func (h *house) in() op.InOrganization { return op.InOrganization{Organization: h.acme} }

func (h *house) by(p testroom.Person) context.Context { return h.As(p.Token) }

// wants is a change as the owner asks for it.
func (h *house) wants(plan string, more ...func(*billing.ChangeInput)) (billing.ChangedSubscription, error) {
	in := billing.ChangeInput{WantedPlan: billing.WantedPlan{InOrganization: h.in(), Plan: plan}}
	for _, set := range more {
		set(&in)
	}
	return billing.ChangeSubscription.Call(h.by(h.owner), h.Service, in)
}

func yearlyPlease(in *billing.ChangeInput)  { in.Interval = billing.Yearly }
func monthlyPlease(in *billing.ChangeInput) { in.Interval = billing.Monthly }
func atOnce(in *billing.ChangeInput)        { in.At = billing.Now }

// changes is wants that has to go well.
func (h *house) changes(plan string, more ...func(*billing.ChangeInput)) billing.ChangedSubscription {
	h.T.Helper()
	done, err := h.wants(plan, more...)
	h.Must(err)
	return done
}

func (h *house) previews(plan string, interval billing.Interval, at billing.When) billing.ChangePreview {
	h.T.Helper()
	p, err := billing.PreviewChange.Call(h.by(h.owner), h.Service, billing.WantedPlan{InOrganization: h.in(), Plan: plan, Interval: interval, At: at})
	h.Must(err)
	return p
}

func (h *house) subscription() billing.Subscription {
	h.T.Helper()
	s, err := billing.GetSubscription.Call(h.by(h.owner), h.Service, billing.GetSubscriptionInput{InOrganization: h.in()})
	h.Must(err)
	return s
}

func (h *house) invoices() []billing.Invoice {
	h.T.Helper()
	list, err := billing.ListInvoices.Call(h.by(h.owner), h.Service, billing.ListInvoicesInput{InOrganization: h.in()})
	h.Must(err)
	return list.Data
}

// plan is what the directory has, and so what checks answer by.
func (h *house) plan() string {
	h.T.Helper()
	o, err := directory.GetOrganization.Call(h.by(h.owner), h.Service, directory.GetOrganizationInput{InOrganization: h.in()})
	h.Must(err)
	return o.Plan
}

// day moves the clock to a day of November 2026, or of the months after it, at nine.
func (h *house) day(n int) {
	h.MoveTo(time.Date(2026, 11, n, 9, 0, 0, 0, time.UTC))
}

// amounts are the lines of an invoice: their kind and amount.
func amounts(lines []billing.InvoiceLine) (all []int64) {
	for _, l := range lines {
		all = append(all, l.Amount)
	}
	return all
}

// uses records that so much of a meter was used now.
func (h *house) uses(meter string, n int64) {
	h.T.Helper()
	done, err := usage.Record.Call(h.As(h.svc), h.Service, usage.RecordInput{InOrganization: h.in(), Event: usage.Event{Meter: meter, Value: n}})
	h.Must(err)
	if done.Recorded != 1 {
		h.T.Fatalf("%d of %s: %+v", n, meter, done.Results)
	}
}

// errands are what the provider is to be told, the oldest first.
func (h *house) errands() (all []billing.Errand) {
	h.T.Helper()
	for _, payload := range h.Sent(billing.ErrandKind) {
		var e billing.Errand
		h.Must(json.Unmarshal(payload, &e))
		all = append(all, e)
	}
	return all
}

// prints asks for an invoice on paper.
func (h *house) prints(id string) error {
	return h.Service.Stream(h.T.Context(), billing.PrintInvoice, op.Request{Caller: op.Caller{Credential: h.owner.Token}, Input: h.invoice(id)},
		func(op.Info) io.Writer { return io.Discard })
}
