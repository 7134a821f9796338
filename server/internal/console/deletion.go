package console

import (
	"net/http"
	"strings"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func deletionPages() []page {
	return []page{
		{"GET /o/{slug}/settings/general/delete", member, askDelete},
		{"POST /o/{slug}/settings/general/delete", member, deleteOrganization},
		{"GET /o/{slug}/deleted", memberStill, showDeleted},
		{"POST /o/{slug}/deleted", memberStill, restoreOrganization},
	}
}

// deletes is what deleting the organization needs.
const deletes = "organization.delete"

// askDelete lists by name what ends with the organization, and asks for its name.
func askDelete(v *visit) error {
	c := confirmation{id: "delete-organization", title: ui.T("Delete %s", v.organization.Name), cancel: v.org("/settings/general"),
		submit: ui.ButtonProps{Text: ui.T("Delete %s", v.organization.Name), Kind: ui.Danger}, ways: v.same(directory.DeleteOrganization)}
	impact, err := v.dryRun(directory.DeleteOrganization, v.deleteInput())
	if err != nil {
		return err
	}
	c.text = []string{sentence(impact.Summary), ui.T("Until then whoever may delete it can restore it, as it was, by a link that every owner gets by mail.")}
	c.affected, c.fields = affectedBy(impact), v.deleteFields()
	return v.ask(c)
}

func (v *visit) deleteInput() directory.DeleteOrganizationInput {
	return directory.DeleteOrganizationInput{InOrganization: v.inOrg(), Reason: v.form.value("reason")}
}

func deleteOrganization(v *visit) error {
	if !v.typed(v.organization.Name) {
		return askDelete(v)
	}
	o, err := directory.DeleteOrganization.Call(v.ctx, v.Service, v.deleteInput(), v.form.options()...)
	if v.again(err) {
		return askDelete(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.href("/o/"+o.Slug+"/deleted"), done(ui.T("Nobody has access to %s any more, and no key works.", o.Name)))
}

// closed reports whether an error is that the organization of the page is scheduled for deletion, and leads its members
// to what can be done about it.
func (v *visit) closed(e *op.Error) bool {
	return e.FullCode() == "organization_deleted" && v.principal.Organization != "" && v.r.PathValue("slug") != "" &&
		v.r.Method == http.MethodGet && !strings.HasSuffix(v.r.URL.Path, "/deleted")
}

// inClosed names the organization of the address, which is none of the viewer's while it is to be deleted.
func (v *visit) inClosed() op.InOrganization {
	return op.InOrganization{Organization: v.principal.Organization}
}

// showDeleted tells a member since when and until when, and offers to restore it to whoever may.
func showDeleted(v *visit) error {
	d, err := directory.GetDeletion.Call(v.ctx, v.Service, directory.GetDeletionInput{InOrganization: v.inClosed()})
	if op.AsError(err).Kind == op.NotFound && err != nil && !v.principal.Closed {
		return v.away(v.href("/o/" + v.r.PathValue("slug")))
	}
	if err != nil {
		return err
	}
	return v.hosted(ui.HostedProps{Title: ui.T("%s is scheduled for deletion", d.Name), Wide: true}, v.deletedPage(d))
}

// deletedFacts say when, and to those who may see members who and why.
func (v *visit) deletedFacts(d directory.Deletion) []ui.Fact {
	facts := []ui.Fact{{Name: ui.T("Scheduled"), Value: v.at(d.DeletionAt)}, {Name: ui.T("Gone for good"), Value: v.at(d.DeleteBy)}}
	if d.DeletedBy != "" {
		facts = append(facts, ui.Fact{Name: ui.T("By"), Value: ui.Text(d.DeletedBy)})
	}
	if d.Reason != "" {
		facts = append(facts, ui.Fact{Name: ui.T("Reason"), Value: ui.Text(d.Reason)})
	}
	return facts
}

func restoreOrganization(v *visit) error {
	in := directory.RestoreOrganizationInput{InOrganization: v.inClosed(), Reason: v.form.value("reason")}
	o, err := directory.RestoreOrganization.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return showDeleted(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.href("/o/"+o.Slug), done(ui.T("%s is restored. Members have access and keys work as before.", o.Name)))
}

// closedOrganizations are those of the viewer's that are scheduled for deletion.
func (v *visit) closedOrganizations() (closed []directory.Organization, err error) {
	all, err := directory.ListOrganizations.Call(v.ctx, v.Service, directory.ListOrganizationsInput{Page: op.Page{Limit: 100}})
	for _, o := range all.Data {
		if o.State == "deletion_scheduled" && strings.Contains(strings.ToLower(o.Name), strings.ToLower(v.form.value("q"))) {
			closed = append(closed, o)
		}
	}
	return closed, err
}

// closedRows show organizations that are scheduled for deletion, greyed.
func closedRows(v *visit, closed []directory.Organization) (rows []ui.Row) {
	for _, o := range closed {
		rows = append(rows, ui.Row{ID: o.ID, Over: true, Cells: []component{
			ui.Person(ui.PersonProps{Name: o.Name, Detail: ui.T("Deleted, and gone for good on %s", day(*o.DeleteBy)), Href: v.href("/o/" + o.Slug + "/deleted"), Square: true}),
			ui.Badge(ui.BadgeProps{Text: ui.T("Scheduled for deletion"), Tone: ui.Warn}), v.at(*o.DeletionAt)}})
	}
	return rows
}
