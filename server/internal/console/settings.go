package console

import (
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func settingsPages() []page {
	return []page{
		{"GET /o/{slug}/settings", member, showSettings},
		{"GET /o/{slug}/settings/general", member, showGeneral},
		{"POST /o/{slug}/settings/general", member, saveGeneral},
	}
}

// setting is a page of the settings overview.
type setting struct {
	group, title, text, href string
	read, change             charter.Permission // empty: everybody may read, and there is nothing to change
	value                    string             // what is set now
}

// settingsList are the settings pages that the viewer may read.
func (v *visit) settingsList(o directory.Organization) (readable []setting) {
	for _, s := range []setting{
		{ui.T("Account"), ui.T("Profile"), ui.T("Your name and time zone."), v.href("/account"), "", "", v.personName()},
		{ui.T("Account"), ui.T("Sessions"), ui.T("Where you are signed in."), v.href("/account/sessions"), "", "", ""},
		{ui.T("Account"), ui.T("Activity"), ui.T("What you did, in every organization."), v.href("/account/activity"), "", "", ""},
		{ui.T("Organization"), ui.T("General"), ui.T("Name, address, time zone, region and how long artifacts are kept."), v.org("/settings/general"), "organization.view", "settings.update", generalValue(o)},
		{ui.T("Organization"), ui.T("Files"), ui.T("What work has made, and when each file is deleted."), v.artifactsHref(""), "artifacts.view", "artifacts.manage", ""},
		{ui.T("Organization"), ui.T("Legal holds"), ui.T("What is kept in spite of retention, for a case."), v.artifactsHref("/holds"), "settings.update", "settings.update", ""},
		{ui.T("People"), ui.T("Team"), ui.T("Who belongs to the organization, and with which role."), v.org("/settings/team"), "members.view", "members.assign_role", ""},
		{ui.T("People"), ui.T("Invitations"), ui.T("Who was asked to join."), v.invitationsHref(), "members.invite", "members.invite", ""},
		{ui.T("People"), ui.T("Requests to join"), ui.T("Who has an address of a domain of yours, and asks to come in."), v.joinRequestsHref(""), "members.invite", "members.invite", ""},
		{ui.T("People"), ui.T("Roles"), ui.T("What each role may do, and roles of your own."), v.org("/settings/roles"), "organization.view", managesRoles, ""},
		{ui.T("People"), ui.T("Access explainer"), ui.T("Why somebody may do something, or why not."), v.org("/settings/access"), "", "", ""},
		{ui.T("People"), ui.T("View admins"), ui.T("Whom to ask."), v.org("/settings/admins"), "", "", ""},
		{ui.T("Keys"), ui.T("API keys"), ui.T("What programs prove themselves with."), v.keysHref(""), v.firstOf(readingKeys), v.firstOf(creating), v.keyPolicy()},
		{ui.T("Keys"), ui.T("Service accounts"), ui.T("Programs of the organization's own, with a role each."), v.accountsCrumb().Href, "service_accounts.manage", "service_accounts.manage", ""},
		{ui.T("Keys"), ui.T("Scoped tokens"), ui.T("Derived from a session or a key, narrower and shorter-lived."), v.tokensHref(""), v.firstOf(readingTokens), "tokens.create", ""},
		{ui.T("Usage and billing"), ui.T("Usage"), ui.T("What is used, of how much, by whom, and where the period will end."), v.usageHref(""), readsUsage, "", ""},
		{ui.T("Usage and billing"), ui.T("Limits and budgets"), ui.T("Where use ends, and who is told before that."), v.alertsHref(""), readsUsage, managesBudgets, ""},
		{ui.T("Usage and billing"), ui.T("Billing"), ui.T("The plan, seats, the next invoice and those so far."), v.billingHref(""), readsBilling, changesBilling, v.planValue(o.Plan)},
		{ui.T("Usage and billing"), ui.T("Plans"), ui.T("What each plan gives and costs."), v.billingHref("/plans"), "organization.view", changesBilling, ""},
		{ui.T("Security"), ui.T("Security policies"), ui.T("How data is handled, and what is set about it."), v.org("/settings/security-policies"), "", "settings.update", ""},
		{ui.T("Security"), ui.T("Sign-in policy"), ui.T("Single sign-on, second factors, lengths of sessions and networks."), v.ssoHref("/policy"), managesSSO, managesSSO, ""},
		{ui.T("Security"), ui.T("SSO and domains"), ui.T("The domains of your addresses, and who may join by them."), v.ssoHref(""), managesSSO, managesSSO, ""},
		{ui.T("Security"), ui.T("Directory sync"), ui.T("Members who come from your company's directory, and go with it."), v.directoryHref("", ""), managesSSO, managesSSO, ""},
		{ui.T("Security"), ui.T("Findings"), ui.T("What good practice would change, each with the button that mends it."), v.findingsHref(), "reviews.manage", "reviews.manage", ""},
		{ui.T("Security"), ui.T("Access reviews"), ui.T("Who has access, and is it still needed? Decided, applied and kept as evidence."), v.reviewHref("", ""), "reviews.manage", "reviews.manage", ""},
		{ui.T("Security"), ui.T("Audit log"), ui.T("Who did what, and when."), v.org("/settings/audit-log"), "audit.view", "", ""},
		{ui.T("Security"), ui.T("Request log"), ui.T("What was asked through a gate or with a key, and how it went."), v.org("/settings/logs"), "logs.view", "", v.requestsKept(o.Plan)},
	} {
		if s.href == v.accountsCrumb().Href && !v.hasOrganizationKeys() || strings.HasPrefix(s.href, v.usageHref("")) && !v.counts() || strings.HasPrefix(s.href, v.billingHref("")) && !v.sells() {
			continue
		}
		if s.read == "" || v.can(s.read) {
			readable = append(readable, s)
		}
	}
	return readable
}

// generalValue says the main settings in one line.
func generalValue(o directory.Organization) string {
	if o.Region == "" {
		return ui.T("%s; %s", o.Name, retentionText(o.RetentionDays))
	}
	return ui.T("%s; %s; %s", o.Name, o.Region, retentionText(o.RetentionDays))
}

func retentionText(days int64) string {
	if days == 0 {
		return ui.T("artifacts are kept for ever")
	}
	return ui.N(int(days), "artifacts are kept for 1 day", "artifacts are kept for %d days")
}

// settingsGroup is a heading of the overview.
type settingsGroup struct {
	title string
	list  []setting
}

func showSettings(v *visit) error {
	o, err := directory.GetOrganization.Call(v.ctx, v.Service, directory.GetOrganizationInput{InOrganization: v.inOrg()})
	if err != nil {
		return err
	}
	offer, err := v.pendingOffer()
	if err != nil {
		return err
	}
	var groups []settingsGroup
	for _, s := range v.settingsList(o) {
		i := slices.IndexFunc(groups, func(g settingsGroup) bool { return g.title == s.group })
		if i < 0 {
			i, groups = len(groups), append(groups, settingsGroup{title: s.group})
		}
		groups[i].list = append(groups[i].list, s)
	}
	return v.page(ui.PageProps{Title: ui.T("Account & settings"), Lede: ui.T("Every page that you may read, and what you may do there."),
		Ways: v.same(directory.GetOrganization)}, v.settingsOverview(groups, offer))
}

// settingsTable lists the pages of a group.
func (v *visit) settingsTable(g settingsGroup) ui.TableProps {
	t := ui.TableProps{Caption: g.title, ShowCaption: true, Columns: []ui.Column{{Title: ui.T("Page")}, {Title: ui.T("What for")}, {Title: ui.T("You may")}}}
	for _, s := range g.list {
		t.Rows = append(t.Rows, ui.Row{Cells: []templ.Component{ui.Link(ui.LinkProps{Text: s.title, Href: s.href}), v.settingText(s), ui.Badge(v.mayThere(s))}})
	}
	return t
}

// mayThere says what the viewer may do on a settings page: change it, view it, or view it and ask somebody to change it.
func (v *visit) mayThere(s setting) ui.BadgeProps {
	switch {
	case s.group == ui.T("Account"):
		return ui.BadgeProps{Text: ui.T("Yours"), Tone: ui.OK}
	case s.change != "" && v.can(s.change):
		return ui.BadgeProps{Text: ui.T("Change"), Tone: ui.OK}
	case s.change != "":
		return ui.BadgeProps{Text: ui.T("View, ask to change"), Tone: ui.Info}
	}
	return ui.BadgeProps{Text: ui.T("View")}
}

// asks is the permission that is missing to change a settings page; empty: none is.
func (v *visit) asks(s setting) string {
	if s.change == "" || v.can(s.change) {
		return ""
	}
	return permissionOf(v.Service.Charter(), s.change).Text
}

// generalPage are the organization's general settings.
type generalPage struct {
	visit        *visit
	organization directory.Organization
	theirs       *directory.Organization // what somebody else saved in the meantime
}

func showGeneral(v *visit) error {
	o, err := directory.GetOrganization.Call(v.ctx, v.Service, directory.GetOrganizationInput{InOrganization: v.inOrg()})
	if err != nil {
		return err
	}
	return generalPage{visit: v, organization: o}.show()
}

func (p generalPage) show() error {
	return p.visit.page(ui.PageProps{Title: ui.T("General"), Lede: ui.T("What is true of the whole organization."), Crumb: p.visit.settingsCrumb(),
		Ways: p.visit.same(directory.UpdateOrganization, "name", p.organization.Name)}, p.general())
}

// editable reports whether the viewer may change the settings.
func (p generalPage) editable() bool { return p.visit.can("settings.update") }

// saveGeneral saves what was sent, unless somebody else saved something since: then both are shown. What deletes or moves
// something is asked about first.
func saveGeneral(v *visit) error {
	in, ok := v.generalInput()
	if !ok {
		return showGeneral(v)
	}
	if v.form.value(stepField) != "save" {
		impact, err := v.dryRun(directory.UpdateOrganization, in)
		if err != nil {
			return v.generalRefused(err)
		}
		if len(impact.Effects) > 0 {
			return v.askGeneral(impact)
		}
	}
	out, err := directory.UpdateOrganization.Call(v.ctx, v.Service, in, v.form.options()...)
	if err != nil {
		return v.generalRefused(err)
	}
	return v.redirect(v.href("/o/"+out.Slug+"/settings/general"), done(ui.T("The settings of %s are saved.", out.Name)))
}

// generalRefused shows the form again with what is wrong, or with what somebody else saved.
func (v *visit) generalRefused(err error) error {
	if e := op.AsError(err); e.Kind == op.Stale {
		return v.generalConflict(e)
	}
	if v.again(err) || v.ofPlan(err) {
		return showGeneral(v)
	}
	return err
}

func (v *visit) generalConflict(e *op.Error) error {
	theirs, ok := e.Current.(directory.Organization)
	if !ok {
		return e
	}
	v.form.status = e.Kind.Status()
	v.form.values.Set(versionField, theirs.ETag())
	return generalPage{visit: v, organization: theirs, theirs: &theirs}.show()
}

// generalInput reads the form; false: a field is not what it should be.
func (v *visit) generalInput() (directory.UpdateOrganizationInput, bool) {
	in := directory.UpdateOrganizationInput{InOrganization: v.inOrg()}
	for name, field := range map[string]**string{"name": &in.Name, "slug": &in.Slug, "time_zone": &in.TimeZone, "region": &in.Region} {
		if v.form.values.Has(name) {
			*field = new(v.form.value(name))
		}
	}
	in.AllowedRegions = v.chosenRegions(in.Region)
	if !v.form.values.Has("retention_days") {
		return in, true
	}
	days, err := strconv.ParseInt(v.form.value("retention_days"), 10, 64)
	if err != nil {
		v.form.say("retention_days", ui.T("%q is not a number of days", v.form.value("retention_days")))
		return in, false
	}
	in.RetentionDays = &days
	return in, true
}

func (p generalPage) field(name, label, hint, value string) ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: name, Label: label, Hint: hint, Error: p.visit.form.error(name)}, Value: p.visit.form.or(name, value)}
}

func (p generalPage) name() ui.InputProps {
	return p.field("name", ui.T("Name"), "", p.organization.Name)
}

func (p generalPage) slug() ui.InputProps {
	return p.field("slug", ui.T("Slug"), ui.T("In every address of the organization. The old one goes on leading here."), p.organization.Slug)
}

func (p generalPage) timeZone() ui.InputProps {
	return p.field("time_zone", ui.T("Time zone"), ui.T("An IANA name, such as Europe/Berlin or UTC."), p.organization.TimeZone)
}

func (p generalPage) region() ui.SelectProps {
	s := ui.SelectProps{FieldProps: ui.FieldProps{Name: "region", Label: ui.T("Default region"), Error: p.visit.form.error("region"),
		Hint: ui.T("Where work runs unless told otherwise, and where data must stay.")}, Value: p.visit.form.or("region", p.organization.Region)}
	for _, region := range p.visit.Service.Charter().Regions {
		s.Options = append(s.Options, ui.Option{Value: region, Text: region})
	}
	return s
}

func (p generalPage) retention() ui.InputProps {
	f := p.field("retention_days", ui.T("Artifact retention, in days"), p.retentionHint(), strconv.FormatInt(p.organization.RetentionDays, 10))
	f.InputMode = "numeric"
	return f
}

// facts are the settings for those who may only read them.
func (p generalPage) facts() []ui.Fact {
	o := p.organization
	facts := []ui.Fact{{Name: ui.T("Name"), Value: ui.Text(o.Name)}, {Name: ui.T("Slug"), Value: ui.Code(o.Slug)},
		{Name: ui.T("Time zone"), Value: ui.Text(o.TimeZone)}}
	if o.Region != "" {
		facts = append(facts, ui.Fact{Name: ui.T("Default region"), Value: ui.Code(o.Region)}, ui.Fact{Name: ui.T("Allowed regions"), Value: ui.Text(strings.Join(o.AllowedRegions, ", "))})
	}
	return append(facts, ui.Fact{Name: ui.T("Artifact retention"), Value: ui.Text(capitalised(retentionText(o.RetentionDays)))},
		ui.Fact{Name: ui.T("Organization id"), Value: ui.Code(o.ID)})
}

// conflict compares what somebody else saved with what was sent, where they differ.
func (p generalPage) conflict() ui.TableProps {
	t := ui.TableProps{ID: "conflict", Caption: ui.T("Where the two differ"), ShowCaption: true,
		Columns: []ui.Column{{Title: ui.T("Field")}, {Title: ui.T("Theirs")}, {Title: ui.T("Yours")}},
		Empty:   ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("Both say the same.")})}
	for _, f := range []struct{ name, label, theirs string }{
		{"name", ui.T("Name"), p.theirs.Name}, {"slug", ui.T("Slug"), p.theirs.Slug}, {"time_zone", ui.T("Time zone"), p.theirs.TimeZone},
		{"region", ui.T("Default region"), p.theirs.Region}, {"retention_days", ui.T("Artifact retention, in days"), strconv.FormatInt(p.theirs.RetentionDays, 10)},
	} {
		if yours := p.visit.form.or(f.name, f.theirs); yours != f.theirs {
			t.Rows = append(t.Rows, ui.Row{Cells: []templ.Component{ui.Text(f.label), ui.Text(f.theirs), ui.Text(yours)}})
		}
	}
	return t
}
