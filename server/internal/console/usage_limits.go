package console

import (
	"cmp"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/usage"
)

func limitsPages() []page {
	return []page{
		{"GET /o/{slug}/settings/usage/limits", member, askLimit},
		{"POST /o/{slug}/settings/usage/limits", member, setLimit},
		{"GET /o/{slug}/settings/usage/limits/{subject}/{meter}/delete", member, askLimitEnd},
		{"POST /o/{slug}/settings/usage/limits/{subject}/{meter}/delete", member, deleteLimit},
	}
}

func (v *visit) newLimitVerb() ui.ButtonProps {
	return ui.ButtonProps{Text: ui.T("Limit a member or key"), Icon: "plus", Href: v.usageHref("/limits")}
}

// limitTable lists the limits of members and keys.
func (p alertsPage) limitTable() ui.TableProps {
	t := ui.TableProps{ID: "own-limits", Caption: ui.T("Limits of members and keys"), Pager: pagerOf(p.visit.alertsHref(""), p.visit.form.values, p.limits.NextCursor),
		Columns: []ui.Column{{Title: ui.T("Member or key")}, {Title: ui.T("Meter")}, {Title: ui.T("Used"), Number: true}, {Title: ui.T("Limit"), Number: true}, {Title: ui.T("Actions"), Acts: true}},
		Empty:   ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("No member and no key has a limit of its own: what the organization has is there for all.")})}
	for _, l := range p.limits.Data {
		m, _ := p.visit.Service.Charter().Meter(l.Meter)
		t.Rows = append(t.Rows, ui.Row{Cells: []templ.Component{limitSubject(l), ui.Text(cmp.Or(m.Title, l.Meter)), ui.Text(amount(l.Used, m.Unit)), ui.Text(amount(l.Limit, m.Unit)),
			ui.Menu(ui.MenuProps{ID: "menu-" + l.Subject + "-" + l.Meter, Label: ui.T("Actions for %s", cmp.Or(l.Name, l.Subject)), Items: []ui.MenuItem{
				{Text: ui.T("Change"), Icon: "pencil", Href: asking(p.visit.usageHref("/limits"), "subject", l.Subject, "meter", l.Meter, "limit", number(l.Limit))},
				{Text: ui.T("Remove"), Icon: "trash-2", Href: p.visit.limitHref(l.Subject, l.Meter), Dialog: true, Danger: true}}})}})
	}
	return t
}

func (v *visit) limitHref(subject, meter string) string {
	return v.usageHref("/limits/" + subject + "/" + meter + "/delete")
}

// limitSubject is whom a limit is about.
func limitSubject(l usage.OwnLimit) component {
	if l.Name == "" {
		return ui.Code(l.Subject)
	}
	return ui.Text(l.Name)
}

// limitForm is the form of a limit of a member or key.
type limitForm struct {
	visit    *visit
	subjects map[string]string // names by id; nil: the viewer sees neither members nor keys
}

func askLimit(v *visit) error {
	if err := v.demandAny([]charter.Permission{managesBudgets}); err != nil {
		return err
	}
	f := limitForm{visit: v}
	var err error
	if f.subjects, err = v.limitable(); err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Limit a member or key"), Lede: ui.T("How much there is for them in a period, below what the organization has."), Crumb: v.alertsCrumb(),
		Ways: v.same(usage.SetLimit, "subject", v.form.or("subject", "MEMBER"), "meter", v.form.or("meter", v.firstMeter()), "limit", v.form.or("limit", "100"))}, f.fields())
}

// limitable are the members and keys that the viewer sees, of as many as one page of each list has.
func (v *visit) limitable() (map[string]string, error) {
	names, err := v.memberNames()
	if err != nil || !v.can("keys.inspect") {
		return names, err
	}
	if names == nil {
		names = map[string]string{}
	}
	keys, err := credential.ListKeys.Call(v.ctx, v.Service, credential.ListKeysInput{InOrganization: v.inOrg(), Page: op.Page{Limit: 100}, State: "active"})
	for _, k := range keys.Data {
		if k.ID != "" {
			names[k.ID] = ui.T("Key %s", k.Name)
		}
	}
	return names, err
}

// subject chooses whom the limit is about.
func (f limitForm) subject() component {
	field := ui.FieldProps{Name: "subject", Label: ui.T("Member or key"), Error: f.visit.form.error("subject")}
	value := f.visit.form.value("subject")
	if len(f.subjects) == 0 {
		return ui.Input(ui.InputProps{FieldProps: field, Value: value, MaxLength: "64"})
	}
	return ui.Select(ui.SelectProps{FieldProps: field, Value: value, Options: chosenFrom(ui.T("Choose"), f.subjects, value)})
}

// meter chooses one that adds up.
func (f limitForm) meter() ui.SelectProps {
	s := ui.SelectProps{FieldProps: ui.FieldProps{Name: "meter", Label: ui.T("Meter"), Error: f.visit.form.error("meter")}, Value: f.visit.form.value("meter")}
	for _, m := range f.visit.Service.Charter().Meters {
		if m.Adds() {
			s.Options = append(s.Options, ui.Option{Value: m.ID, Text: ui.T("%s, in %s", m.Title, m.Unit)})
		}
	}
	if s.Value == "" && len(s.Options) > 0 {
		s.Value = s.Options[0].Value
	}
	return s
}

func (f limitForm) limit() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "limit", Label: ui.T("Limit"), Hint: ui.T("In a period. What they used in this one counts from its beginning."), Error: f.visit.form.error("limit")},
		Value: f.visit.form.value("limit"), InputMode: "numeric", MaxLength: "20"}
}

func setLimit(v *visit) error {
	limit, ok := v.form.number("limit")
	if !ok {
		v.form.say("limit", ui.T("Say how much, as a whole number such as 100."))
	}
	if v.form.value("subject") == "" {
		v.form.say("subject", ui.T("Say who: a member or a key."))
	}
	if len(v.form.wrong) > 0 {
		return askLimit(v)
	}
	_, err := usage.SetLimit.Call(v.ctx, v.Service, usage.SetLimitInput{InOrganization: v.inOrg(), Subject: v.form.value("subject"), Meter: v.form.value("meter"), Limit: limit}, v.form.options()...)
	if v.again(err) {
		return askLimit(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.alertsHref("#limits"), done(ui.T("The limit is in force.")))
}

func askLimitEnd(v *visit) error {
	if err := v.demandAny([]charter.Permission{managesBudgets}); err != nil {
		return err
	}
	subject, meter := v.r.PathValue("subject"), v.r.PathValue("meter")
	limits, err := usage.ListLimits.Call(v.ctx, v.Service, usage.ListLimitsInput{InOrganization: v.inOrg(), Subject: subject, Page: op.Page{Limit: 100}})
	if err != nil {
		return err
	}
	for _, l := range limits.Data {
		if l.Meter == meter {
			name := cmp.Or(l.Name, l.Subject)
			return v.ask(confirmation{id: "delete-limit", title: ui.T("Remove the limit of %s", name), cancel: v.alertsHref(""),
				text:   []string{ui.T("What the plan gives the organization is theirs too.")},
				submit: ui.ButtonProps{Text: ui.T("Remove the limit"), Kind: ui.Danger}, ways: v.same(usage.DeleteLimit, "subject", subject, "meter", meter)})
		}
	}
	return op.ErrNotFound
}

func deleteLimit(v *visit) error {
	_, err := usage.DeleteLimit.Call(v.ctx, v.Service, usage.DeleteLimitInput{InOrganization: v.inOrg(), Subject: v.r.PathValue("subject"), Meter: v.r.PathValue("meter")}, v.form.options()...)
	if v.again(err) {
		return askLimitEnd(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.alertsHref("#limits"), done(ui.T("The limit is gone.")))
}
