package console

import (
	"time"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/governance"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func findingsPages() []page {
	const one = "/o/{slug}/settings/findings/{finding}"
	return []page{
		{"GET /o/{slug}/settings/findings", member, showFindings},
		{"GET " + one, member, askMend},
		{"POST " + one, member, mendFinding},
		{"GET " + one + "/dismiss", member, askDismiss},
		{"POST " + one + "/dismiss", member, dismissFinding},
		{"POST " + one + "/restore", member, restoreFinding},
	}
}

// mending are the operations that mend findings, by name, each with the pages that it stands for.
var mending = map[string]op.Any{
	directory.UpdateMember.Name: directory.UpdateMember, directory.RemoveMember.Name: directory.RemoveMember,
	directory.CancelOwnership.Name: directory.CancelOwnership, directory.ReapproveInvitation.Name: directory.ReapproveInvitation,
	credential.UpdateKey.Name: credential.UpdateKey, credential.RevokeKey.Name: credential.RevokeKey,
	credential.UpdateServiceAccount.Name: credential.UpdateServiceAccount,
}

func (v *visit) findingsHref() string { return v.org("/settings/findings") }

// findingHref is the address of a finding's remedy, or of another of its verbs.
func (v *visit) findingHref(id, verb string) string {
	if verb == "" {
		return v.org("/settings/findings/" + id)
	}
	return v.org("/settings/findings/" + id + "/" + verb)
}

// findingsPage is the list of what good practice would change.
type findingsPage struct {
	visit *visit
	list  op.List[governance.Finding]
}

func showFindings(v *visit) error {
	p := findingsPage{visit: v}
	in := governance.ListFindingsInput{InOrganization: v.inOrg(), Page: v.pageOf(), Severity: governance.Severity(v.form.value("severity")),
		Kind: governance.FindingKind(v.form.value("kind")), Dismissed: v.form.value("show") == "dismissed"}
	var err error
	if p.list, err = governance.ListFindings.Call(v.ctx, v.Service, in); err != nil && !v.again(err) {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Findings"), Lede: ui.T("What good practice would change, computed from what is there now."), Crumb: v.settingsCrumb(),
		Ways: v.same(governance.ListFindings)}, p.show())
}

// tabs tell what stands from what somebody dismissed.
func (p findingsPage) tabs() ui.TabsProps {
	dismissed := p.visit.form.value("show") == "dismissed"
	return ui.TabsProps{Label: ui.T("Findings"), Tabs: []ui.Tab{{Text: ui.T("Standing"), Href: p.visit.findingsHref(), Current: !dismissed},
		{Text: ui.T("Dismissed"), Href: asking(p.visit.findingsHref(), "show", "dismissed"), Current: dismissed}}}
}

func (p findingsPage) table() ui.TableProps {
	t := ui.TableProps{ID: "findings", Caption: ui.T("Findings"), Empty: p.none(), Pager: pagerOf(p.visit.findingsHref(), p.visit.form.values, p.list.NextCursor),
		Columns: []ui.Column{{Title: ui.T("What")}, {Title: ui.T("Severity")}, {Title: ui.T("Since")}, {Title: ui.T("Remedy")}, {Title: ui.T("Or")}}}
	for _, f := range p.list.Data {
		t.Rows = append(t.Rows, ui.Row{ID: "finding-" + f.Subject.ID + "-" + string(f.Kind), Cells: []templ.Component{
			p.what(f), ui.Badge(severityBadge(f.Severity)), p.since(f), p.remedy(f), p.waive(f)}})
	}
	return t
}

func (p findingsPage) none() component {
	if p.visit.form.value("show") == "dismissed" {
		return ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("Nothing is dismissed.")})
	}
	return ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("Nothing to mend: owners, members and keys are as good practice has them."),
		Docs: ui.LinkProps{Text: ui.T("What is looked for"), Href: p.visit.href("/docs/reviews#findings")}, Command: p.visit.same(governance.ListFindings).Command})
}

func severityBadge(s governance.Severity) ui.BadgeProps {
	switch s {
	case governance.High:
		return ui.BadgeProps{Text: ui.T("High"), Tone: ui.Bad}
	case governance.Medium:
		return ui.BadgeProps{Text: ui.T("Medium"), Tone: ui.Warn}
	}
	return ui.BadgeProps{Text: ui.T("Low")}
}

func (p findingsPage) since(f governance.Finding) component {
	if f.Since == nil {
		return ui.Muted(ui.T("not known"))
	}
	return p.visit.at(*f.Since)
}

// subjectHref is the page of what a finding or a row is about; empty: there is none that the viewer may read.
func (v *visit) subjectHref(s governance.Subject) string {
	switch {
	case s.Type == governance.AboutMember && v.can("members.view"):
		return v.memberHref(s.ID, "")
	case s.Type == "key" && v.canAny(readingKeys):
		return v.keyHref(s.ID, "")
	case s.Type == "service_account" && v.can("service_accounts.manage"):
		return v.accountHref(s.ID, "")
	case s.Type == "transfer":
		return v.org("/settings/ownership")
	case s.Type == "invitation" && v.can("members.invite"):
		return v.invitationsHref()
	}
	return ""
}

// level is how the console asks before a remedy.
func level(r *governance.Remedy) op.Level {
	if o, ok := mending[r.Operation]; ok {
		return o.Info().Confirm
	}
	return op.L1
}

// remedyButton does it at once where it can be taken back, and asks first where it cannot.
func (v *visit) remedyButton(f governance.Finding) ui.ButtonProps {
	b := ui.ButtonProps{Text: f.Remedy.Text, Small: true, ID: f.ID}
	if !f.Remedy.Allowed {
		b.Refused = ui.T("You may not: %s.", whyNotMended(f.Remedy.Why))
		return b
	}
	if level(f.Remedy) > op.L0 {
		b.Href, b.Dialog = v.findingHref(f.ID, ""), true
	}
	return b
}

func whyNotMended(why string) string {
	switch why {
	case "owners_only":
		return ui.T("only owners make, change or remove owners")
	case "transfer_only":
		return ui.T("there is one owner, and ownership moves by transfer only")
	case "above_your_level":
		return ui.T("that person or role holds permissions that you do not hold")
	}
	return ui.T("your role lacks the permission")
}

// finding is the finding of the address; one that is mended already does not exist.
func (v *visit) finding() (governance.Finding, error) {
	in := governance.ListFindingsInput{InOrganization: v.inOrg(), Finding: v.r.PathValue("finding")}
	for _, dismissed := range []bool{false, true} {
		in.Dismissed = dismissed
		list, err := governance.ListFindings.Call(v.ctx, v.Service, in)
		if err != nil {
			return governance.Finding{}, err
		}
		if len(list.Data) == 1 {
			return list.Data[0], nil
		}
	}
	return governance.Finding{}, op.ErrNotFound
}

// remedyFields are the input of a remedy's operation.
func (v *visit) remedyFields(r *governance.Remedy) map[string]any {
	fields := map[string]any{"organization": v.organization.Slug}
	for name, value := range r.Input {
		fields[name] = value
	}
	return fields
}

// askMend says what the remedy does, with the effects of its dry run where it has one.
func askMend(v *visit) error {
	f, err := v.finding()
	if err != nil {
		return err
	}
	c := confirmation{id: "mend", title: f.Text, cancel: v.findingsHref()}
	if f.Remedy == nil {
		c.impossible = ui.T("Nobody can mend this with one operation.")
		return v.ask(c)
	}
	o, ok := mending[f.Remedy.Operation]
	if !ok {
		return op.ErrNotFound
	}
	kind := ui.Primary
	if o.Info().Confirm >= op.L2 || o == op.Any(credential.RevokeKey) {
		kind = ui.Danger
	}
	c.submit, c.ways = ui.ButtonProps{Text: f.Remedy.Text, Kind: kind}, v.same(o, pairsOf(f.Remedy.Input)...)
	c.text = []string{ui.T("To mend it: %s.", f.Remedy.Text)}
	if o.Info().DryRun {
		impact, failed := v.dryRun(o, v.remedyFields(f.Remedy))
		if failed != nil {
			if c.impossible, err = impossible(failed); err != nil {
				return err
			}
			return v.ask(c)
		}
		c.text = append(c.text, sentence(impact.Summary))
		c.affected, c.lost = affectedBy(impact), v.permissions(impact.Loses)
	}
	return v.ask(c)
}

// pairsOf are names and values one after the other, in the order of the names.
func pairsOf(values map[string]string) (pairs []string) {
	names := map[string]string{}
	for name := range values {
		names[name] = name
	}
	for _, name := range sortedByValue(names) {
		pairs = append(pairs, name, values[name])
	}
	return pairs
}

// mendFinding runs the remedy of a finding that stands.
func mendFinding(v *visit) error {
	f, err := v.finding()
	if err != nil {
		return err
	}
	if f.Remedy == nil || mending[f.Remedy.Operation] == nil {
		return op.ErrNotFound
	}
	request := op.Request{Caller: v.caller, Input: v.remedyFields(f.Remedy), IdempotencyKey: v.form.value(keyField)}
	_, err = v.Service.Invoke(v.ctx, mending[f.Remedy.Operation], request)
	if v.again(err) {
		return askMend(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.findingsHref(), done(ui.T("Mended: %s.", f.Remedy.Text)))
}

// askDismiss asks why a finding is as it should be, and until when.
func askDismiss(v *visit) error {
	f, err := v.finding()
	if err != nil {
		return err
	}
	return v.ask(confirmation{id: "dismiss", title: ui.T("Dismiss this finding"), cancel: v.findingsHref(), fields: v.dismissFields(),
		text: []string{f.Text + "."}, submit: ui.ButtonProps{Text: ui.T("Dismiss until then"), Kind: ui.Primary},
		ways: v.same(governance.DismissFinding, "finding", f.ID, "reason", v.form.or("reason", "as agreed"), "until_at", "90d")})
}

func (v *visit) dismissReason() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "reason", Label: ui.T("Why is it as it should be?"), Error: v.form.error("reason")}, Value: v.form.value("reason"), MaxLength: "500"}
}

func (v *visit) dismissUntil() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "until_at", Label: ui.T("Show it again after"), Error: v.form.error("until_at"),
		Hint: ui.T("At most a year from now.")}, Type: "date", Value: v.form.or("until_at", v.now.Add(90*24*time.Hour).Format(time.DateOnly))}
}

func dismissFinding(v *visit) error {
	in := governance.DismissFindingInput{FindingInput: v.oneFinding(), Reason: v.form.value("reason"), Until: endOf(v.form.value("until_at"), v.zone())}
	_, err := governance.DismissFinding.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askDismiss(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.findingsHref(), done(ui.T("The finding is dismissed until then.")))
}

func (v *visit) oneFinding() governance.FindingInput {
	return governance.FindingInput{InOrganization: v.inOrg(), Finding: v.r.PathValue("finding")}
}

func restoreFinding(v *visit) error {
	if _, err := governance.RestoreFinding.Call(v.ctx, v.Service, v.oneFinding(), v.form.options()...); err != nil {
		return err
	}
	return v.redirect(v.findingsHref(), done(ui.T("The finding is shown again.")))
}
