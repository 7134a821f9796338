package console

import (
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/usage"
)

func alertsPages() []page {
	return []page{
		{"GET /o/{slug}/settings/usage/alerts", member, showAlerts},
		{"GET /o/{slug}/settings/usage/alerts/new", member, askBudget},
		{"POST /o/{slug}/settings/usage/alerts/new", member, newBudget},
		{"GET /o/{slug}/settings/usage/alerts/{budget}", member, askBudgetChange},
		{"POST /o/{slug}/settings/usage/alerts/{budget}", member, changeBudget},
		{"GET /o/{slug}/settings/usage/alerts/{budget}/delete", member, askBudgetEnd},
		{"POST /o/{slug}/settings/usage/alerts/{budget}/delete", member, deleteBudget},
	}
}

const managesBudgets charter.Permission = "budgets.manage"

func (v *visit) alertsHref(path string) string { return v.usageHref("/alerts" + path) }

func (v *visit) alertsCrumb() ui.LinkProps {
	return ui.LinkProps{Text: ui.T("Limits and budgets"), Href: v.alertsHref("")}
}

// alertsPage is where use ends, and where people are told before.
type alertsPage struct {
	visit   *visit
	budgets []usage.Budget
	quotas  []usage.Quota
	limits  op.List[usage.OwnLimit] // for those who manage budgets, as is history
	history op.List[usage.Warning]
}

func showAlerts(v *visit) error {
	p := alertsPage{visit: v}
	budgets, err := usage.ListBudgets.Call(v.ctx, v.Service, usage.ListBudgetsInput{InOrganization: v.inOrg()})
	if err != nil {
		return err
	}
	quotas, err := usage.GetQuotas.Call(v.ctx, v.Service, usage.GetQuotasInput{InOrganization: v.inOrg()})
	if err != nil {
		return err
	}
	p.budgets, p.quotas = budgets.Data, quotas.Quotas
	if v.can(managesBudgets) {
		if p.limits, err = usage.ListLimits.Call(v.ctx, v.Service, usage.ListLimitsInput{InOrganization: v.inOrg(), Page: v.pageOf()}); err != nil {
			return err
		}
		if p.history, err = usage.ListWarnings.Call(v.ctx, v.Service, usage.HistoryInput{InOrganization: v.inOrg(), Page: op.Page{Limit: 20}}); err != nil {
			return err
		}
	}
	return v.page(ui.PageProps{Title: ui.T("Limits and budgets"), Lede: ui.T("Where use ends, and who is told before that."), Crumb: v.usageCrumb(),
		Actions: ui.Button(v.newBudgetVerb()), Ways: v.same(usage.ListBudgets)}, p.show())
}

func (v *visit) newBudgetVerb() ui.ButtonProps {
	return v.verb(managesBudgets, ui.ButtonProps{Text: ui.T("Make a budget"), Icon: "plus", Kind: ui.Primary, Href: v.alertsHref("/new"), Hotkey: "n"})
}

// units writes an amount of a budget: of a meter, or of money.
func (v *visit) units(n int64, meter string) string {
	if m, ok := v.Service.Charter().Meter(meter); ok {
		return amount(n, m.Unit)
	}
	return billing.Money(n, v.Service.Charter().Currency)
}

// about is what a budget is about.
func (v *visit) budgetSubject(b usage.Budget) string {
	if b.Meter == "" {
		return ui.T("Money of all meters")
	}
	m, ok := v.Service.Charter().Meter(b.Meter)
	if !ok {
		return b.Meter
	}
	return m.Title
}

func (p alertsPage) budgetTable() ui.TableProps {
	t := ui.TableProps{ID: "budgets", Caption: ui.T("Budgets"), Empty: p.noBudget(), Columns: []ui.Column{{Title: ui.T("Budget")}, {Title: ui.T("About")}, {Title: ui.T("Used")},
		{Title: ui.T("People are told at")}, {Title: ui.T("At 100 percent")}}}
	may := p.visit.can(managesBudgets)
	if may {
		t.Columns = append(t.Columns, ui.Column{Title: ui.T("Actions"), Acts: true})
	}
	for _, b := range p.budgets {
		r := ui.Row{ID: b.ID, Cells: []templ.Component{ui.Text(b.Name), ui.Text(p.visit.budgetSubject(b)), ui.Join(ui.Text(ui.T("%s of %s", p.visit.units(b.Used, b.Meter), p.visit.units(b.Amount, b.Meter))),
			ui.Badge(budgetBadge(b))), ui.Text(thresholdText(b.Thresholds)), ui.Text(actionText(b.Action))}}
		if may {
			r.Cells = append(r.Cells, ui.Menu(ui.MenuProps{ID: "menu-" + b.ID, Label: ui.T("Actions for %s", b.Name), Items: []ui.MenuItem{
				{Text: ui.T("Change"), Icon: "pencil", Href: p.visit.alertsHref("/" + b.ID)},
				{Text: ui.T("Delete"), Icon: "trash-2", Href: p.visit.alertsHref("/" + b.ID + "/delete"), Dialog: true, Danger: true}}}))
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

func (p alertsPage) noBudget() component {
	return ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("There is no budget yet. One tells people before a month costs or uses more than they want, and can stop work that asks first."),
		Docs:    ui.LinkProps{Text: ui.T("How budgets work"), Href: p.visit.href("/docs/usage#thresholds-and-budgets")},
		Command: p.visit.same(usage.CreateBudget, "name", "Every month", "meter", p.visit.firstMeter(), "amount", "1000").Command})
}

// firstMeter is the meter that an example names.
func (v *visit) firstMeter() string {
	if !v.counts() {
		return ""
	}
	return v.Service.Charter().Meters[0].ID
}

func budgetBadge(b usage.Budget) ui.BadgeProps {
	badge := ui.BadgeProps{Text: ui.T("%d %%", b.Percent)}
	switch {
	case b.Percent >= 100:
		badge.Tone = ui.Bad
	case len(b.Reached) > 0:
		badge.Tone = ui.Warn
	}
	return badge
}

func thresholdText(thresholds []int64) string {
	words := make([]string, len(thresholds))
	for i, t := range thresholds {
		words[i] = strconv.FormatInt(t, 10) + " %"
	}
	return strings.Join(words, ", ")
}

func actionText(action string) string {
	if action == usage.ActionStop {
		return ui.T("Nothing more is reserved")
	}
	return ui.T("People are told")
}

// planTable is what the plan gives, which nobody sets here.
func (p alertsPage) planTable() ui.TableProps {
	t := ui.TableProps{ID: "plan", Caption: ui.T("What the plan gives"), Columns: []ui.Column{{Title: ui.T("Meter")}, {Title: ui.T("Included"), Number: true},
		{Title: ui.T("Warned from"), Number: true}, {Title: ui.T("Limit"), Number: true}}}
	for _, q := range p.quotas {
		end := ui.T("none")
		if q.Limit != nil {
			end = amount(*q.Limit, q.Unit)
		}
		from := ui.T("80 percent")
		if q.Soft != nil {
			from = amount(*q.Soft, q.Unit)
		} else if q.Limit == nil && q.Included == 0 {
			from = ui.T("nowhere")
		}
		t.Rows = append(t.Rows, ui.Row{Cells: []templ.Component{ui.Text(q.Title), ui.Text(amount(q.Included, q.Unit)), ui.Text(from), ui.Text(end)}})
	}
	return t
}

func (p alertsPage) historyTable() ui.TableProps {
	t := ui.TableProps{ID: "history", Caption: ui.T("What was reached"), Columns: []ui.Column{{Title: ui.T("Budget or limit")}, {Title: ui.T("Reached")}, {Title: ui.T("Used"), Number: true}, {Title: ui.T("People were told")}},
		Empty: ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("Nothing was reached so far.")})}
	for _, w := range p.history.Data {
		name := w.Name
		if name == "" {
			name = ui.T("a budget that is gone")
		}
		t.Rows = append(t.Rows, ui.Row{Cells: []templ.Component{ui.Text(name), ui.Text(ui.T("%d %%", w.Threshold)), ui.Text(ui.Number(w.Quantity)), p.visit.at(w.At)}})
	}
	return t
}

// budgetForm is the form of a budget, new or not.
type budgetForm struct {
	visit  *visit
	was    usage.Budget // as it is now; empty: a new one
	impact *op.Impact   // when it would have fired; nil: nobody asked
}

// askBudget shows the form of a new budget. Whoever may not make one is told.
func askBudget(v *visit) error { return v.showBudgetForm(budgetForm{visit: v}) }

func (v *visit) showBudgetForm(f budgetForm) error {
	if err := v.demandAny([]charter.Permission{managesBudgets}); err != nil {
		return err
	}
	if f.was.ID == "" {
		return v.page(ui.PageProps{Title: ui.T("Make a budget"), Lede: ui.T("An amount that a period should not exceed."), Crumb: v.alertsCrumb(),
			Ways: v.same(usage.CreateBudget, "name", v.form.or("name", "Every month"), "meter", v.form.value("meter"), "amount", v.form.or("amount", "1000"))},
			f.fields(v.alertsHref("/new"), ui.T("Make the budget")))
	}
	return v.page(ui.PageProps{Title: ui.T("Change %s", f.was.Name), Crumb: v.alertsCrumb(), Ways: v.same(usage.UpdateBudget, "budget", f.was.ID, "amount", number(f.was.Amount))},
		f.fields(v.alertsHref("/"+f.was.ID), ui.T("Save the budget")))
}

// budgetFields are what the form says. What cannot be read is marked, and false.
func (v *visit) budgetFields() (f usage.BudgetFields, ok bool) {
	f.Meter, f.Action, ok = v.form.value("meter"), v.form.value("action"), true
	if f.Meter == moneyMeter {
		f.Meter = ""
	}
	if f.Amount, ok = v.readAmount(v.form.value("amount"), f.Meter); !ok {
		v.form.say("amount", ui.T("Say how much, as a number such as 1000."))
	}
	for _, word := range strings.FieldsFunc(v.form.value("thresholds"), func(r rune) bool { return strings.ContainsRune(", %;", r) }) {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			v.form.say("thresholds", ui.T("Say percents, such as 50, 80, 100."))
			return f, false
		}
		f.Thresholds = append(f.Thresholds, n)
	}
	return f, ok
}

// moneyMeter stands in the form for the money of all meters.
const moneyMeter = "-"

// readAmount reads an amount of a meter, or of money with the places of its currency.
func (v *visit) readAmount(text, meter string) (int64, bool) {
	text = strings.NewReplacer(",", "", " ", "").Replace(text)
	if meter == "" {
		_, zeros, _ := strings.Cut(billing.Money(0, v.Service.Charter().Currency), ".")
		whole, places, _ := strings.Cut(text, ".")
		if len(places) > len(zeros) {
			return 0, false
		}
		text = whole + places + zeros[len(places):]
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n > 0
}

// amountText is an amount as readAmount reads it.
func (f budgetForm) amountText() string {
	switch {
	case f.was.Amount == 0:
		return ""
	case f.was.Meter == "":
		_, text, _ := strings.Cut(billing.Money(f.was.Amount, f.visit.Service.Charter().Currency), " ")
		return text
	}
	return number(f.was.Amount)
}

// looks reports whether the form only asks when the budget would have fired. One that stops work always does, until it
// was seen.
func (v *visit) looks() bool {
	return v.form.value(stepField) == "look" || v.form.value("action") == usage.ActionStop && v.form.value(confirmField) != usage.ActionStop
}

func newBudget(v *visit) error {
	f := budgetForm{visit: v}
	fields, ok := v.budgetFields()
	if !ok {
		return askBudget(v)
	}
	in := usage.CreateBudgetInput{InOrganization: v.inOrg(), Name: v.form.value("name"), BudgetFields: fields}
	if v.looks() {
		impact, err := v.dryRun(usage.CreateBudget, in)
		return v.budgetAgain(f, impact, err)
	}
	b, err := usage.CreateBudget.Call(v.ctx, v.Service, in, v.form.options()...)
	if err != nil {
		return v.budgetAgain(f, op.Impact{}, err)
	}
	return v.redirect(v.alertsHref(""), done(ui.T("The budget %s is in force.", b.Name)))
}

// budgetAgain shows the form again, with what a dry run said or with what is wrong.
func (v *visit) budgetAgain(f budgetForm, impact op.Impact, err error) error {
	switch {
	case err == nil:
		f.impact = &impact
	case !v.again(err):
		return err
	}
	return v.showBudgetForm(f)
}

// budget is the one that the address names.
func (v *visit) budget() (usage.Budget, error) {
	all, err := usage.ListBudgets.Call(v.ctx, v.Service, usage.ListBudgetsInput{InOrganization: v.inOrg()})
	for _, b := range all.Data {
		if b.ID == v.r.PathValue("budget") {
			return b, nil
		}
	}
	if err == nil {
		err = op.ErrNotFound
	}
	return usage.Budget{}, err
}

func askBudgetChange(v *visit) error {
	b, err := v.budget()
	if err != nil {
		return err
	}
	return v.showBudgetForm(budgetForm{visit: v, was: b})
}

func changeBudget(v *visit) error {
	b, err := v.budget()
	if err != nil {
		return err
	}
	f := budgetForm{visit: v, was: b}
	fields, ok := v.budgetFields()
	if !ok {
		return v.showBudgetForm(f)
	}
	in := usage.UpdateBudgetInput{InOrganization: v.inOrg(), Budget: b.ID, Name: v.form.value("name"), BudgetFields: fields}
	if v.looks() {
		impact, err := v.dryRun(usage.UpdateBudget, in)
		return v.budgetAgain(f, impact, err)
	}
	if b, err = usage.UpdateBudget.Call(v.ctx, v.Service, in, v.form.options()...); err != nil {
		return v.budgetAgain(f, op.Impact{}, err)
	}
	return v.redirect(v.alertsHref(""), done(ui.T("The budget %s is changed.", b.Name)))
}

func askBudgetEnd(v *visit) error {
	if err := v.demandAny([]charter.Permission{managesBudgets}); err != nil {
		return err
	}
	b, err := v.budget()
	if err != nil {
		return err
	}
	return v.ask(confirmation{id: "delete-budget", title: ui.T("Delete the budget %s", b.Name), version: b.ETag(), cancel: v.alertsHref(""),
		text:   []string{ui.T("Nobody is told any more, and it stops nothing. What it has told stays in the history.")},
		submit: ui.ButtonProps{Text: ui.T("Delete %s", b.Name), Kind: ui.Danger}, ways: v.same(usage.DeleteBudget, "budget", b.ID)})
}

func deleteBudget(v *visit) error {
	b, err := usage.DeleteBudget.Call(v.ctx, v.Service, usage.DeleteBudgetInput{InOrganization: v.inOrg(), Budget: v.r.PathValue("budget")}, v.form.options()...)
	if v.again(err) {
		return askBudgetEnd(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.alertsHref(""), done(ui.T("The budget %s is deleted.", b.Name)))
}

// etag is the version that the form was made from; empty for a new budget.
func (f budgetForm) etag() string {
	if f.was.ID == "" {
		return ""
	}
	return f.was.ETag()
}

func (f budgetForm) input(name, label, hint, value, most string) ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: name, Label: label, Hint: hint, Error: f.visit.form.error(name)}, Value: f.visit.form.or(name, value), MaxLength: most}
}

// about chooses a meter, or money for those who may see that.
func (f budgetForm) about() ui.SelectProps {
	value := f.was.Meter
	if f.was.ID == "" {
		value = f.visit.firstMeter()
	} else if value == "" {
		value = moneyMeter
	}
	s := ui.SelectProps{FieldProps: ui.FieldProps{Name: "meter", Label: ui.T("About"), Error: f.visit.form.error("meter")}, Value: f.visit.form.or("meter", value)}
	for _, m := range f.visit.Service.Charter().Meters {
		s.Options = append(s.Options, ui.Option{Value: m.ID, Text: ui.T("%s, in %s", m.Title, m.Unit)})
	}
	if f.visit.can("cost.view") {
		s.Options = append(s.Options, ui.Option{Value: moneyMeter, Text: ui.T("Money of all meters, in %s", f.visit.Service.Charter().Currency)})
	}
	return s
}

func (f budgetForm) thresholds() string {
	if f.was.ID == "" {
		return "50, 80, 100"
	}
	words := make([]string, len(f.was.Thresholds))
	for i, t := range f.was.Thresholds {
		words[i] = number(t)
	}
	return strings.Join(words, ", ")
}

// action chooses what happens at 100 percent, each with what it does.
func (f budgetForm) action() ui.ChoicesProps {
	value := f.was.Action
	if value == "" {
		value = usage.ActionNotify
	}
	return ui.ChoicesProps{FieldProps: ui.FieldProps{Name: "action", Label: ui.T("At 100 percent"), Error: f.visit.form.error("action")}, Value: f.visit.form.or("action", value), Options: []ui.Option{
		{Value: usage.ActionNotify, Text: ui.T("Tell people"), Hint: ui.T("Everybody who manages budgets gets a mail. Work goes on.")},
		{Value: usage.ActionStop, Text: ui.T("Stop"), Hint: ui.T("They get a mail, and nothing more is reserved until the period ends: work that asks first is refused. What is recorded without asking counts all the same.")}}}
}

// stops reports whether the form is about to make a budget that stops work, and has shown when it would have.
func (f budgetForm) stops() bool {
	return f.impact != nil && f.visit.form.value("action") == usage.ActionStop
}

// fired are the last periods, each with what would have happened.
func (f budgetForm) fired() []ui.Fact {
	facts := make([]ui.Fact, len(f.impact.Effects))
	for i, e := range f.impact.Effects {
		facts[i] = ui.Fact{Name: ui.T("Period from %s", e.ID), Value: ui.Text(capitalised(e.Text))}
	}
	return facts
}
