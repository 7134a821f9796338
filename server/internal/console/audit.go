package console

import (
	"fmt"
	"strings"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func auditPages() []page {
	return []page{
		{"GET /o/{slug}/settings/audit-log", member, showAudit},
		{"GET /o/{slug}/settings/audit-log/export", member, exportAudit},
		{"GET /o/{slug}/settings/audit-log/{event}", member, showEvent},
	}
}

// auditPage is a page of the audit log.
type auditPage struct {
	visit *visit
	list  op.List[audit.Event]
}

// showAudit lists the events that the address asks for. A filter that cannot be understood comes back with what is
// wrong.
func showAudit(v *visit) error {
	p := auditPage{visit: v}
	var err error
	p.list, err = audit.ListEvents.Call(v.ctx, v.Service, audit.ListEventsInput{InOrganization: v.inOrg(), Page: v.pageOf(), Filter: v.auditFilter()})
	if err != nil && !v.again(err) {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Audit log"), Lede: ui.T("What happened in %s, the newest first. Nothing in it can be changed or deleted.", v.organization.Name),
		Crumb: v.settingsCrumb(), Actions: p.export(),
		Ways: v.same(audit.ListEvents, v.auditFilters()...)}, p.show())
}

// auditFilter is what the address asks for.
func (v *visit) auditFilter() audit.Filter {
	return audit.Filter{Query: v.form.value("q"), Actor: v.form.value("actor"), Action: v.form.value("action"), Target: v.form.value("target"),
		Outcome: v.form.value("outcome"), From: v.form.value("after"), Until: v.form.value("before")}
}

// auditFilters are the filters in force, as names and values.
func (v *visit) auditFilters() []string { return v.form.filters(auditFields...) }

// auditFields are the fields of audit.Filter.
var auditFields = []string{"q", "actor", "action", "target", "outcome", "after", "before"}

// export leads to exactly the filtered events as CSV; nil for those who may not.
func (p auditPage) export() component {
	if !p.visit.can("audit.export") {
		return nil
	}
	return ui.Button(ui.ButtonProps{Text: ui.T("Export CSV"), Icon: "download", Href: asking(p.visit.org("/settings/audit-log/export"), p.visit.auditFilters()...)})
}

// exportAudit streams the filtered events.
func exportAudit(v *visit) error {
	return v.download(audit.ExportEvents, audit.ExportEventsInput{InOrganization: v.inOrg(), Filter: v.auditFilter()})
}

// sentences are events in words.
func (v *visit) sentences(events []audit.Event) []ui.SentenceProps {
	all := make([]ui.SentenceProps, len(events))
	for i, e := range events {
		actor := e.Actor.Name
		if actor == "" {
			actor, _, _ = strings.Cut(e.Sentence, " ") // an address, "Somebody", "Guildhall"
		}
		all[i] = ui.SentenceProps{Actor: actor, Parts: []ui.Part{{Text: e.Sentence}}, Time: ui.TimeProps{At: e.Time, Now: v.now},
			Href: v.org("/settings/audit-log/" + e.ID)}
	}
	return all
}

// questions are those that people bring to an audit log, each one press away.
func (p auditPage) questions() []ui.LinkProps {
	ask := func(text string, pairs ...string) ui.LinkProps {
		return ui.LinkProps{Text: text, Href: asking(p.visit.org("/settings/audit-log"), pairs...)}
	}
	return []ui.LinkProps{
		ask(ui.T("Who invited?"), "q", "action:invitations.create_many"),
		ask(ui.T("Who changed a role?"), "q", "action:members.update"),
		ask(ui.T("Who was removed?"), "q", "action:members.remove"),
		ask(ui.T("Who changed the settings?"), "q", "action:organizations.update"),
		ask(ui.T("What was refused?"), "outcome", "denied"),
		ask(ui.T("Leave out who looked"), "q", lookedAt),
	}
}

func (p auditPage) filters() ui.FilterBarProps {
	path := p.visit.org("/settings/audit-log")
	bar := ui.FilterBarProps{Action: path, ClearHref: path, Search: ui.InputProps{
		FieldProps: ui.FieldProps{Name: "q", Label: ui.T("Search the audit log"), HideLabel: true, Error: p.visit.form.error("q")}, Type: "search",
		Value: p.visit.form.value("q"), Placeholder: "action:members.remove created:>2026-11-01", Hotkey: "/"}}
	for _, name := range auditFields {
		bar.Chips = append(bar.Chips, p.visit.chip(path, name, ui.T("%s: %s", name, p.visit.form.value(name)))...)
	}
	return bar
}

func (p auditPage) field(name, label, kind, placeholder string) ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: name, Label: label, Error: p.visit.form.error(name)}, Type: kind, Value: p.visit.form.value(name), Placeholder: placeholder}
}

// actions are the operations that write to the log.
func (p auditPage) actions() ui.SelectProps {
	s := ui.SelectProps{FieldProps: ui.FieldProps{Name: "action", Label: ui.T("Action")}, Value: p.visit.form.value("action"), Options: []ui.Option{{Text: ui.T("Any action")}}}
	for _, o := range p.visit.Service.Operations() {
		if i := o.Info(); i.Changes() && i.Scope == op.Organization {
			s.Options = append(s.Options, ui.Option{Value: i.Name, Text: i.Name})
		}
	}
	return s
}

func (p auditPage) outcomes() ui.SelectProps {
	s := ui.SelectProps{FieldProps: ui.FieldProps{Name: "outcome", Label: ui.T("Outcome")}, Value: p.visit.form.value("outcome"), Options: []ui.Option{{Text: ui.T("Any outcome")}}}
	for _, o := range []op.Outcome{op.OutcomeOK, op.OutcomeUnchanged, op.OutcomeDenied, op.OutcomeFailed} {
		s.Options = append(s.Options, ui.Option{Value: string(o), Text: outcomeBadge(o).Text})
	}
	return s
}

// outcomeBadge says how a call ended, as a word.
func outcomeBadge(o op.Outcome) ui.BadgeProps {
	switch o {
	case op.OutcomeOK:
		return ui.BadgeProps{Text: ui.T("Done"), Tone: ui.OK}
	case op.OutcomeDenied:
		return ui.BadgeProps{Text: ui.T("Refused"), Tone: ui.Bad}
	case op.OutcomeFailed:
		return ui.BadgeProps{Text: ui.T("Failed"), Tone: ui.Warn}
	}
	return ui.BadgeProps{Text: ui.T("Nothing changed")}
}

func (p auditPage) table() ui.TableProps {
	t := ui.TableProps{ID: "events", Caption: ui.T("Events"), Empty: p.none(),
		Columns: []ui.Column{{Title: ui.T("What happened")}, {Title: ui.T("Actor")}, {Title: ui.T("Outcome")}, {Title: ui.T("When")}},
		Pager:   pagerOf(p.visit.org("/settings/audit-log"), p.visit.form.values, p.list.NextCursor)}
	for _, e := range p.list.Data {
		t.Rows = append(t.Rows, ui.Row{ID: e.ID, Cells: []templ.Component{
			ui.Link(ui.LinkProps{Text: e.Sentence, Href: p.visit.org("/settings/audit-log/" + e.ID)}), actorCell(e), ui.Badge(outcomeBadge(e.Outcome)), p.visit.at(e.Time)}})
	}
	return t
}

func actorCell(e audit.Event) component {
	switch {
	case e.Actor.Name != "":
		return ui.Text(e.Actor.Name)
	case e.Actor.Email != "":
		return ui.Text(e.Actor.Email)
	}
	return ui.Muted(string(e.Actor.Kind))
}

func (p auditPage) none() component {
	return ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("No event matches. Leave a filter out, or look at a longer time."),
		Verb: &ui.ButtonProps{Text: ui.T("Clear filters"), Href: p.visit.org("/settings/audit-log")}})
}

// eventPage is one event with all that is known of it.
type eventPage struct {
	visit *visit
	event audit.Event
}

func showEvent(v *visit) error {
	e, err := audit.GetEvent.Call(v.ctx, v.Service, audit.GetEventInput{InOrganization: v.inOrg(), Event: v.r.PathValue("event")})
	if err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: e.Sentence, Crumb: ui.LinkProps{Text: ui.T("Audit log"), Href: v.org("/settings/audit-log")},
		Ways: v.same(audit.GetEvent, "event", e.ID)}, eventPage{v, e}.show())
}

// facts are who, when, from where; what is not known is left out.
func (p eventPage) facts() []ui.Fact {
	e := p.event
	facts := []ui.Fact{{Name: ui.T("When"), Value: ui.Join(ui.Text(e.Time.Format("2 Jan 2006, 15:04:05 MST")), ui.Muted("·"), p.visit.at(e.Time))},
		{Name: ui.T("Actor"), Value: ui.Join(actorCell(e), ui.Code(e.Actor.ID))}, {Name: ui.T("Action"), Value: ui.Code(e.Action)},
		{Name: ui.T("Outcome"), Value: ui.Badge(outcomeBadge(e.Outcome))}}
	for _, t := range e.Targets {
		facts = append(facts, ui.Fact{Name: capitalised(t.Type), Value: ui.Join(ui.Text(t.Name), ui.Code(t.ID))})
	}
	for _, f := range []struct{ name, value string }{{ui.T("Reason"), e.Reason}, {ui.T("Address"), e.Address}, {ui.T("User agent"), e.Agent}} {
		if f.value != "" {
			facts = append(facts, ui.Fact{Name: f.name, Value: ui.Text(f.value)})
		}
	}
	if e.Count > 1 {
		facts = append(facts, ui.Fact{Name: ui.T("How often"), Value: ui.Text(ui.T("%d times within a minute", e.Count))})
	}
	if e.RequestID != "" {
		facts = append(facts, ui.Fact{Name: ui.T("Request"), Value: ui.Code(e.RequestID)})
	}
	return append(facts, ui.Fact{Name: ui.T("Number"), Value: ui.Text(fmt.Sprint(e.Sequence))},
		ui.Fact{Name: ui.T("Leaf hash"), Value: ui.Code(e.Leaf)})
}

// capitalised is a word of the data as a heading.
func capitalised(word string) string {
	text := sentence(word)
	return text[:max(0, len(text)-1)]
}

// changes is the table of what was and is.
func (p eventPage) changes() ui.TableProps {
	t := ui.TableProps{ID: "changes", Caption: ui.T("What changed"), ShowCaption: true,
		Columns: []ui.Column{{Title: ui.T("Field")}, {Title: ui.T("Before")}, {Title: ui.T("After")}}}
	for _, c := range p.event.Changes {
		t.Rows = append(t.Rows, ui.Row{Cells: []templ.Component{ui.Text(c.Field), changed(c.Before), changed(c.After)}})
	}
	return t
}

func changed(value any) component {
	if value == nil {
		return ui.Muted(ui.T("nothing"))
	}
	return ui.Code(fmt.Sprint(value))
}

// related are the lists that this event stands in.
func (p eventPage) related() []ui.LinkProps {
	list := func(text, name, value string) ui.LinkProps {
		return ui.LinkProps{Text: text, Href: asking(p.visit.org("/settings/audit-log"), name, value)}
	}
	all := []ui.LinkProps{list(ui.T("All by this actor"), "actor", p.event.Actor.ID), list(ui.T("All of this kind"), "action", p.event.Action)}
	if len(p.event.Targets) > 0 {
		all = append(all, list(ui.T("All about %s", p.event.Targets[0].Name), "target", p.event.Targets[0].ID))
	}
	return all
}
