package console

import (
	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func joinRequestsPages() []page {
	return []page{
		{"GET /o/{slug}/settings/join-requests", member, showJoinRequests},
		{"GET /o/{slug}/settings/join-requests/{request}", member, askJoinRequest},
		{"POST /o/{slug}/settings/join-requests/{request}", member, decideJoinRequest},
	}
}

// joinRequestsHref is the address of the requests to join, or of one.
func (v *visit) joinRequestsHref(id string) string {
	if id == "" {
		return v.org("/settings/join-requests")
	}
	return v.org("/settings/join-requests/" + id)
}

// joinRequestsPage is the list of those who ask to join.
type joinRequestsPage struct {
	visit *visit
	list  op.List[federation.Applicant]
}

func showJoinRequests(v *visit) error {
	p := joinRequestsPage{visit: v}
	var err error
	if p.list, err = federation.ListJoinRequests.Call(v.ctx, v.Service, federation.ListJoinRequestsInput{InOrganization: v.inOrg(), Page: v.pageOf()}); err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Requests to join"), Lede: ui.T("People with an address of a verified domain, who wait for an answer."), Crumb: v.teamCrumb(),
		Ways: v.same(federation.ListJoinRequests)}, ui.Table(p.table()))
}

func (p joinRequestsPage) table() ui.TableProps {
	v := p.visit
	t := ui.TableProps{ID: "requests", Caption: ui.T("Requests to join"), Pager: pagerOf(v.joinRequestsHref(""), v.form.values, p.list.NextCursor),
		Columns: []ui.Column{{Title: ui.T("Person")}, {Title: ui.T("As")}, {Title: ui.T("Asked")}, {Title: ui.T("Answer")}},
		Empty:   ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("Nobody waits for an answer.")})}
	for _, a := range p.list.Data {
		t.Rows = append(t.Rows, ui.Row{ID: a.ID, Cells: []templ.Component{ui.Person(ui.PersonProps{Name: a.Name, Detail: a.Email}), ui.Text(a.RoleTitle), v.at(a.CreatedAt),
			ui.Button(ui.ButtonProps{Text: ui.T("Decide"), Label: ui.T("Decide about %s", a.Email), Small: true, Href: v.joinRequestsHref(a.ID)})}})
	}
	return t
}

// decisionForm decides about one request.
type decisionForm struct {
	visit     *visit
	applicant federation.Applicant
	roles     []directory.Role
}

func askJoinRequest(v *visit) error {
	waiting, err := all(func(p op.Page) (op.List[federation.Applicant], error) {
		return federation.ListJoinRequests.Call(v.ctx, v.Service, federation.ListJoinRequestsInput{InOrganization: v.inOrg(), Page: p})
	})
	if err != nil {
		return err
	}
	f := decisionForm{visit: v}
	for _, a := range waiting {
		if a.ID == v.r.PathValue("request") {
			f.applicant = a
		}
	}
	if f.applicant.ID == "" {
		return op.ErrNotFound
	}
	if f.roles, err = v.allRoles(); err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Decide about %s", f.applicant.Email), Lede: ui.T("The address is at %s, which is verified.", f.applicant.Domain),
		Crumb: ui.LinkProps{Text: ui.T("Requests to join"), Href: v.joinRequestsHref("")},
		Ways:  v.same(federation.DecideJoinRequest, "join_request", f.applicant.ID, "decision", "approve")}, f.fields())
}

func (f decisionForm) role() ui.ChoicesProps {
	var fit []directory.Role
	for _, role := range f.roles {
		if !role.Owner {
			fit = append(fit, role)
		}
	}
	return f.visit.roleChoices(fit, f.visit.form.or("role", string(f.applicant.Role)))
}

func (f decisionForm) reason() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "reason", Label: ui.T("Reason"), Optional: true, Hint: ui.T("Of a refusal; the person reads it."), Error: f.visit.form.error("reason")},
		Value: f.visit.form.value("reason"), MaxLength: "500"}
}

func decideJoinRequest(v *visit) error {
	in := federation.DecideJoinRequestInput{InOrganization: v.inOrg(), Request: v.r.PathValue("request"), Decision: v.form.value("decision"),
		Role: charter.RoleID(v.form.value("role")), Reason: v.form.value("reason")}
	a, err := federation.DecideJoinRequest.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askJoinRequest(v)
	}
	if err != nil {
		return err
	}
	if a.State == "approved" {
		return v.redirect(v.joinRequestsHref(""), done(ui.T("%s is %s now.", a.Email, a.RoleTitle)))
	}
	return v.redirect(v.joinRequestsHref(""), done(ui.T("The request of %s is declined.", a.Email)))
}
