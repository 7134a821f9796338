package charter_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/charter"
)

// studio is the charter that the tests of changes change: small with routes, plans and regions.
const studio = sold + `rules: {keys: {kinds: [personal, organization], organization_keys: [files.view]}}
resources: {file: [files.view, files.sign]}
routes:
  - {route: GET /, public: true}
  - {route: "GET /files/{id}", needs: files.view, on: "file:{id}"}
regions: [eu-west-1, us-east-1]
meters: {jobs: {title: Jobs, unit: jobs, kind: sum}}
`

func TestDiffSaysWhoGainsAndLosesWhat(t *testing.T) {
	for _, row := range []struct {
		old, new string
		want     []string
	}{
		// Rights
		{"files.view]}\n  owner", "files.view, files.sign]}\n  owner", []string{"guest (Guest) gains files.sign (Sign files)"}},
		{"files.view]}\n  owner", "keys.view]}\n  owner", []string{
			"guest (Guest) loses files.view (View files)", "guest (Guest) gains keys.view (View API keys (name, created, expires))"}},
		{"  files.view:", "  files.tag: Tag files\n  files.view:", []string{
			"permission files.tag (Tag files) is new", "owner (Owner) gains files.tag (Tag files)"}},
		{"key_prefix", "absent: [keys.create_own]\nkey_prefix", []string{
			"permission keys.create_own (Create personal API keys) is gone", "owner (Owner) loses keys.create_own (Create personal API keys)"}},
		{"  files.view: View files", "  files.view: {title: View files, access: write}", []string{"permission files.view, access: write; before: read"}},
		{", feature: signatures}", "}", []string{"permission files.sign, feature of the plan: none; before: signatures"}},
		{"  files.view:", "  files.all: {title: All, includes: [files.view, files.sign]}\n  files.view:", []string{"permission files.all (All) is new"}},

		// Roles
		{"  owner:", "  clerk: {title: Clerk, extends: guest}\n  owner:", []string{
			"role clerk (Clerk) is new and holds organization.view, files.view",
			"rules.ownership.transfer_to: clerk; before: guest",
			"rules.ownership.previous_owner_becomes: clerk; before: guest"}},
		{"guest: {title: Guest", "visitor: {title: Guest", []string{
			"role guest (Guest) is gone; it held organization.view, files.view",
			"role visitor (Guest) is new and holds organization.view, files.view",
			"rules.ownership.transfer_to: visitor; before: guest",
			"rules.ownership.previous_owner_becomes: visitor; before: guest"}},
		{"title: Guest", "title: Visitor", []string{"role guest (Visitor) was called Guest"}},

		// Rules
		{"rules: {", "rules: {owners: one, organizations: {create: service}, ownership: {acceptance: required}, ", []string{
			"rules.organizations.create: only the product's back end creates organizations; before: anyone signed in creates organizations",
			"rules.owners: exactly one owner, who changes by transfer only; before: any number of owners, at least one",
			"rules.ownership.acceptance: ownership moves when the recipient accepts it; before: ownership moves at once"}},
		{"rules: {", "rules: {deletion_grace: 24h, invitations: {expire_after: 36h, work_email_only: true, free_mail: [example.com]}, ", []string{
			"rules.invitations.expire_after: 36h0m0s; before: 7 days",
			"rules.invitations.work_email_only: only work addresses are invited; before: any address is invited",
			"rules.invitations.free_mail: example.com; before: " + strings.Join(parse(t, studio).Rules.Invitations.FreeMail, ", "),
			"rules.deletion_grace: 1 day; before: 30 days"}},

		// Keys
		{"keys: {kinds: [personal, organization]", "keys: {max_age: 720h, after_creator_leaves: keep, name_template: '{purpose}', kinds: [organization]", []string{
			"rules.keys.kinds: organization; before: personal, organization",
			"rules.keys.after_creator_leaves: personal keys stay when their creator leaves, until somebody revokes them; " +
				"before: personal keys end when their creator leaves",
			"rules.keys.name_template: {purpose}; before: none",
			"rules.keys.max_age: 30 days; before: no limit"}},
		{"organization_keys: [files.view]", "organization_keys: [files.sign]", []string{
			"an organization key loses files.view (View files)", "an organization key gains files.sign (Sign files)"}},
		{"key_prefix: stu", "key_prefix: std", []string{"key_prefix: std; before: stu"}},

		// The rest
		{"file: [files.view, files.sign]", "file: [files.view]", []string{"resource file: files.view; before: files.view, files.sign"}},
		{"resources: {", "resources: {page: [files.view], ", []string{"resource page: files.view; before: none"}},
		{"needs: files.view, on: \"file:{id}\"", "needs: files.sign", []string{
			"route GET /files/{id}: needs files.sign; before: needs files.view on file:{id}"}},
		{"GET /, public: true", "HEAD /, needs: files.view", []string{"route GET / is gone", "route HEAD / is new: needs files.view"}},
		{"free: {title: Free}", "free: {title: Gratis, seats: 3, limits: {jobs: 10}, prices: {year: 900}}", []string{
			"plan free (Gratis), title: Gratis; before: Free", "plan free (Gratis), seats: 3; before: any number",
			"plan free (Gratis), price of a year: 900 minor units of USD; before: none", "plan free (Gratis), limit of jobs: 10; before: any number"}},
		{"  free: {title: Free}\n", "", []string{"the plan of a new organization: pro; before: free", "plan free (Free) is gone"}},
		{"features: [sso, signatures]}\n", "features: [sso]}\n  team: {title: Team}\n", []string{
			"plan business (Business), features: sso; before: sso, signatures", "plan team (Team) is new"}},
		{"[eu-west-1, us-east-1]", "[us-east-1, us-west-2]", []string{"the region of a new organization: us-east-1; before: eu-west-1",
			"region eu-west-1 is gone", "region us-west-2 is new"}},

		// Nothing
		{"View files", "See files", nil},
		{"product: Studio", "product: Atelier", nil},
	} {
		if !strings.Contains(studio, row.old) {
			t.Fatalf("the charter has no %q", row.old)
		}
		after := parse(t, strings.Replace(studio, row.old, row.new, 1))
		if diff := cmp.Diff(row.want, charter.Diff(parse(t, studio), after)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", row.new, diff)
		}
	}
}

func TestDiffSaysWhichPartsABundleGets(t *testing.T) {
	bundle := func(parts string) *charter.Charter {
		return parse(t, strings.Replace(studio, "  files.view:", "  files.all: {title: All, includes: "+parts+"}\n  files.view:", 1))
	}
	want := []string{"permission files.all, parts: files.view, files.sign; before: files.view"}
	if diff := cmp.Diff(want, charter.Diff(bundle("[files.view]"), bundle("[files.sign, files.view]"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDiffNamesAnotherOwnerRole(t *testing.T) {
	after := parse(t, strings.Replace(studio, "  owner:", "  chief:", 1))
	var got string
	for _, line := range charter.Diff(parse(t, studio), after) {
		if strings.HasPrefix(line, "the owner role") {
			got = line
		}
	}
	if want := "the owner role: chief; before: owner"; got != want {
		t.Errorf("line = %q, want %q", got, want)
	}
}

// TestCompareNamesWhatIsTouched looks at what a program with a database asks about.
func TestCompareNamesWhatIsTouched(t *testing.T) {
	after := parse(t, strings.NewReplacer(
		"  files.sign: {title: Sign files, feature: signatures}\n", "  files.tag: Tag files\n",
		"guest: {title: Guest, grants: [organization.view, files.view]}", "guest: {title: Visitor, grants: [organization.view, files.tag]}\n  clerk: {title: Clerk, grants: [organization.view]}",
		"[files.view, files.sign]}\nroutes", "[files.view]}\nroutes",
		"rules: {", "rules: {ownership: {transfer_to: guest, previous_owner_becomes: guest}, owners: one, ",
	).Replace(studio))
	got := charter.Compare(parse(t, studio), after)
	wantRoles := []charter.RoleChange{
		{ID: "guest", Title: "Visitor", FormerTitle: "Guest", Shift: charter.Shift{
			Gains: []charter.Permission{"files.tag"}, Loses: []charter.Permission{"files.view"}}},
		{ID: "clerk", Title: "Clerk", Added: true, Shift: charter.Shift{Gains: []charter.Permission{"organization.view"}}},
		{ID: "owner", Title: "Owner", Shift: charter.Shift{
			Gains: []charter.Permission{"files.tag"}, Loses: []charter.Permission{"files.sign"}}},
	}
	for what, diff := range map[string]string{
		"roles":   cmp.Diff(wantRoles, got.Roles),
		"dropped": cmp.Diff([]charter.Permission{"files.sign"}, got.DroppedPermissions),
		"added":   cmp.Diff([]charter.Permission{"files.tag"}, got.AddedPermissions),
	} {
		if diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	back := charter.Compare(after, parse(t, studio))
	if first := back.Roles[0]; first.ID != "clerk" || !first.Dropped || len(first.Loses) != 1 || len(first.Gains) != 0 {
		t.Errorf("the first role of the way back = %+v, want the dropped clerk", first)
	}
}

func TestACharterDoesNotDifferFromItself(t *testing.T) {
	for _, name := range charter.Names() {
		if diff := cmp.Diff(charter.Changes{}, charter.Compare(ready(t, name), ready(t, name))); diff != "" {
			t.Errorf("%s differs from itself (-want +got): %s", name, diff)
		}
		if lines := charter.Diff(ready(t, name), ready(t, name)); len(lines) > 0 {
			t.Errorf("%s differs from itself: %v", name, lines)
		}
	}
}
