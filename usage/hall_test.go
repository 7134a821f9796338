package usage_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/period"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

// office is an organization, acme, whose usage a test counts.
type office struct {
	*testroom.Room
	acme    string
	ada     testroom.Person // its owner
	product context.Context // the product's back end
}

// model is a charter with a meter of every kind.
const model = `
product: Model
key_prefix: gld
roles:
  auditor: {title: Auditor, grants: [usage.view, organization.view]}
  viewer: {title: Viewer, grants: [usage.view, members.view, organization.view]}
  owner: {title: Owner, grants: all}
rules:
  owners: many
  ownership: {transfer_to: viewer, previous_owner_becomes: viewer}
currency: USD
meters:
  runs: {title: Runs, unit: runs, kind: counter, dimensions: [member, key, resource, region, model], price: 100, per: 1000}
  tokens: {title: Tokens, unit: tokens, kind: sum, dimensions: [member, model], price: 1}
  disk: {title: Disk, unit: bytes, kind: gauge, dimensions: [region]}
  callers: {title: Callers, unit: callers, kind: unique}
  peak: {title: Peak, unit: requests, kind: maximum}
plans:
  free:
    title: Free
    limits: {runs: 10000, tokens: {included: 100, soft: 500, hard: 1000}, disk: 5000}
  pro:
    title: Pro
    limits: {runs: {included: 50000}}
`

// inOffices runs a test on both databases.
func inOffices(t *testing.T, test func(t *testing.T, o *office)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) { test(t, openOffice(t, db)) })
}

func openOffice(t testing.TB, db *sqldb.DB) *office {
	t.Helper()
	c, err := charter.Parse("model.yaml", []byte(model))
	if err != nil {
		t.Fatal(err)
	}
	o := &office{Room: testroom.New(t, db, c)}
	o.Serve(op.Config{Operations: slices.Concat(usage.Operations(), []op.Any{directory.ProvisionOrganization, directory.GetMe, credential.CreateServiceKey})})
	o.acme, o.ada = o.Found("acme", "ada@acme.test")
	key, err := credential.CreateServiceKey.Call(o.Operator(), o.Service, credential.CreateServiceKeyInput{Name: "back end"})
	o.Must(err)
	o.product = o.As(key.Secret)
	return o
}

func (o *office) in() op.InOrganization { return op.InOrganization{Organization: o.acme} }

// records records events and gives the answer.
func (o *office) records(events ...usage.Event) usage.Recorded {
	o.T.Helper()
	out, err := usage.Record.Call(o.product, o.Service, usage.RecordInput{InOrganization: o.in(), Events: events})
	o.Must(err)
	return out
}

// quota is the quota of a meter.
func (o *office) quota(meter string) usage.Quota {
	o.T.Helper()
	out, err := usage.GetQuotas.Call(o.product, o.Service, usage.GetQuotasInput{InOrganization: o.in(), Meter: meter})
	o.Must(err)
	return out.Quotas[0]
}

func (o *office) summary() map[string]usage.MeterSummary {
	o.T.Helper()
	out, err := usage.GetSummary.Call(o.product, o.Service, usage.GetSummaryInput{InOrganization: o.in()})
	o.Must(err)
	by := map[string]usage.MeterSummary{}
	for _, m := range out.Meters {
		by[m.Meter] = m
	}
	return by
}

// bill is what usage.Bill says of the month in which a moment is.
func (o *office) bill(at time.Time) map[string]usage.Line {
	o.T.Helper()
	by := map[string]usage.Line{}
	o.Must(o.Service.Snapshot(o.T.Context(), func(r *op.Reader) error {
		lines, err := usage.Bill(o.T.Context(), r, o.acme, period.Month(testroom.Monday.UnixMicro(), at.UnixMicro()))
		for _, l := range lines {
			by[l.Meter.ID] = l
		}
		return err
	}))
	return by
}

func (o *office) folds() {
	o.T.Helper()
	o.Must(usage.Fold(o.T.Context(), o.DB, o.Now()))
}

// sound fails the test if the tables do not agree with their events.
func (o *office) sound() {
	o.T.Helper()
	o.Must(o.Service.Snapshot(o.T.Context(), func(r *op.Reader) error {
		broken, err := usage.Broken(o.T.Context(), r)
		for _, b := range broken {
			o.T.Error(b)
		}
		return err
	}))
}

func verdicts(r usage.Recorded) []string {
	var all []string
	for _, v := range r.Results {
		text := v.Status
		if v.Code != "" {
			text += " " + v.Code
		}
		all = append(all, text)
	}
	return all
}

func want[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantAll(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func many(meter string, n int) []usage.Event {
	all := make([]usage.Event, n)
	for i := range all {
		all[i] = usage.Event{Meter: meter, Value: 1, ID: fmt.Sprintf("%s_%d", meter, i)}
	}
	return all
}

func contains(text, piece string) bool { return strings.Contains(text, piece) }

// replaced puts the organization's id where a body says ACME.
func replaced(body, organization string) string {
	return strings.ReplaceAll(body, "ACME", organization)
}
