package console

import (
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func billingPages() []page {
	return []page{
		{"GET /o/{slug}/settings/billing", member, showBilling},
		{"POST /o/{slug}/settings/billing", member, saveAccount},
		{"GET /o/{slug}/settings/billing/cancel", member, askCancelPlan},
		{"POST /o/{slug}/settings/billing/cancel", member, cancelPlan},
		{"POST /o/{slug}/settings/billing/resume", member, resumePlan},
		{"POST /o/{slug}/settings/billing/portal", member, openPortal},
		{"GET /o/{slug}/settings/billing/invoices/{invoice}", member, showInvoice},
		{"GET /o/{slug}/settings/billing/invoices/{invoice}/pdf", member, downloadInvoice},
	}
}

// The permissions of billing.
const (
	readsBilling   charter.Permission = "billing.view"
	changesBilling charter.Permission = "billing.manage"
)

// sells reports whether there are plans at all.
func (v *visit) sells() bool { return len(v.Service.Charter().Plans) > 0 }

// planValue is what people call a plan.
func (v *visit) planValue(plan string) string {
	p, _ := v.Service.Charter().Plan(plan)
	return p.Title
}

func (v *visit) billingHref(path string) string { return v.org("/settings/billing" + path) }

func (v *visit) billingCrumb() ui.LinkProps {
	return ui.LinkProps{Text: ui.T("Billing"), Href: v.billingHref("")}
}

// billingPage is what an organization has and pays.
type billingPage struct {
	visit *visit
	billing.Subscription
	invoices op.List[billing.Invoice]
}

func showBilling(v *visit) error {
	p := billingPage{visit: v}
	var err error
	if p.Subscription, err = billing.GetSubscription.Call(v.ctx, v.Service, billing.GetSubscriptionInput{InOrganization: v.inOrg()}); err != nil {
		return err
	}
	page := v.pageOf()
	page.Limit = 12
	if p.invoices, err = billing.ListInvoices.Call(v.ctx, v.Service, billing.ListInvoicesInput{InOrganization: v.inOrg(), Page: page}); err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Billing"), Lede: ui.T("What %s has, until when, and what it pays.", v.organization.Name), Crumb: v.settingsCrumb(),
		Ways: v.same(billing.GetSubscription)}, p.show())
}

// money is an amount in the subscription's currency.
func (p billingPage) money(minor int64) string { return billing.Money(minor, p.Currency) }

func everyInterval(i billing.Interval) string {
	if i == billing.Yearly {
		return ui.T("a year")
	}
	return ui.T("a month")
}

func onDay(t interface{ Format(string) string }) string { return t.Format("2 January 2006") }

// facts are the plan's.
func (p billingPage) facts() []ui.Fact {
	facts := []ui.Fact{{Name: ui.T("Plan"), Value: ui.Join(ui.Text(p.PlanTitle), ui.Badge(planBadge(p.State)))},
		{Name: ui.T("Price"), Value: ui.Text(ui.T("%s %s", p.money(p.Price), everyInterval(p.Interval)))},
		{Name: ui.T("This period"), Value: ui.Text(ui.T("%s to %s", onDay(p.PeriodStart), onDay(p.PeriodEnd)))},
		{Name: p.afterwards(), Value: ui.Text(p.renewal())},
		{Name: ui.T("Seats"), Value: ui.Text(seatsText(p.Seats))}}
	if p.Credit > 0 {
		facts = append(facts, ui.Fact{Name: ui.T("Credit"), Value: ui.Text(ui.T("%s, for the next invoices", p.money(p.Credit)))})
	}
	if p.Owed > 0 {
		facts = append(facts, ui.Fact{Name: ui.T("Not paid yet"), Value: ui.Text(p.money(p.Owed))})
	}
	if contact := p.visit.supportContact(p.Plan); contact.Href != "" {
		facts = append(facts, ui.Fact{Name: ui.T("Priority support"), Value: ui.Link(contact)})
	}
	return facts
}

func (p billingPage) afterwards() string {
	if p.Change != nil {
		return ui.T("Then")
	}
	return ui.T("Renews")
}

func (p billingPage) renewal() string {
	if p.Change == nil {
		return onDay(p.PeriodEnd)
	}
	if p.Change.Cancels {
		return ui.T("cancelled: %s from %s on", p.Change.PlanTitle, onDay(p.Change.At))
	}
	return ui.T("%s, paid by the %s, from %s on", p.Change.PlanTitle, string(p.Change.Interval), onDay(p.Change.At))
}

func planBadge(s billing.State) ui.BadgeProps {
	switch s {
	case billing.PastDue:
		return ui.BadgeProps{Text: ui.T("Past due"), Tone: ui.Bad}
	case billing.Cancelled:
		return ui.BadgeProps{Text: ui.T("Cancelled")}
	case billing.Ended:
		return ui.BadgeProps{Text: ui.T("Ended"), Tone: ui.Warn}
	}
	return ui.BadgeProps{Text: ui.T("Active"), Tone: ui.OK}
}

func seatsText(s billing.Seats) string {
	if s.Limit == 0 {
		return ui.T("%d taken, any number fits", s.Members+s.Pending)
	}
	text := ui.T("%d of %d taken: %d members, %d invitations", s.Members+s.Pending, s.Limit, s.Members, s.Pending)
	if s.Frozen > 0 {
		text += ui.N(int(s.Frozen), "; 1 invitation is frozen until a seat is free", "; %d invitations are frozen until a seat is free")
	}
	return text
}

// supportContact is whom the plan lets one call; without an address where it does not.
func (v *visit) supportContact(plan string) ui.LinkProps {
	href := v.Service.Charter().Links["priority_support"]
	if _, sold := v.Service.Charter().PlanWith("priority_support"); !sold || href == "" || !v.Service.Charter().Unlocked(plan, "priority_support") {
		return ui.LinkProps{}
	}
	return ui.LinkProps{Text: ui.T("Write to priority support"), Href: href, External: true}
}

// overdue says what is past due, and what comes of it.
func (p billingPage) overdue() string {
	text := ui.N(int(p.PastDueDays), "An invoice has been overdue for 1 day.", "An invoice has been overdue for %d days.")
	first := p.visit.Service.Charter().Plans[0]
	if p.EndsAt != nil && p.Plan != first.ID {
		text += " " + ui.T("Unless it is paid, %s falls to the plan %s on %s. Nobody is removed and nothing is deleted.", p.visit.organization.Name, first.Title, onDay(*p.EndsAt))
	}
	return text
}

// lineTable shows lines of an invoice and their total.
func (v *visit) lineTable(caption string, lines []billing.InvoiceLine, total int64, currency string) ui.TableProps {
	t := ui.TableProps{Caption: caption, Columns: []ui.Column{{Title: ui.T("For")}, {Title: ui.T("Span")}, {Title: ui.T("Amount"), Number: true}}}
	for _, l := range lines {
		t.Rows = append(t.Rows, ui.Row{Cells: []templ.Component{v.lineText(l), ui.Text(linePeriod(l)), ui.Text(billing.Money(l.Amount, currency))}})
	}
	t.Rows = append(t.Rows, ui.Row{Cells: []templ.Component{strong(ui.T("Total")), nil, strong(billing.Money(total, currency))}})
	return t
}

func linePeriod(l billing.InvoiceLine) string {
	if l.From.Equal(l.Until) {
		return onDay(l.From)
	}
	return ui.T("%s to %s", onDay(l.From), onDay(l.Until))
}

// lineText says what a line is for; of usage it leads to the figures.
func (v *visit) lineText(l billing.InvoiceLine) component {
	if l.Kind != billing.UsageLine || !v.can("usage.view") {
		return ui.Text(l.Text)
	}
	return ui.Link(ui.LinkProps{Text: l.Text, Href: asking(v.org("/settings/usage"), "meter", l.Meter, "from", l.From.Format("2006-01-02"), "until", l.Until.Format("2006-01-02"))})
}

// invoiceTable lists invoices.
func (p billingPage) invoiceTable() ui.TableProps {
	t := ui.TableProps{ID: "invoices", Caption: ui.T("Invoices"), ShowCaption: true, Columns: []ui.Column{{Title: ui.T("Invoice")}, {Title: ui.T("Issued")}, {Title: ui.T("Due")},
		{Title: ui.T("State")}, {Title: ui.T("Total"), Number: true}, {Title: ui.T("PDF")}},
		Empty: ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("There is no invoice yet. One is made when something is due.")}),
		Pager: pagerOf(p.visit.billingHref(""), p.visit.r.URL.Query(), p.invoices.NextCursor)}
	for _, i := range p.invoices.Data {
		href := p.visit.billingHref("/invoices/" + i.ID)
		t.Rows = append(t.Rows, ui.Row{ID: i.ID, Over: i.State == billing.Void, Cells: []templ.Component{ui.Link(ui.LinkProps{Text: i.Number, Href: href}),
			ui.Text(onDay(i.IssuedAt)), ui.Text(onDay(i.DueAt)), ui.Badge(invoiceBadge(i.State)), ui.Text(billing.Money(i.Total, i.Currency)),
			ui.Link(paper(i, href))}})
	}
	return t
}

// paper is where an invoice's PDF is: here, or with the payment provider that issued it.
func paper(i billing.Invoice, href string) ui.LinkProps {
	if i.Provider == billing.Builtin {
		return ui.LinkProps{Text: ui.T("PDF of %s", i.Number), Href: href + "/pdf"}
	}
	if i.Paper == "" {
		return ui.LinkProps{Text: i.Number, Href: href}
	}
	return ui.LinkProps{Text: ui.T("PDF of %s", i.Number), Href: i.Paper, External: true}
}

func invoiceBadge(s billing.InvoiceState) ui.BadgeProps {
	switch s {
	case billing.Paid:
		return ui.BadgeProps{Text: ui.T("Paid"), Tone: ui.OK}
	case billing.Overdue:
		return ui.BadgeProps{Text: ui.T("Past due"), Tone: ui.Bad}
	case billing.Void:
		return ui.BadgeProps{Text: ui.T("Void")}
	}
	return ui.BadgeProps{Text: ui.T("Open"), Tone: ui.Info}
}

func (p billingPage) accountField(name, label, hint, value string) ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: name, Label: label, Hint: hint, Error: p.visit.form.error(name), Optional: true}, Value: p.visit.form.or(name, value)}
}

// accountFacts are who pays, for those who may not change it.
func (p billingPage) accountFacts() []ui.Fact {
	var facts []ui.Fact
	for _, f := range [][2]string{{ui.T("Company"), p.Account.Company}, {ui.T("Address"), p.Account.Address}, {ui.T("Tax number"), p.Account.TaxID},
		{ui.T("E-mail"), p.Account.Email}} {
		value := ui.Muted(ui.T("not said"))
		if f[1] != "" {
			value = ui.Text(f[1])
		}
		facts = append(facts, ui.Fact{Name: f[0], Value: value})
	}
	return facts
}

func saveAccount(v *visit) error {
	in := billing.UpdateAccountInput{InOrganization: v.inOrg()}
	for name, field := range map[string]**string{"company": &in.Company, "address": &in.Address, "tax_id": &in.TaxID, "email": &in.Email} {
		if v.form.values.Has(name) {
			*field = new(v.form.value(name))
		}
	}
	_, err := billing.UpdateAccount.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return showBilling(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.billingHref(""), done(ui.T("Who pays is saved.")))
}

// askCancelPlan says what ends with the period, and asks why.
func askCancelPlan(v *visit) error {
	s, err := billing.GetSubscription.Call(v.ctx, v.Service, billing.GetSubscriptionInput{InOrganization: v.inOrg()})
	if err != nil {
		return err
	}
	first := v.Service.Charter().Plans[0]
	c := confirmation{id: "cancel", title: ui.T("Cancel the plan %s", s.PlanTitle), cancel: v.billingHref(""), version: s.ETag(),
		submit: v.verb(changesBilling, ui.ButtonProps{Text: ui.T("Cancel %s", s.PlanTitle), Kind: ui.Danger}), ways: v.same(billing.CancelSubscription, "reason", "the project has ended")}
	if s.Plan == first.ID {
		c.impossible = ui.T("%s is on the plan %s, which is the first one: there is nothing to cancel.", v.organization.Name, s.PlanTitle)
		return v.ask(c)
	}
	c.text = []string{ui.T("Everything stays as it is until %s. Then %s is on the plan %s. Until then it can be taken back.", onDay(s.PeriodEnd), v.organization.Name, first.Title)}
	p, err := billing.PreviewChange.Call(v.ctx, v.Service, billing.WantedPlan{InOrganization: v.inOrg(), Plan: first.ID, At: billing.AtPeriodEnd})
	if err != nil {
		return err
	}
	c.affected, c.fields = lossFacts(p.Loses), v.whyField()
	return v.ask(c)
}

func cancelPlan(v *visit) error {
	out, err := billing.CancelSubscription.Call(v.ctx, v.Service, billing.CancelInput{InOrganization: v.inOrg(), Reason: v.form.value("reason")}, v.form.options()...)
	if v.again(err) {
		return askCancelPlan(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.billingHref(""), done(ui.T("The plan %s ends on %s.", out.PlanTitle, onDay(out.PeriodEnd))))
}

func resumePlan(v *visit) error {
	out, err := billing.ResumeSubscription.Call(v.ctx, v.Service, billing.ResumeInput{InOrganization: v.inOrg()}, v.form.options()...)
	if v.again(err) {
		return showBilling(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.billingHref(""), done(ui.T("The plan %s goes on.", out.PlanTitle)))
}

func openPortal(v *visit) error {
	out, err := billing.OpenPortal.Call(v.ctx, v.Service, billing.PortalInput{InOrganization: v.inOrg()}, v.form.options()...)
	if v.again(err) {
		return showBilling(v)
	}
	if err != nil {
		return err
	}
	return v.toProvider(ui.T("Means of payment"), ui.T("Means of payment are kept by the payment provider, and never here."), out.Address)
}

// toProvider leads to a payment provider's page. The address of a form's answer may be any of the provider's, which the
// page's policy does not know: without a script a link leads there.
func (v *visit) toProvider(title, text, address string) error {
	if ui.Fragment(v.r) {
		return v.away(address)
	}
	v.w.Header().Set("Cache-Control", "no-store")
	return v.page(ui.PageProps{Title: title, Lede: text, Crumb: v.billingCrumb()}, ui.Button(ui.ButtonProps{Text: ui.T("Go on at the payment provider"),
		Kind: ui.Primary, Icon: "external-link", Href: address}))
}

// invoicePage is one invoice, to read and to print.
type invoicePage struct {
	visit *visit
	billing.Invoice
}

func (v *visit) invoiceInput() billing.InvoiceInput {
	return billing.InvoiceInput{InOrganization: v.inOrg(), Invoice: v.r.PathValue("invoice")}
}

func showInvoice(v *visit) error {
	i, err := billing.GetInvoice.Call(v.ctx, v.Service, v.invoiceInput())
	if err != nil {
		return err
	}
	p := invoicePage{visit: v, Invoice: i}
	return v.page(ui.PageProps{Title: ui.T("Invoice %s", i.Number), Crumb: v.billingCrumb(), Actions: p.verbs(),
		Ways: v.same(billing.GetInvoice, "invoice", i.ID)}, p.show())
}

// verbs are what can be done with an invoice: what a payment provider issued is paid and downloaded there.
func (p invoicePage) verbs() component {
	if p.Provider == billing.Builtin {
		return ui.Button(ui.ButtonProps{Text: ui.T("Download PDF"), Icon: "download", Href: p.visit.billingHref("/invoices/" + p.ID + "/pdf")})
	}
	text := ui.T("See it at %s", titled(p.Provider))
	if p.State == billing.Open || p.State == billing.Overdue {
		text = ui.T("Pay it at %s", titled(p.Provider))
	}
	if p.Page == "" {
		return nil
	}
	return ui.Button(ui.ButtonProps{Text: text, Icon: "external-link", Href: p.Page})
}

// titled is a provider's name as it is written.
func titled(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

func (p invoicePage) facts() []ui.Fact {
	payer := p.Payer.Company
	if payer == "" {
		payer = p.Payer.Organization
	}
	facts := []ui.Fact{{Name: ui.T("From"), Value: ui.Text(p.visit.Service.Charter().Product)}, {Name: ui.T("To"), Value: ui.Text(payer)}}
	if p.Payer.Address != "" {
		facts = append(facts, ui.Fact{Name: ui.T("Address"), Value: inLines(p.Payer.Address)})
	}
	for _, f := range [][2]string{{ui.T("Tax number"), p.Payer.TaxID}, {ui.T("Reference"), p.Reference}} {
		if f[1] != "" {
			facts = append(facts, ui.Fact{Name: f[0], Value: ui.Text(f[1])})
		}
	}
	return append(facts, ui.Fact{Name: ui.T("Issued"), Value: ui.Text(onDay(p.IssuedAt))}, ui.Fact{Name: ui.T("Due"), Value: ui.Text(onDay(p.DueAt))},
		ui.Fact{Name: ui.T("State"), Value: ui.Badge(invoiceBadge(p.State))})
}

func downloadInvoice(v *visit) error {
	return v.download(billing.PrintInvoice, v.invoiceInput())
}

// whoManages names those who can change what is paid, for those who may see members.
func (v *visit) whoManages() (names []string) {
	if !v.can("members.view") {
		return nil
	}
	list, err := access.Holders.Call(v.ctx, v.Service, access.HoldersInput{InOrganization: v.inOrg(), Page: op.Page{Limit: 5}, Permission: changesBilling})
	if err != nil {
		return nil
	}
	for _, h := range list.Data {
		name := h.Name
		if name == "" {
			name = h.Email
		}
		names = append(names, name)
	}
	return names
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
