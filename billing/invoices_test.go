package billing_test

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/op"
)

// works does what scheduled work has to do at this moment.
func (h *house) works() {
	h.T.Helper()
	var due billing.Due
	h.Must(h.Service.Snapshot(h.T.Context(), func(r *op.Reader) (err error) {
		due, err = billing.DueNow(h.T.Context(), r)
		return err
	}))
	h.Must(due.Do(h.T.Context(), h.Service))
}

// until does scheduled work each day until a day of November 2026 or after it.
func (h *house) until(day int) {
	h.T.Helper()
	for end := time.Date(2026, 11, day, 9, 0, 0, 0, time.UTC); h.Now().Before(end); {
		h.After(24 * time.Hour)
		h.works()
	}
}

// pays notes that every open invoice was paid.
func (h *house) pays() {
	h.T.Helper()
	for _, i := range h.invoices() {
		if i.State == billing.Open || i.State == billing.Overdue {
			_, err := billing.PayInvoice.Call(h.As(h.svc), h.Service, billing.PayInvoiceInput{InvoiceInput: h.invoice(i.ID), Reference: "transfer " + i.Number})
			h.Must(err)
		}
	}
}

func (h *house) invoice(id string) billing.InvoiceInput {
	return billing.InvoiceInput{InOrganization: h.in(), Invoice: id}
}

func TestAMonthIsInvoicedWhenItIsOver(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.day(17)
		h.changes("pro") // 24.50
		h.pays()
		h.day(32) // 2 December at nine
		h.works()
		all := h.invoices()
		if len(all) != 2 || all[0].Number != "INV-000002" || all[0].Total != 4900 || all[0].Lines[0].Kind != billing.PlanLine ||
			!all[0].Lines[0].From.Equal(h.Now()) || !all[0].Lines[0].Until.Equal(time.Date(2027, 1, 2, 9, 0, 0, 0, time.UTC)) {
			t.Fatalf("invoices: %+v", all)
		}
		h.works()
		if n := len(h.invoices()); n != 2 {
			t.Errorf("the same month is invoiced again: %d invoices", n)
		}
		done, err := billing.ClosePeriod.Call(h.Operator(), h.Service, billing.ClosePeriodInput{InOrganization: h.in()})
		h.Must(err)
		if done.Invoice != "" {
			t.Error("a month that is not over is invoiced")
		}
		if s := h.subscription(); !s.PeriodStart.Equal(h.Now()) || s.Plan != "pro" || s.Owed != 4900 {
			t.Errorf("then %+v", s.Standing)
		}
	})
}

func TestAFreeMonthHasNoInvoice(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.day(32)
		h.works()
		if len(h.invoices()) != 0 || !h.subscription().PeriodStart.Equal(h.Now()) {
			t.Errorf("invoices %v, from %v", h.invoices(), h.subscription().PeriodStart)
		}
	})
}

func TestADowngradeIsCarriedOutAtTheEnd(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.changes("business")
		h.pays()
		h.changes("pro")
		h.day(32)
		_, err := h.wants("business")
		h.Refused("a change before the month is closed", err, "unavailable")
		h.Fenced()
		h.works()
		s := h.subscription()
		if s.Plan != "pro" || s.Change != nil || h.plan() != "pro" || !slices.Contains(h.Fenced(), op.Fence{Kind: op.FenceOrganization, ID: h.acme}) {
			t.Errorf("then %+v", s.Standing)
		}
		if all := h.invoices(); len(all) != 2 || all[0].Total != 4900 {
			t.Errorf("invoices %+v", all)
		}
	})
}

func TestAYearIsPaidOnceAndItsMonthsAreClosed(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.changes("pro", yearlyPlease)
		h.pays()
		h.until(30 + 370)
		all := h.invoices()
		if len(all) != 2 || all[1].Total != 49000 || all[0].Total != 49000 || !all[0].Lines[0].From.Equal(time.Date(2027, 11, 2, 9, 0, 0, 0, time.UTC)) {
			t.Errorf("invoices: %+v", all)
		}
	})
}

func TestACancelledPlanEndsWithItsPeriodAndCanBeTakenBack(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		cancel := func() (billing.ChangedSubscription, error) {
			return billing.CancelSubscription.Call(h.by(h.owner), h.Service, billing.CancelInput{InOrganization: h.in(), Reason: "it was dear"})
		}
		resume := func() error {
			_, err := billing.ResumeSubscription.Call(h.by(h.owner), h.Service, billing.ResumeInput{InOrganization: h.in()})
			return err
		}
		h.Refused("the first plan", errOf(cancel()), "nothing_to_cancel")
		h.changes("pro")
		h.pays()
		h.Refused("taking nothing back", resume(), "nothing_to_resume")
		done, err := cancel()
		h.Must(err)
		if !done.CancelAtPeriodEnd || done.State != billing.Active || h.plan() != "pro" {
			t.Errorf("cancelled: %+v", done.Standing)
		}
		h.Must(resume())
		if h.subscription().CancelAtPeriodEnd {
			t.Error("it is cancelled still")
		}
		h.Must(errOf(cancel()))
		h.day(32)
		h.works()
		if s := h.subscription(); s.State != billing.Cancelled || s.Plan != "free" || s.CancelAtPeriodEnd || h.plan() != "free" || s.Seats.Limit != 3 {
			t.Errorf("then %+v", s.Standing)
		}
		if h.changes("pro").State != billing.Active {
			t.Error("it cannot be bought again")
		}
	})
}

// TestWhatIsNotPaidEnds: due after 14 days, reminded after 3, 7 and 14 more, ended after 30. T-089.
func TestWhatIsNotPaidEnds(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.changes("pro")
		mails := func() (n int) {
			for _, m := range h.told() {
				if strings.Contains(m, "overdue") || strings.Contains(m, "unpaid") {
					n++
				}
			}
			return n
		}
		for _, step := range []struct {
			day   int
			state billing.State
			plan  string
			mails int
		}{{15, billing.Active, "pro", 0}, {16, billing.PastDue, "pro", 0}, {18, billing.PastDue, "pro", 0}, {19, billing.PastDue, "pro", 1}, {23, billing.PastDue, "pro", 2},
			{30, billing.PastDue, "pro", 3}, {45, billing.PastDue, "pro", 3}, {46, billing.Ended, "free", 4}, {50, billing.Ended, "free", 4}} {
			h.until(step.day)
			if s := h.subscription(); s.State != step.state || s.Plan != step.plan || h.plan() != step.plan || mails() != step.mails {
				t.Fatalf("on day %d: %s, %s, %s, %d mails; want %+v", step.day, s.State, s.Plan, h.plan(), mails(), step)
			}
		}
		h.Refused("buying again unpaid", errOf(h.wants("pro")), "payment_overdue")
		h.pays()
		if h.changes("pro").State != billing.Active {
			t.Error("after paying it cannot be bought")
		}
	})
}

// told are the texts of the notices in the outbox.
func (h *house) told() (all []string) {
	h.T.Helper()
	for _, m := range h.Mails() {
		all = append(all, m.Subject+"\n"+m.Text)
	}
	return all
}

func TestPayingEndsWhatIsOverdue(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.changes("pro")
		h.until(20)
		if s := h.subscription(); s.State != billing.PastDue || s.PastDueDays != 4 || s.EndsAt == nil || h.invoices()[0].State != billing.Overdue {
			t.Errorf("overdue: %+v", s.Standing)
		}
		in := billing.PayInvoiceInput{InvoiceInput: h.invoice(h.invoices()[0].ID), Reference: "4711"}
		_, err := billing.PayInvoice.Call(h.by(h.owner), h.Service, in)
		h.Refused("an owner says that it is paid", err, "service_only")
		h.pays()
		if s := h.subscription(); s.State != billing.Active || s.PastDueSince != nil || s.Owed != 0 {
			t.Errorf("paid: %+v", s.Standing)
		}
		_, err = billing.VoidInvoice.Call(h.As(h.svc), h.Service, billing.VoidInvoiceInput{InvoiceInput: in.InvoiceInput, Reason: "a mistake"})
		h.Refused("a paid invoice is made void", err, "invoice_settled")
	})
}

func TestAVoidInvoiceGivesItsCreditBack(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.changes("business")
		h.pays()
		h.day(12)
		h.changes("pro", atOnce) // 300.00 are kept
		h.changes("business")    // and used
		last := h.invoices()[0]
		if last.Total != 0 || last.State != billing.Paid || h.subscription().Credit != 0 {
			t.Fatalf("the last invoice is %+v", last)
		}
		h.changes("pro", atOnce)
		h.day(22)
		up := h.changes("business", yearlyPlease) // 4990.00, less the rest of pro and the credit
		_, err := billing.VoidInvoice.Call(h.As(h.svc), h.Service, billing.VoidInvoiceInput{InvoiceInput: h.invoice(up.Invoice), Reason: "a mistake"})
		h.Must(err)
		if got := h.subscription(); got.Credit != 30000 || got.Owed != 0 {
			t.Errorf("credit %d, owed %d", got.Credit, got.Owed)
		}
	})
}

func TestWhoPaysStandsOnTheNextInvoices(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.day(12)
		h.changes("pro")
		company, address, email := "Acme GmbH", "Hauptstrasse 1\n10115 Berlin", "billing@acme.test"
		in := billing.UpdateAccountInput{InOrganization: h.in(), Company: &company, Address: &address, Email: &email}
		s, err := billing.UpdateAccount.Call(h.by(h.owner), h.Service, in)
		h.Must(err)
		if s.Account.Company != company || s.Account.Address != address {
			t.Errorf("saved %+v", s.Account)
		}
		h.changes("business")
		all := h.invoices()
		if all[0].Payer.Company != company || all[1].Payer.Company != "" {
			t.Errorf("payers %+v and %+v", all[0].Payer, all[1].Payer)
		}
		if mails := h.Mails(); len(mails) != 1 || mails[0].To != email || !strings.Contains(mails[0].Subject, "INV-000002") {
			t.Errorf("mails: %+v", mails)
		}
		wrong := "nobody"
		_, err = billing.UpdateAccount.Call(h.by(h.owner), h.Service, billing.UpdateAccountInput{InOrganization: h.in(), Email: &wrong})
		h.Refused("no address", err, "invalid")
		_, err = billing.UpdateAccount.Call(h.by(h.editor), h.Service, in)
		h.Refused("an editor", err, "denied")
	})
}

func TestTheBuiltInProviderHasNoPortal(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		_, err := billing.OpenPortal.Call(h.by(h.owner), h.Service, billing.PortalInput{InOrganization: h.in()})
		h.Refused("the portal", err, "no_portal")
	})
}

func TestAnInvoiceIsOnPaper(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.day(12)
		id := h.changes("pro").Invoice
		write := func(by string, id string) ([]byte, error) {
			var b bytes.Buffer
			err := h.Service.Stream(t.Context(), billing.PrintInvoice, op.Request{Caller: op.Caller{Credential: by}, Input: h.invoice(id)}, func(op.Info) io.Writer { return &b })
			return b.Bytes(), err
		}
		one, err := write(h.owner.Token, id)
		h.Must(err)
		h.After(time.Hour)
		two, err := write(h.owner.Token, id)
		h.Must(err)
		if !bytes.HasPrefix(one, []byte("%PDF-")) || !bytes.Equal(one, two) {
			t.Error("it is no PDF, or another one each time")
		}
		_, err = write(h.editor.Token, id)
		h.Refused("an editor", err, "denied")
		_, err = write(h.owner.Token, "bil_00000000000000000000000000")
		h.Refused("one that is not there", err, "not_found")
		_, globex := h.Found("globex", "gil@globex.test")
		var b bytes.Buffer
		err = h.Service.Stream(t.Context(), billing.PrintInvoice, op.Request{Caller: op.Caller{Credential: globex.Token},
			Input: billing.InvoiceInput{InOrganization: op.InOrganization{Organization: "globex"}, Invoice: id}}, func(op.Info) io.Writer { return &b })
		h.Refused("another organization's", err, "not_found") // T-004
	})
}

func TestTheDoctorFindsWhatIsWrong(t *testing.T) {
	inHouses(t, func(t *testing.T, h *house) {
		h.day(12)
		h.changes("pro")
		broken := func() (all []string) {
			h.Must(h.Service.Snapshot(t.Context(), func(r *op.Reader) (err error) {
				all, err = billing.Broken(t.Context(), r)
				return err
			}))
			return all
		}
		for what, harm := range map[string][2]string{
			"a total":  {"UPDATE invoices SET total = total + 1", "UPDATE invoices SET total = total - 1"},
			"a number": {"UPDATE invoices SET number = number + 1", "UPDATE invoices SET number = number - 1"},
			"a plan":   {"UPDATE organizations SET plan = 'business'", "UPDATE organizations SET plan = 'pro'"},
			"a credit": {"UPDATE subscriptions SET credit = 5", "UPDATE subscriptions SET credit = 0"},
			"a change": {"UPDATE subscriptions SET change_at = period_end + 1", "UPDATE subscriptions SET change_at = 0"},
		} {
			h.Exec(harm[0])
			if n := len(broken()); n != 1 {
				t.Errorf("%s: the doctor finds %d", what, n)
			}
			h.Exec(harm[1])
			if all := broken(); len(all) != 0 {
				t.Errorf("%s mended: %v", what, all)
			}
		}
	})
}
