package console

import (
	"strings"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func plansPages() []page {
	return []page{
		{"GET /o/{slug}/settings/billing/plans", member, showPlans},
		{"GET /o/{slug}/settings/billing/plans/{plan}", member, previewPlan},
		{"POST /o/{slug}/settings/billing/plans/{plan}", member, changePlan},
	}
}

// plansPage is what is sold.
type plansPage struct {
	visit    *visit
	plans    []billing.PlanOffer
	interval billing.Interval
	managers []string // who can change the plan, where the viewer cannot
}

func showPlans(v *visit) error {
	list, err := billing.ListPlans.Call(v.ctx, v.Service, billing.ListPlansInput{InOrganization: v.inOrg()})
	if err != nil {
		return err
	}
	p := plansPage{visit: v, plans: list.Data, interval: billing.Monthly}
	if v.form.value("interval") == string(billing.Yearly) {
		p.interval = billing.Yearly
	}
	if !v.can(changesBilling) {
		p.managers = v.whoManages()
	}
	return v.page(ui.PageProps{Title: ui.T("Plans"), Lede: ui.T("What each plan gives and costs."), Crumb: v.billingCrumbFor(), Ways: v.same(billing.ListPlans)}, p.show())
}

// billingCrumbFor leads to the page above, as far as the viewer may read it.
func (v *visit) billingCrumbFor() ui.LinkProps {
	if v.can(readsBilling) {
		return v.billingCrumb()
	}
	return v.settingsCrumb()
}

// askOwner says who can change the plan, to those who cannot.
func (p plansPage) askOwner() string {
	if len(p.managers) == 0 {
		return ui.T("Only those who manage billing can change the plan. Ask an owner, with the address of this page.")
	}
	return ui.T("Only those who manage billing can change the plan. Ask %s, with the address of this page.", strings.Join(p.managers, ", "))
}

// tabs choose between the month and the year.
func (p plansPage) tabs() ui.TabsProps {
	href := p.visit.billingHref("/plans")
	return ui.TabsProps{Label: ui.T("How often it is paid"), Tabs: []ui.Tab{
		{Text: ui.T("By the month"), Href: href, Current: p.interval == billing.Monthly},
		{Text: ui.T("By the year"), Href: asking(href, "interval", string(billing.Yearly)), Current: p.interval == billing.Yearly}}}
}

// price is what a plan costs in the interval that is shown, or that it is not sold so.
func (p plansPage) price(o billing.PlanOffer) string {
	amount := o.Prices.Month
	if p.interval == billing.Yearly {
		amount = o.Prices.Year
	}
	switch {
	case o.Prices == billing.PlanPrices{}:
		return ui.T("Free")
	case amount == 0:
		return ui.T("Not sold in this interval")
	}
	return ui.T("%s %s", billing.Money(amount, o.Currency), everyInterval(p.interval))
}

// choose is the verb of a plan's card: to look at what the change would cost.
func (p plansPage) choose(o billing.PlanOffer) ui.ButtonProps {
	b := ui.ButtonProps{Text: ui.T("Choose %s", o.Title), Href: asking(p.visit.billingHref("/plans/"+o.ID), "interval", string(p.interval)), ID: o.ID}
	if o.Prices == (billing.PlanPrices{}) {
		b.Href = p.visit.billingHref("/plans/" + o.ID)
	}
	return b
}

// seatsOf says how many people fit.
func seatsOf(o billing.PlanOffer) string {
	if o.Seats == 0 {
		return ui.T("any number")
	}
	return number(o.Seats)
}

// comparison shows all plans beside each other: features, seats and limits.
func (p plansPage) comparison() ui.TableProps {
	t := ui.TableProps{ID: "comparison", Caption: ui.T("All plans compared"), ShowCaption: true, Columns: []ui.Column{{Title: ui.T("What")}}}
	for _, o := range p.plans {
		t.Columns = append(t.Columns, ui.Column{Title: o.Title})
	}
	add := func(name component, cell func(billing.PlanOffer) component) {
		row := ui.Row{Cells: []templ.Component{name}}
		for _, o := range p.plans {
			row.Cells = append(row.Cells, cell(o))
		}
		t.Rows = append(t.Rows, row)
	}
	add(ui.Text(ui.T("Seats")), func(o billing.PlanOffer) component { return ui.Text(seatsOf(o)) })
	for n, f := range p.plans[0].Features {
		add(ui.Text(f.Title), func(o billing.PlanOffer) component { return included(o.Features[n].Included) })
	}
	for n, l := range p.plans[0].Limits {
		add(ui.Text(l.Title), func(o billing.PlanOffer) component { return ui.Text(limitText(o.Limits[n])) })
	}
	return t
}

func included(has bool) component {
	if has {
		return ui.Badge(ui.BadgeProps{Text: ui.T("Yes"), Tone: ui.OK, Icon: "check"})
	}
	return ui.Muted(ui.T("No"))
}

// limitText says how much of a meter a plan gives in a month.
func limitText(l billing.PlanLimit) string {
	switch {
	case l.Hard != nil && *l.Hard == l.Included:
		return amount(l.Included, l.Unit)
	case l.Hard != nil:
		return ui.T("%s included, %s at most", amount(l.Included, l.Unit), amount(*l.Hard, l.Unit))
	case l.Included > 0 && l.Priced:
		return ui.T("%s included, more is charged", amount(l.Included, l.Unit))
	case l.Priced:
		return ui.T("unlimited, charged by use")
	}
	return ui.T("unlimited")
}

// grouped writes a number with a comma for each three digits.
func grouped(n int64) string {
	digits := number(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// wantedPlan is the change that the address and the form ask for.
func (v *visit) wantedPlan() billing.WantedPlan {
	return billing.WantedPlan{InOrganization: v.inOrg(), Plan: v.r.PathValue("plan"), Interval: billing.Interval(v.form.value("interval")), At: billing.When(v.form.value("at"))}
}

// previewPlan says what a change would cost and take away, and asks.
func previewPlan(v *visit) error {
	s, err := billing.GetSubscription.Call(v.ctx, v.Service, billing.GetSubscriptionInput{InOrganization: v.inOrg()})
	if err != nil {
		return err
	}
	p, err := billing.PreviewChange.Call(v.ctx, v.Service, v.wantedPlan())
	if err != nil {
		return err
	}
	c := confirmation{id: "change-plan", title: ui.T("Change the plan to %s", p.PlanTitle), cancel: v.billingHref("/plans"), version: s.ETag(), wide: true,
		submit: v.verb(changesBilling, ui.ButtonProps{Text: submitText(p), Kind: submitKind(p)}), ways: v.same(billing.ChangeSubscription, "plan", p.Plan, "interval", string(p.Interval))}
	c.text = []string{whenText(v, p)}
	c.affected = append(gainFacts(p.Gains), lossFacts(p.Loses)...)
	c.fields = previewParts{visit: v, ChangePreview: p}.show()
	if p.Direction == "same" && s.Change == nil {
		c.impossible, c.fields = ui.T("%s has this plan already, paid by the %s.", v.organization.Name, string(p.Interval)), nil
		c.helps = []ui.ButtonProps{{Text: ui.T("Look at the plans"), Href: v.billingHref("/plans")}}
	}
	return v.ask(c)
}

func submitText(p billing.ChangePreview) string {
	switch {
	case p.Direction == "same":
		return ui.T("Stay on %s", p.PlanTitle)
	case p.When == billing.AtPeriodEnd:
		return ui.T("Change to %s on %s", p.PlanTitle, p.At.Format("2 Jan"))
	case p.DueToday > 0:
		return ui.T("Change to %s for %s", p.PlanTitle, billing.Money(p.DueToday, p.Currency))
	}
	return ui.T("Change to %s now", p.PlanTitle)
}

func submitKind(p billing.ChangePreview) ui.ButtonKind {
	if p.Direction == "down" {
		return ui.Danger
	}
	return ui.Primary
}

func whenText(v *visit, p billing.ChangePreview) string {
	if p.When == billing.AtPeriodEnd {
		return ui.T("It takes effect on %s, at the end of what is paid. Until then everything stays, and it can be taken back.", onDay(p.At))
	}
	return ui.T("It takes effect at once, for everybody in %s.", v.organization.Name)
}

func gainFacts(gains []billing.PlanFeature) (facts []ui.Fact) {
	for _, f := range gains {
		facts = append(facts, ui.Fact{Name: f.Title, Value: ui.Text(ui.T("is gained. %s", f.Brings))})
	}
	return facts
}

// lossFacts say what is lost, one by one.
func lossFacts(l billing.Losses) (facts []ui.Fact) {
	for _, f := range l.Features {
		facts = append(facts, ui.Fact{Name: f.Title, Value: ui.Text(ui.T("is lost. %s", f.Brings))})
	}
	if s := l.Seats; s != nil {
		facts = append(facts, ui.Fact{Name: ui.T("Seats"), Value: ui.Text(seatLossText(*s))})
	}
	for _, m := range l.Limits {
		facts = append(facts, ui.Fact{Name: m.Title, Value: ui.Text(ui.T("%s are used this month, and %s is the most then", grouped(m.Used), grouped(m.Hard)))})
	}
	for _, s := range l.Settings {
		facts = append(facts, ui.Fact{Name: ui.T("Settings"), Value: ui.Text(s.Text)})
	}
	return facts
}

func seatLossText(s billing.SeatLoss) string {
	parts := []string{ui.T("%d from %s on.", s.Limit, onDay(s.At)), ui.T("All %d members stay.", s.Members)}
	if s.Over > 0 {
		parts = append(parts, ui.T("They are %d more than there are seats.", s.Over))
	}
	if s.Invitations > 0 {
		parts = append(parts, ui.N(int(s.Invitations), "1 invitation is frozen until a seat is free.", "%d invitations are frozen until a seat is free."))
	}
	return strings.Join(parts, " ")
}

// previewParts are the amounts of a change.
type previewParts struct {
	visit *visit
	billing.ChangePreview
}

func changePlan(v *visit) error {
	in := billing.ChangeInput{WantedPlan: v.wantedPlan()}
	if most, ok := v.form.number("at_most"); ok {
		in.AtMost = &most
	}
	out, err := billing.ChangeSubscription.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return previewPlan(v)
	}
	if err != nil {
		return err
	}
	if out.Checkout != "" {
		return v.toProvider(ui.T("Pay"), ui.T("The plan is there as soon as the payment provider says that it is paid."), out.Checkout)
	}
	return v.redirect(v.billingHref(""), done(changedText(out)))
}

func changedText(out billing.ChangedSubscription) string {
	switch {
	case out.Change != nil:
		return ui.T("The plan becomes %s on %s.", out.Change.PlanTitle, onDay(out.Change.At))
	case out.DueToday > 0:
		return ui.T("The plan is %s now. %s is invoiced.", out.PlanTitle, billing.Money(out.DueToday, out.Currency))
	}
	return ui.T("The plan is %s now.", out.PlanTitle)
}

// lock is a feature that the organization's plan does not have: what it brings, and with which plan.
type lock struct {
	title, brings, plan, price, href string
}

// locked is what is shown in place of a feature that the plan lacks; false: the plan has it, or it is not sold.
func (v *visit) locked(feature string) (lock, bool) {
	c := v.Service.Charter()
	plan, sold := c.PlanWith(feature)
	if !sold || c.Unlocked(v.principal.Plan, feature) {
		return lock{}, false
	}
	f := c.Feature(feature)
	l := lock{title: f.Title, brings: f.Brings, plan: plan.Title, href: v.billingHref("/plans")}
	if v.can(changesBilling) {
		l.href = v.billingHref("/plans/" + plan.ID)
		if plan.Prices.Month > 0 {
			l.price = billing.Money(plan.Prices.Month, c.Currency)
		}
	}
	return l, true
}

// locks are the features among some that the plan lacks.
func (v *visit) locks(features ...string) (all []lock) {
	for _, f := range features {
		if l, ok := v.locked(f); ok {
			all = append(all, l)
		}
	}
	return all
}
