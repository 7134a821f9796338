package console

import (
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func securityPoliciesPages() []page {
	return []page{{"GET /o/{slug}/settings/security-policies", member, showSecurityPolicies}}
}

// policiesPage are the product's policies beside the organization's live settings.
type policiesPage struct {
	visit *visit
	directory.SecurityPolicies
}

func showSecurityPolicies(v *visit) error {
	out, err := directory.GetSecurityPolicies.Call(v.ctx, v.Service, directory.GetSecurityPoliciesInput{InOrganization: v.inOrg()})
	if err != nil {
		return err
	}
	p := policiesPage{v, out}
	return v.page(ui.PageProps{Title: ui.T("Security policies"), Lede: ui.T("How your data is handled, and what %s has set about it.", v.organization.Name),
		Crumb: v.settingsCrumb(), Ways: v.same(directory.GetSecurityPolicies)}, p.show())
}

// policy is a heading with its text.
type policy struct{ id, title, text string }

// policies are the charter's texts in a fixed order; headings without one are left out.
func (p policiesPage) policies() (all []policy) {
	for _, h := range []policy{{id: "data_handling", title: ui.T("Data handling")}, {id: "retention", title: ui.T("Retention")},
		{id: "residency", title: ui.T("Residency")}, {id: "compliance", title: ui.T("Compliance")}, {id: "sub_processors", title: ui.T("Sub-processors")}} {
		if h.text = p.Texts[h.id]; h.text != "" {
			all = append(all, h)
		}
	}
	return all
}

// settings are what is in force now, each with when it was last changed.
func (p policiesPage) settings() ui.TableProps {
	t := ui.TableProps{Caption: ui.T("In force now"), ShowCaption: true, Columns: []ui.Column{{Title: ui.T("Setting")}, {Title: ui.T("Value")}, {Title: ui.T("Last changed")}}}
	for _, s := range p.Settings {
		title, value := p.setting(s)
		t.Rows = append(t.Rows, ui.Row{Cells: []templ.Component{ui.Text(title), ui.Text(value), p.visit.maybe(s.ChangedAt, ui.T("never by this organization"))}})
	}
	return t
}

// setting is a setting in words.
func (p policiesPage) setting(s directory.PolicySetting) (title, value string) {
	number, _ := s.Value.(int64)
	text, _ := s.Value.(string)
	switch s.Name {
	case "region":
		return ui.T("Default region"), text
	case "allowed_regions":
		return ui.T("Regions where data may be"), text
	case "second_factor":
		if text == "required" {
			return ui.T("Second factor"), ui.T("Required")
		}
		if day, later := strings.CutPrefix(text, "required_from "); later {
			return ui.T("Second factor"), ui.T("Required from %s on", day)
		}
		return ui.T("Second factor"), p.unset(ui.T("Not required: people sign in by a mailed link or code"), "security_controls", text)
	case "sso":
		switch text {
		case "enforced":
			return ui.T("Single sign-on"), ui.T("Enforced: nobody enters but by the organization's identity provider")
		case "optional":
			return ui.T("Single sign-on"), ui.T("Set up, and optional")
		}
		return ui.T("Single sign-on"), p.unset(ui.T("Not set up: people sign in by a mailed link or code"), "sso", text)
	case "networks":
		return ui.T("Networks that requests may come from"), text
	case "retention_days":
		return ui.T("Artifact retention"), capitalised(retentionText(number))
	case "session_life":
		return ui.T("A session ends after its sign-in in"), spanText(time.Duration(number) * time.Second)
	}
	if number == 0 {
		return ui.T("An unused session ends after"), ui.T("no limit")
	}
	return ui.T("An unused session ends after"), spanText(time.Duration(number) * time.Second)
}

// unset says that a policy is not set, and which plan has it where this one does not.
func (p policiesPage) unset(text, feature, state string) string {
	if lock, locked := p.visit.locked(feature); locked && state == "plan_required" {
		return ui.T("%s. It comes with the plan %s", text, lock.plan)
	}
	return text
}
