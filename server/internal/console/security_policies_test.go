package console_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
)

func TestEveryMemberReadsTheSecurityPolicies(t *testing.T) {
	for _, name := range charter.Names() {
		s := newSite(t, name)
		acme := s.Organization("acme")
		const path = "/o/acme/settings/security-policies"
		for role, person := range acme.People {
			page := s.as(person).get(path).says(path, 200, "Artifact retention", "30 days", "never by this organization", "Single sign-on", "Not set up", "Second factor", "Not required")
			for heading, text := range s.Charter().Policies {
				page.says(path, 200, text)
				if text == "" {
					t.Errorf("%s has no text", heading)
				}
			}
			if _, has := s.Charter().Policies["sub_processors"]; !has && strings.Contains(page.text(), "Sub-processors") {
				t.Error("a heading without text is shown")
			}
			holds := mustRole(t, s, role).Holds
			info, _ := s.Charter().Info("settings.update")
			if got, want := slices.Contains(pageLinks(page), "/o/acme/settings/general"), holds.Has(info.Bit); got != want {
				t.Errorf("%s: %s is offered to change the settings: %v, want %v", name, role, got, want)
			}
			if !slices.Contains(s.as(person).get("/o/acme/settings").links(), path) {
				t.Errorf("%s: the overview of %s does not lead there", name, role)
			}
		}
		s.as(s.SignIn("eve@evil.test")).get(path).says(path, 404)
	}
}

// pageLinks are the links of buttons within the page's main part.
func pageLinks(page *sight) (all []string) {
	page.each(func(n *html.Node, _ map[string]string) {
		if n.Data == "main" {
			eachIn(n, func(a *html.Node, attrs map[string]string) {
				if a.Data == "a" {
					all = append(all, attrs["href"])
				}
			})
		}
	})
	return all
}

func TestAPolicySaysWhenItWasChanged(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	if _, err := directory.UpdateOrganization.Call(acme.Owner().Ctx(), s.Service(), directory.UpdateOrganizationInput{InOrganization: acme.In(), RetentionDays: new(int64(7))}); err != nil {
		t.Fatal(err)
	}
	out, err := directory.GetSecurityPolicies.Call(acme.People["viewer"].Ctx(), s.Service(), directory.GetSecurityPoliciesInput{InOrganization: acme.In()})
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range out.Settings {
		if changed := setting.ChangedAt != nil; changed != (setting.Name == "retention_days") {
			t.Errorf("%s was changed: %v", setting.Name, changed)
		}
	}
	s.as(acme.People["viewer"]).get("/o/acme/settings/security-policies").says("/o/acme/settings/security-policies", 200, "7 days")
}
