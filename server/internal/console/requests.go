package console

import (
	"fmt"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/requestlog"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func requestPages() []page {
	return []page{
		{"GET /o/{slug}/settings/logs", member, showRequests},
		{"GET /o/{slug}/settings/logs/export", member, exportRequests},
		{"GET /o/{slug}/settings/logs/{request}", member, showRequest},
	}
}

// requestsPage is a page of the request log.
type requestsPage struct {
	visit *visit
	list  op.List[requestlog.Request]
}

// showRequests lists the lines that the address asks for. A filter that cannot be understood comes back with what is
// wrong.
func showRequests(v *visit) error {
	p := requestsPage{visit: v}
	var err error
	p.list, err = requestlog.ListRequests.Call(v.ctx, v.Service, requestlog.ListRequestsInput{InOrganization: v.inOrg(), Page: v.pageOf(), Filter: v.requestFilter()})
	if err != nil && !v.again(err) {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Request log"), Lede: ui.T("What was asked through a gate or with a key, the newest first. Lines appear within a second, and are kept as long as the plan says."),
		Crumb:   v.settingsCrumb(),
		Actions: ui.Button(ui.ButtonProps{Text: ui.T("Export CSV"), Icon: "download", Href: asking(v.org("/settings/logs/export"), v.form.filters(requestFields...)...)}),
		Ways:    v.same(requestlog.ListRequests, v.form.filters(requestFields...)...)}, p.show())
}

// requestsKept says how long lines are kept on a plan.
func (v *visit) requestsKept(plan string) string {
	return ui.N(int(v.Service.Charter().RequestLog(plan).Hours()/24), "kept for 1 day", "kept for %d days")
}

// requestFields are the fields of requestlog.Filter.
var requestFields = []string{"q", "key", "member", "permission", "outcome", "status", "after", "before"}

func (v *visit) requestFilter() requestlog.Filter {
	return requestlog.Filter{Query: v.form.value("q"), Key: v.form.value("key"), Member: v.form.value("member"),
		Permission: charter.Permission(v.form.value("permission")), Outcome: v.form.value("outcome"), Status: v.form.value("status"),
		From: v.form.value("after"), Until: v.form.value("before")}
}

func exportRequests(v *visit) error {
	return v.download(requestlog.ExportRequests, requestlog.ExportRequestsInput{InOrganization: v.inOrg(), Filter: v.requestFilter()})
}

// questions are those that people bring to a request log, each one press away.
func (p requestsPage) questions() []ui.LinkProps {
	ask := func(text string, pairs ...string) ui.LinkProps {
		return ui.LinkProps{Text: text, Href: asking(p.visit.org("/settings/logs"), pairs...)}
	}
	return []ui.LinkProps{ask(ui.T("What was refused?"), "outcome", "denied"), ask(ui.T("What failed in the product?"), "status", "5xx"),
		ask(ui.T("What was limited?"), "q", "code:limited"), ask(ui.T("All"))}
}

func (p requestsPage) filters() ui.FilterBarProps {
	path := p.visit.org("/settings/logs")
	bar := ui.FilterBarProps{Action: path, ClearHref: path, Search: ui.InputProps{
		FieldProps: ui.FieldProps{Name: "q", Label: ui.T("Search the request log"), HideLabel: true, Error: p.visit.form.error("q")}, Type: "search",
		Value: p.visit.form.value("q"), Placeholder: "outcome:denied permission:workflows.run", Hotkey: "/"}}
	for _, name := range requestFields {
		bar.Chips = append(bar.Chips, p.visit.chip(path, name, ui.T("%s: %s", name, p.visit.form.value(name)))...)
	}
	return bar
}

func (p requestsPage) table() ui.TableProps {
	t := requestsTable(p.visit, p.list.Data)
	t.Empty = ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("No line matches. Checks through a gate leave one, and so do calls with a key.")})
	t.Pager = pagerOf(p.visit.org("/settings/logs"), p.visit.form.values, p.list.NextCursor)
	return t
}

// requestsTable shows lines; other pages show the latest ones of something.
func requestsTable(v *visit, lines []requestlog.Request) ui.TableProps {
	t := ui.TableProps{ID: "requests", Caption: ui.T("Requests"), Columns: []ui.Column{{Title: ui.T("Request")}, {Title: ui.T("Asked for")},
		{Title: ui.T("Outcome")}, {Title: ui.T("By")}, {Title: ui.T("Took")}, {Title: ui.T("When")}}}
	for _, l := range lines {
		t.Rows = append(t.Rows, ui.Row{ID: l.ID, Cells: []templ.Component{
			ui.Link(ui.LinkProps{Text: requestText(l), Href: v.org("/settings/logs/" + l.ID)}), ui.Code(orDash(string(l.Permission))),
			ui.Badge(requestBadge(l)), carriedBy(l), ui.Muted(milliseconds(l.TookMS)), v.at(l.At)}})
	}
	return t
}

// requestText is the request in short: what the product was asked, else how Guildhall was.
func requestText(l requestlog.Request) string {
	switch {
	case l.Route != "" && l.Method != "":
		return l.Method + " " + l.Route
	case l.Route != "":
		return l.Route
	case l.Resource != "":
		return ui.T("Check of %s", l.Resource)
	}
	return ui.T("Check")
}

func requestBadge(l requestlog.Request) ui.BadgeProps {
	text := ui.T("Allowed")
	if l.Status != 0 {
		text = fmt.Sprintf("%s · %d", text, l.Status)
	}
	if l.Outcome == "allowed" {
		return ui.BadgeProps{Text: text, Tone: ui.OK}
	}
	return ui.BadgeProps{Text: ui.T("Refused: %s", l.Code), Tone: ui.Bad}
}

// carriedBy says who asked, as far as the viewer may know.
func carriedBy(l requestlog.Request) component {
	switch {
	case l.Credential.Name != "":
		return ui.Text(l.Credential.Name)
	case l.Name != "":
		return ui.Text(l.Name)
	case l.Credential.Kind == "user":
		return ui.Muted(ui.T("a member"))
	}
	return ui.Muted(l.Credential.Kind)
}

func milliseconds(ms float64) string { return fmt.Sprintf("%.2f ms", ms) }

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

// requestPage is one line with all that is known of it.
type requestPage struct {
	visit *visit
	line  requestlog.Request
}

func showRequest(v *visit) error {
	line, err := requestlog.GetRequest.Call(v.ctx, v.Service, requestlog.GetRequestInput{InOrganization: v.inOrg(), Request: v.r.PathValue("request")})
	if err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: requestText(line), Crumb: ui.LinkProps{Text: ui.T("Request log"), Href: v.org("/settings/logs")},
		Ways: v.same(requestlog.GetRequest, "request", line.ID)}, requestPage{v, line}.show())
}

// facts are what is known of the line; what is not is left out.
func (p requestPage) facts() []ui.Fact {
	l := p.line
	facts := []ui.Fact{{Name: ui.T("When"), Value: ui.Join(ui.Text(l.At.Format("2 Jan 2006, 15:04:05.000 MST")), ui.Muted("·"), p.visit.at(l.At))},
		{Name: ui.T("Outcome"), Value: ui.Badge(requestBadge(l))}, {Name: ui.T("By"), Value: ui.Join(carriedBy(l), ui.Code(orDash(l.Credential.ID)))}}
	for _, f := range []struct{ name, value string }{{ui.T("Asked for"), string(l.Permission)}, {ui.T("On"), l.Resource}, {ui.T("Asked through"), l.Face},
		{ui.T("Key begins with"), l.Credential.Prefix}, {ui.T("Member"), l.Member}, {ui.T("Request id"), l.RequestID}} {
		if f.value != "" {
			facts = append(facts, ui.Fact{Name: f.name, Value: ui.Code(f.value)})
		}
	}
	for _, f := range []struct{ name, value string }{{ui.T("Took"), milliseconds(l.TookMS)}, {ui.T("Address"), l.Address}, {ui.T("User agent"), l.Agent}} {
		if f.value != "" {
			facts = append(facts, ui.Fact{Name: f.name, Value: ui.Text(f.value)})
		}
	}
	return facts
}

// related are the lists that this line stands in, and why it was answered so.
func (p requestPage) related() []ui.LinkProps {
	l := p.line
	list := func(text string, pairs ...string) ui.LinkProps {
		return ui.LinkProps{Text: text, Href: asking(p.visit.org("/settings/logs"), pairs...)}
	}
	var all []ui.LinkProps
	if l.Permission != "" && l.Member != "" && (l.Member == p.visit.organization.Member || p.visit.can("members.view")) {
		all = append(all, ui.LinkProps{Text: ui.T("Why?"), Href: asking(p.visit.org("/settings/access"), "who", l.Member, "can", string(l.Permission))})
	}
	if l.Credential.ID != "" {
		all = append(all, list(ui.T("All with this credential"), "key", l.Credential.ID))
	}
	if l.Member != "" {
		all = append(all, list(ui.T("All of this member"), "member", l.Member))
	}
	if p.visit.can("audit.view") {
		all = append(all, ui.LinkProps{Text: ui.T("What it changed, in the audit log"), Href: asking(p.visit.org("/settings/audit-log"), "actor", l.Credential.ID)})
	}
	return append(all, list(ui.T("All that ended so"), "q", "code:"+l.Code))
}
