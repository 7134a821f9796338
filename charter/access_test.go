package charter_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
)

// explicitTable is which of Guildhall's own permissions a key holds only when its scopes name them.
const explicitTable = `settings.update organization.delete organization.transfer
	members.invite members.remove members.assign_role members.suspend roles.manage
	keys.inspect keys.create keys.create_own keys.rename keys.revoke keys.approve service_accounts.manage
	billing.manage budgets.manage sso.configure audit.view audit.export webhooks.manage reviews.manage support.grant`

func TestAKeyAdministersOnlyWhatItsScopesName(t *testing.T) {
	for _, name := range charter.Names() {
		c := ready(t, name)
		for _, info := range c.Permissions() {
			want := slices.Contains(strings.Fields(explicitTable), string(info.ID))
			if got := c.Explicit().Has(info.Bit); got != want {
				t.Errorf("%s: %s is explicit: %t, want %t", name, info.ID, got, want)
			}
		}
	}
}

// readTable is which permissions of the shipped charters change nothing.
const readTable = `organization.view members.view keys.view keys.inspect usage.view cost.view billing.view audit.view audit.export logs.view
	artifacts.view workflows.view endpoints.view prompts.view`

func TestAPermissionReadsByItsVerb(t *testing.T) {
	for _, name := range charter.Names() {
		c := ready(t, name)
		for _, info := range c.Permissions() {
			want := slices.Contains(strings.Fields(readTable), string(info.ID))
			if info.Reads != want || c.Reads().Has(info.Bit) != want {
				t.Errorf("%s: %s reads: %t, want %t", name, info.ID, info.Reads, want)
			}
		}
	}
}

func TestAPermissionReadsAsItsAccessSays(t *testing.T) {
	c := parse(t, strings.Replace(small, "  files.edit: Edit files\n", `  files.edit: Edit files
  files.list: List files
  files.get: {title: Fetch files}
  files.read: {title: Read files, access: read}
  files.scan: {title: Scan files, access: read}
  logs.export: {title: Export logs somewhere, access: write}
  files.look: {title: Look, includes: [files.view, files.scan]}
  files.list_all: {title: Everything, includes: [files.look, files.edit]}
`, 1))
	for id, want := range map[charter.Permission]bool{
		"files.view": true, "files.list": true, "files.get": true, "files.read": true, "files.scan": true, "files.look": true,
		"files.edit": false, "logs.export": false, "files.list_all": false, "keys.create": false,
	} {
		info, _ := c.Info(id)
		if need, _ := c.Need(id); info.Reads != want || need.SubsetOf(c.Reads()) != want {
			t.Errorf("%s reads: %t, want %t", id, info.Reads, want)
		}
	}
}

func TestMistakesInAccessAndFeatureAreNamedWithTheirPlace(t *testing.T) {
	plans := "plans: {free: {title: Free}, pro: {title: Pro, features: [sso, regions]}}\npermissions:"
	for _, m := range []mistake{
		in("files.edit: Edit files", "files.edit: {title: Edit, access: reed}",
			`studio.yaml:5:37: unknown word "reed"; did you mean "read"?`),
		in("files.edit: Edit files", "members.remove: {title: Remove, access: read}",
			`studio.yaml:5:43: "members.remove" is one of Guildhall's own permissions, and its access is settled`),
		in("files.edit: Edit files", "files.all: {title: All, includes: [files.view], access: read}",
			`studio.yaml:5:59: "files.all" is a bundle; its parts say their access`),
		in("files.edit: Edit files", "files.all: {title: All, includes: [files.view], feature: sso}",
			`studio.yaml:5:60: "files.all" is a bundle; its parts say their feature`),
		in("files.edit: Edit files", "files.edit: {title: Edit, feature: sso}", `studio.yaml:5:38: no plan has the feature "sso"`),
		in("permissions:\n  files.view: View files", plans+"\n  files.view: {title: View, feature: region}",
			`studio.yaml:5:38: no plan has the feature "region"; did you mean "regions"?`),
		in("permissions:\n  files.view: View files", plans+"\n  files.view: {title: View, feature: SSO}",
			`studio.yaml:5:38: feature "SSO" is not a name of lower-case letters, digits and underscores, a letter first, at most 40`),
		in("permissions:\n  files.view: View files", plans+"\n  organization.view: {title: See it, feature: sso}\n  files.view: View",
			`studio.yaml:5:47: "organization.view" cannot need a feature: every role needs it`),
	} {
		wantMistake(t, m)
	}
}

// sold is a charter two of whose permissions need a feature of a plan.
const sold = `product: Studio
key_prefix: stu
permissions:
  files.view: View files
  files.sign: {title: Sign files, feature: signatures}
  sso.configure: {title: Configure SSO, feature: sso}
roles:
  guest: {title: Guest, grants: [organization.view, files.view]}
  owner: {title: Owner, grants: all}
plans:
  free: {title: Free}
  pro: {title: Pro, features: [signatures]}
  business: {title: Business, features: [sso, signatures]}
`

func TestAPlanLocksWhatNeedsAFeatureThatItLacks(t *testing.T) {
	c := parse(t, sold)
	for plan, want := range map[string]string{
		"free":     "sso.configure files.sign",
		"pro":      "sso.configure",
		"business": "",
		"gone":     "sso.configure files.sign",
		"":         "sso.configure files.sign",
	} {
		var words []string
		for _, id := range c.IDs(c.Locked(plan)) {
			words = append(words, string(id))
		}
		if got := strings.Join(words, " "); got != want {
			t.Errorf("plan %q locks %q, want %q", plan, got, want)
		}
	}
	if info, _ := c.Info("sso.configure"); info.Feature != "sso" || info.Title != "Configure SSO" || !info.Own {
		t.Errorf("sso.configure = %+v, want feature sso", info)
	}
	for _, c := range []*charter.Charter{parse(t, small), ready(t, "automation"), ready(t, "gateway"), ready(t, "documents")} {
		if got := c.IDs(c.Locked("gone")); len(got) > 0 {
			t.Errorf("%s: a plan locks %v, and no permission needs a feature", c.Name, got)
		}
	}
}

func TestPlanWithIsTheFirstThatHasAFeature(t *testing.T) {
	c := parse(t, sold)
	for feature, want := range map[string]string{"signatures": "pro", "sso": "business"} {
		if plan, ok := c.PlanWith(feature); !ok || plan.ID != want || plan != &c.Plans[slices.IndexFunc(c.Plans, func(p charter.Plan) bool { return p.ID == want })] {
			t.Errorf("first plan with %s = %+v, want %s", feature, plan, want)
		}
	}
	if plan, ok := c.PlanWith("weather"); ok || plan != nil {
		t.Errorf("plan with a feature that none has = %+v", plan)
	}
}

func TestSetOfGivesTheirPartsForBundles(t *testing.T) {
	c := ready(t, "gateway")
	set, unknown := c.SetOf([]charter.Permission{"prompts.view", "members.manage", "prompts.vew", "members.view", "keys.own"})
	got := c.IDs(set)
	want := []charter.Permission{"members.view", "members.invite", "members.remove", "members.assign_role", "members.suspend", "prompts.view"}
	if !slices.Equal(got, want) {
		t.Errorf("set = %v, want %v", got, want)
	}
	if !slices.Equal(unknown, []charter.Permission{"prompts.vew", "keys.own"}) {
		t.Errorf("unknown = %v, want those that the charter has not", unknown)
	}
	if set, unknown := c.SetOf(nil); !set.Empty() || unknown != nil {
		t.Errorf("of nothing: %v, %v", set, unknown)
	}
	if _, unknown := ready(t, "documents").SetOf([]charter.Permission{"keys.create_own"}); len(unknown) != 1 {
		t.Error("an absent permission is known")
	}
}
