package guildhall_test

import (
	"cmp"
	"context"
	"fmt"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

// pages are a payment provider's that does nothing but to have some.
type pages struct{ billing.Provider }

func (pages) Portal(context.Context, billing.Customer) (string, error) {
	return "https://pages.test/portal", nil
}

// sold makes what an operation of plans, invoices and limits is about, and brings the organization into the state that it
// waits for. Fields that it does not know are none of its.
func (w *world) sold(info op.Info, name string, in *guildhalltest.Organization) string {
	c := w.Charter()
	switch {
	case name == "organization" && (info.Feature != "" || info.Noun() == "domains" || info.Noun() == "directories"):
		w.unlocked(in, cmp.Or(info.Feature, "sso"))
		if info.Name == federation.JoinDomain.Name {
			w.openDomain(in, "nowhere.test")
		}
	case name == "invoice":
		return w.billed(in)
	case name == "plan" && info.Noun() == "subscription":
		return c.Plans[1].ID
	case name == "meter" && info.Name == usage.DeleteLimit.Name:
		_, err := usage.SetLimit.Call(in.Owner().Ctx(), w.Service(), usage.SetLimitInput{InOrganization: in.In(), Subject: in.Owner().Member, Meter: w.meter(), Limit: 1e9})
		w.must("a limit", err)
	case name == "organization" && (info.Name == billing.CancelSubscription.Name || info.Name == billing.ResumeSubscription.Name):
		w.subscribed(in, info.Name == billing.ResumeSubscription.Name)
	}
	return ""
}

func (w *world) must(what string, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

// subscribed gives an organization a plan that costs something, cancelled or not.
func (w *world) subscribed(in *guildhalltest.Organization, cancelled bool) {
	w.t.Helper()
	ctx := in.Owner().Ctx()
	s, err := billing.GetSubscription.Call(ctx, w.Service(), billing.GetSubscriptionInput{InOrganization: in.In()})
	w.must("the subscription", err)
	if s.Plan == w.Charter().Plans[0].ID {
		_, err = billing.ChangeSubscription.Call(ctx, w.Service(), billing.ChangeInput{WantedPlan: billing.WantedPlan{InOrganization: in.In(), Plan: w.Charter().Plans[1].ID}})
		w.must("a plan", err)
	}
	switch {
	case cancelled && s.Change == nil:
		_, err = billing.CancelSubscription.Call(ctx, w.Service(), billing.CancelInput{InOrganization: in.In(), Reason: "matrix"})
	case !cancelled && s.Change != nil:
		_, err = billing.ResumeSubscription.Call(ctx, w.Service(), billing.ResumeInput{InOrganization: in.In()})
	}
	w.must("a cancellation", err)
}

// billed is an open invoice of an organization: the next one of the installation.
func (w *world) billed(in *guildhalltest.Organization) string {
	w.t.Helper()
	w.fresh++
	id, now := fmt.Sprintf("bil_%026d", w.fresh), w.Clock.Now().UnixMicro()
	w.must("an invoice", guildhall.Database(w.Hall.Hall).Write(w.t.Context(), func(tx *sqldb.Tx) error {
		ctx := w.t.Context()
		var number int64
		if err := tx.QueryRow(ctx, "UPDATE invoice_numbers SET last = last + 1 WHERE id = 'instance' RETURNING last").Scan(&number); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO invoices (id, organization, number, cause, period_start, period_end, state, currency, total, lines,
				payer, reference, reminded, issued_at, due_at, settled_at, version)
			VALUES ($1, $2, $3, $1, $4, $4, 'open', 'USD', 4900, $5, $6, '', 0, $4, $7, 0, 1)`, id, in.ID, number, now,
			`[{"kind":"plan","text":"a plan","from":"2026-03-02T09:00:00Z","until":"2026-04-02T09:00:00Z","amount":4900}]`, `{"organization":"Acme"}`,
			now+10*365*24*3600*1_000_000)
		return err
	}))
	return id
}
