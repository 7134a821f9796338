package billing_test

import (
	"slices"
	"testing"
	"time"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

func TestPlansAreThoseOfTheCharter(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		list, err := billing.ListPlans.Call(h.by(h.editor), h.Service, billing.ListPlansInput{InOrganization: h.in()})
		h.Must(err)
		if len(list.Data) != 3 || !list.Data[0].Current || list.Data[1].Current || list.Data[0].Seats != 3 {
			t.Fatalf("plans: %+v", list.Data)
		}
		business := list.Data[2]
		if business.Prices != (billing.PlanPrices{Month: 49900, Year: 499000}) || business.Currency != "USD" || len(business.Features) != 6 {
			t.Errorf("business is %+v", business)
		}
		if sso := list.Data[1].Features[4]; sso.ID != "sso" || sso.Included || sso.Brings == "" || !business.Features[4].Included {
			t.Errorf("pro says of single sign-on: %+v", sso)
		}
		if l := list.Data[0].Limits[0]; l.Meter != "executions" || l.Hard == nil || *l.Hard != 1000 || l.Included != 1000 {
			t.Errorf("free has %+v", l)
		}
		if l := list.Data[1].Limits[0]; l.Hard != nil || l.Included != 50000 || !l.Priced {
			t.Errorf("pro has %+v", l)
		}
	})
}

func TestWhereNothingIsSoldItSaysSo(t *testing.T) {
	src := "name: small\nkey_prefix: sml\nproduct: Small\nroles: {member: {title: Member, grants: [organization.view]}, owner: {title: Owner, grants: all}}\n"
	small, bad := charter.Parse("small.yaml", []byte(src))
	if bad != nil {
		t.Fatal(bad)
	}
	h := openHouse(t, testdb.SQLite(t), small, op.Config{})
	_, err := billing.ListPlans.Call(h.by(h.owner), h.Service, billing.ListPlansInput{InOrganization: h.in()})
	if e := h.Refused("plans", err, "no_plans"); e.Kind != op.NotFound {
		t.Errorf("it is %v", e.Kind)
	}
	_, err = billing.GetSubscription.Call(h.by(h.owner), h.Service, billing.GetSubscriptionInput{InOrganization: h.in()})
	h.Refused("the subscription", err, "no_plans")
	_, err = h.wants("pro")
	h.Refused("a change", err, "no_plans")
}

func TestANewOrganizationIsOnTheFirstPlan(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		s := h.subscription()
		if s.Plan != "free" || s.Interval != billing.Monthly || s.State != billing.Active || s.Price != 0 || s.Change != nil {
			t.Errorf("it begins with %+v", s)
		}
		if !s.PeriodStart.Equal(testroom.Monday) || !s.PeriodEnd.Equal(time.Date(2026, 12, 2, 9, 0, 0, 0, time.UTC)) {
			t.Errorf("from %v to %v", s.PeriodStart, s.PeriodEnd)
		}
		if want := (billing.Seats{Limit: 3, Members: 2, Free: 1}); s.Seats != want {
			t.Errorf("seats %+v, want %+v", s.Seats, want)
		}
		if s.Estimate.Total != 0 || len(s.Estimate.Lines) != 0 {
			t.Errorf("the next invoice would be %+v", s.Estimate)
		}
	})
}

func TestOnlyWhoMayManageBillingChangesThePlan(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		_, err := billing.GetSubscription.Call(h.by(h.editor), h.Service, billing.GetSubscriptionInput{InOrganization: h.in()})
		if e := h.Refused("an editor looks", err, "denied"); e.Needs != "billing.view" || len(e.Holders) != 1 || e.Holders[0].Name != "Ada" {
			t.Errorf("refused with %+v", e)
		}
		_, err = billing.ChangeSubscription.Call(h.by(h.editor), h.Service, billing.ChangeInput{WantedPlan: billing.WantedPlan{InOrganization: h.in(), Plan: "pro"}})
		h.Refused("an editor changes", err, "denied")
		_, err = billing.ChangeSubscription.Call(h.As(h.svc), h.Service, billing.ChangeInput{WantedPlan: billing.WantedPlan{InOrganization: h.in(), Plan: "pro"}})
		h.Refused("a service key changes", err, "not_a_member")
		stranger := h.User("sam@globex.test")
		_, err = billing.GetSubscription.Call(h.by(stranger), h.Service, billing.GetSubscriptionInput{InOrganization: h.in()})
		h.Refused("a stranger looks", err, "not_found")
	})
}

// TestAnUpgradeIsThereAtOnce: 15 of 30 days of 49.00 are left. T-089.
func TestAnUpgradeIsThereAtOnce(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.day(17)
		p := h.previews("pro", "", "")
		if p.Direction != "up" || p.When != billing.Now || p.DueToday != 2450 || p.Next.Total != 4900 || len(p.Gains) != 2 || len(p.Loses.Features) != 0 {
			t.Errorf("the preview says %+v", p)
		}
		h.Fenced()
		done := h.changes("pro")
		if done.DueToday != 2450 || done.Plan != "pro" || done.State != billing.Active || h.plan() != "pro" || done.Seats.Limit != 0 {
			t.Errorf("changed to %+v", done)
		}
		if fenced := h.Fenced(); !slices.Contains(fenced, op.Fence{Kind: op.FenceOrganization, ID: h.acme}) {
			t.Errorf("fenced %v", fenced)
		}
		all := h.invoices()
		if len(all) != 1 || all[0].ID != done.Invoice || all[0].Total != 2450 || all[0].State != billing.Open || all[0].Number != "INV-000001" {
			t.Fatalf("invoices: %+v", all)
		}
		if want := h.Now().Add(14 * 24 * time.Hour); !all[0].DueAt.Equal(want) || all[0].Payer.Organization != "Acme" {
			t.Errorf("due at %v by %+v", all[0].DueAt, all[0].Payer)
		}
		if got, err := billing.GetInvoice.Call(h.As(h.svc), h.Service, billing.InvoiceInput{InOrganization: h.in(), Invoice: done.Invoice}); err != nil || len(got.Lines) != 1 {
			t.Errorf("the invoice: %+v, %v", got, err)
		}
		h.day(22)
		again := h.changes("business") // 10 of 30 days: 499.00 - 49.00
		if again.DueToday != 16633-1633 || h.plan() != "business" {
			t.Errorf("then due %d", again.DueToday)
		}
	})
}

func TestTheSamePlanAgainChangesNothing(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.day(17)
		first := h.changes("pro")
		again := h.changes("pro")
		if again.DueToday != 0 || again.Invoice != "" || again.Version != first.Version || len(h.invoices()) != 1 {
			t.Errorf("again: %+v", again)
		}
		key := op.IdempotencyKey("once")
		in := billing.ChangeInput{WantedPlan: billing.WantedPlan{InOrganization: h.in(), Plan: "business"}}
		one, err := billing.ChangeSubscription.Call(h.by(h.owner), h.Service, in, key)
		h.Must(err)
		two, err := billing.ChangeSubscription.Call(h.by(h.owner), h.Service, in, key)
		h.Must(err)
		if one.Invoice != two.Invoice || len(h.invoices()) != 2 {
			t.Errorf("the repeat made another invoice: %s and %s", one.Invoice, two.Invoice)
		}
	})
}

func TestADowngradeWaitsForTheEndOfThePeriod(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.changes("business")
		h.Must(update(h, "eu-west-1", 90))
		h.day(12)
		h.invites("one@acme.test", "two@acme.test")
		h.Join(h.acme, "max@acme.test", "viewer")
		p := h.previews("free", "", "")
		if p.Direction != "down" || p.When != billing.AtPeriodEnd || p.DueToday != 0 || len(p.Loses.Features) != 5 || p.Next.Total != 0 {
			t.Errorf("the preview says %+v", p)
		}
		if l := p.Loses.Seats; l == nil || l.Limit != 3 || l.Members != 3 || l.Over != 0 || l.Invitations != 2 || !l.At.Equal(p.At) {
			t.Errorf("of seats it says %+v", l)
		}
		if len(p.Loses.Settings) != 2 || p.Loses.Settings[0].Feature != "regions" || p.Loses.Settings[1].Setting != "retention" {
			t.Errorf("of settings it says %+v", p.Loses.Settings)
		}
		done := h.changes("free")
		if done.Plan != "business" || done.Change == nil || done.Change.Plan != "free" || done.Change.Cancels || h.plan() != "business" {
			t.Errorf("scheduled: %+v", done.Standing)
		}
		if kept := h.changes("business"); kept.Change != nil || len(h.invoices()) != 1 { // taken back
			t.Errorf("taken back: %+v", kept.Standing)
		}
	})
}

func TestADowngradeNowGivesCreditThatIsUsedNext(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.changes("business")
		h.day(12)
		p := h.previews("pro", "", billing.Now)
		if p.DueToday != 0 || !slices.Equal(amounts(p.Lines), []int64{-33267, 3267, 30000}) {
			t.Errorf("the preview says %+v", p)
		}
		down := h.changes("pro", atOnce)
		if down.Credit != 30000 || h.plan() != "pro" || down.DueToday != 0 {
			t.Errorf("down: %+v", down)
		}
		up := h.changes("business", atOnce) // at the same moment: nothing is lost
		if up.Credit != 0 || up.DueToday != 0 || h.plan() != "business" {
			t.Errorf("up again: %+v", up)
		}
		var all int64
		for _, i := range h.invoices() {
			all += i.Total
			if sum := total64(amounts(i.Lines)); sum != i.Total {
				t.Errorf("%s: the lines make %d, the total is %d", i.Number, sum, i.Total)
			}
		}
		if all != 49900 {
			t.Errorf("all invoices make %d", all)
		}
	})
}

func TestAnotherIntervalBeginsAPeriod(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.changes("pro")
		h.day(12)
		done := h.changes("pro", yearlyPlease)
		if done.DueToday != 49000-3267 || done.Interval != billing.Yearly || !done.PeriodStart.Equal(h.Now()) || !done.PeriodEnd.Equal(h.Now().AddDate(1, 0, 0)) {
			t.Errorf("by the year: %+v", done)
		}
		if anchor := h.Number("SELECT period_anchor FROM organizations WHERE id = $1", h.acme); anchor != h.Now().UnixMicro() {
			t.Errorf("the months are counted from %d", anchor)
		}
		if next := h.subscription().Estimate; !next.At.Equal(h.Now().AddDate(0, 1, 0)) || next.Total != 0 {
			t.Errorf("the next invoice: %+v", next)
		}
		h.Refused("the month at once", errOf(h.wants("pro", monthlyPlease, atOnce)), "invalid")
		back := h.changes("pro", monthlyPlease)
		if back.Change == nil || back.Change.Interval != billing.Monthly || !back.Change.At.Equal(done.PeriodEnd) {
			t.Errorf("back to the month: %+v", back.Change)
		}
	})
}

// A plan that begins anew begins a month: what was used before stays in the month that it ended, and quotas begin at none.
func TestAnotherAnchorMovesNoUse(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		used := func() int64 {
			q, err := usage.GetQuotas.Call(h.Operator(), h.Service, usage.GetQuotasInput{InOrganization: h.in()})
			h.Must(err)
			for _, one := range q.Quotas {
				if one.Meter == "executions" {
					return one.Used
				}
			}
			return -1
		}
		records := func(e usage.Event) {
			e.Meter = "executions"
			_, err := usage.Record.Call(h.Operator(), h.Service, usage.RecordInput{InOrganization: h.in(), Event: e})
			h.Must(err)
		}
		h.changes("pro")
		h.day(12)
		before := h.Now()
		records(usage.Event{Value: 7})
		h.After(time.Hour)
		h.changes("pro", yearlyPlease)
		if n := used(); n != 0 {
			t.Errorf("%d used in the month that begins", n)
		}
		records(usage.Event{Value: 2})
		records(usage.Event{Value: 5, At: before}) // late
		if n := used(); n != 2 {
			t.Errorf("%d used, not 2", n)
		}
		if n := h.Number("SELECT used FROM usage_counters WHERE organization = $1 AND meter = 'executions' AND subject = '' ORDER BY start LIMIT 1", h.acme); n != 12 {
			t.Errorf("%d used in the month before, not 12", n)
		}
		h.sound()
	})
}

func TestWhatIsAgreedToIsTheMost(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		agree := func(n int64) func(*billing.ChangeInput) { return func(in *billing.ChangeInput) { in.AtMost = &n } }
		h.day(17)
		h.Refused("a cent more", errOf(h.wants("pro", agree(2449))), "costs_more")
		h.Refused("an unknown plan", errOf(h.wants("gold")), "invalid")
		h.Refused("a free year", errOf(h.wants("free", yearlyPlease)), "invalid")
		if done := h.changes("pro", agree(2450)); done.DueToday != 2450 {
			t.Errorf("due %d", done.DueToday)
		}
	})
}

func TestAStaleViewChangesNothing(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		seen := h.subscription().ETag()
		h.changes("pro")
		in := billing.ChangeInput{WantedPlan: billing.WantedPlan{InOrganization: h.in(), Plan: "business"}}
		_, err := billing.ChangeSubscription.Call(h.by(h.owner), h.Service, in, op.IfMatch(seen))
		h.Refused("with the version before", err, "stale")
		_, err = billing.ChangeSubscription.Call(h.by(h.owner), h.Service, in, op.IfMatch(h.subscription().ETag()))
		h.Must(err)
	})
}

func TestNothingIsBoughtWhileAnInvoiceIsOverdue(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.changes("pro")
		h.day(16) // the day before it is due
		h.previews("business", "", "")
		h.After(24 * time.Hour)
		h.Refused("more", errOf(h.wants("business")), "payment_overdue") // T-089
		if h.plan() != "pro" {
			t.Errorf("the plan is %s", h.plan())
		}
		h.changes("free") // less can be wanted at any time
	})
}

func TestADryRunSaysTheEffect(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.day(17)
		answer, err := h.Service.Invoke(t.Context(), billing.ChangeSubscription, op.Request{Caller: op.Caller{Credential: h.owner.Token},
			Input: billing.ChangeInput{WantedPlan: billing.WantedPlan{InOrganization: h.in(), Plan: "pro"}}, DryRun: true})
		h.Must(err)
		impact, _ := answer.Output.(op.Impact)
		if impact.Summary != "Pro, by the month: USD 24.50 due today" || len(impact.Effects) != 2 || len(h.invoices()) != 0 {
			t.Errorf("it says %+v", impact)
		}
	})
}

func TestSeatsAreSaid(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.invites("one@acme.test")
		seats, err := billing.GetSeats.Call(h.by(h.owner), h.Service, billing.GetSubscriptionInput{InOrganization: h.in()})
		h.Must(err)
		if want := (billing.Seats{Limit: 3, Members: 2, Pending: 1}); seats != want {
			t.Errorf("got %+v", seats)
		}
		_, err = billing.GetSeats.Call(h.by(h.editor), h.Service, billing.GetSubscriptionInput{InOrganization: h.in()})
		h.Refused("an editor", err, "denied")
	})
}

func update(h *house, region string, retention int64) error {
	_, err := directory.UpdateOrganization.Call(h.by(h.owner), h.Service,
		directory.UpdateOrganizationInput{InOrganization: h.in(), Region: &region, RetentionDays: &retention})
	return err
}

func (h *house) invites(emails ...string) {
	h.T.Helper()
	for _, email := range emails {
		_, err := directory.CreateInvitation.Call(h.by(h.owner), h.Service, directory.CreateInvitationInput{InOrganization: h.in(), Email: email, Role: "viewer"})
		h.Must(err)
	}
}

func errOf[T any](_ T, err error) error { return err }

func total64(all []int64) (sum int64) {
	for _, n := range all {
		sum += n
	}
	return sum
}
