package charter_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
)

// mistake is one edit of the small charter and what is said about it.
type mistake struct {
	old, new string
	want     string
}

// in says what replacing a part of the small charter leads to; adding, what more lines at its end lead to.
func in(old, new, want string) mistake { return mistake{old, new, want} }

func adding(lines, want string) mistake {
	return mistake{"grants: all}\n", "grants: all}\n" + lines, want}
}

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	for _, m := range []mistake{
		// Names
		in("files.view]", "files.veiw]",
			`studio.yaml:7:53: unknown permission "files.veiw"; did you mean "files.view"?`),
		in("files.view]", "desks.polish]",
			`studio.yaml:7:53: unknown permission "desks.polish"`),
		in("files.view]", "files.view, files.view]",
			`studio.yaml:7:65: permission "files.view" is listed twice`),
		in("key_prefix:", "key_prefx:",
			"studio.yaml:1:1: charter \"studio\" has no key_prefix\n"+
				`studio.yaml:2:1: unknown key "key_prefx" in the charter; did you mean "key_prefix"?`),
		in("{title: Guest,", "{titel: Guest,",
			"studio.yaml:7:3: role \"guest\" has no title\n"+
				`studio.yaml:7:11: unknown key "titel" in role guest; did you mean "title"?`),
		in("files.edit:", "Files.Edit:",
			`studio.yaml:5:3: permission "Files.Edit" is not noun.verb in lower-case letters, digits and underscores`),
		in("  guest:", "  Guest:",
			`studio.yaml:7:3: role "Guest" is not a name of lower-case letters, digits and underscores, a letter first, at most 40`),
		in("key_prefix: stu", "key_prefix: s",
			`studio.yaml:2:13: key_prefix "s" is not 2 to 8 lower-case letters and digits`),
		in("key_prefix: stu", "key_prefix: stu_dio",
			`studio.yaml:2:13: key_prefix "stu_dio" is not 2 to 8 lower-case letters and digits`),

		// Twice
		in("files.edit:", "files.view:", `studio.yaml:5:3: "files.view" is here twice; first on line 4`),
		in("  owner:", "  guest:", `studio.yaml:8:3: "guest" is here twice; first on line 7`),
		adding("product: Again\n", `studio.yaml:9:1: "product" is here twice; first on line 1`),

		// Types
		in("product: Studio", "product: 7", `studio.yaml:1:10: a text is needed here, not the number 7`),
		in("product: Studio", "product: [Studio]", `studio.yaml:1:10: a text is needed here, not a list`),
		in("product: Studio", "product: ''", `studio.yaml:1:10: a text is needed here, not an empty one`),
		in("grants: all", "grants: most", `studio.yaml:8:33: grants must be all or a list of permissions, not the text "most"`),
		in("product: Studio", "product: !!int \"7\\n\\e[2J\"", "studio.yaml:1:10: a text is needed here, not the number 7\uFFFD\uFFFD[2J"),
		in("key_prefix: stu", "key_prefix: "+strings.Repeat("s", 999),
			`studio.yaml:2:13: key_prefix "`+strings.Repeat("s", 388)+"..."),
		adding("regions: eu-west-1\n", `studio.yaml:9:10: a list is needed here, not the text "eu-west-1"`),
		adding("plans: [free]\n", `studio.yaml:9:8: plans must be a mapping, not a list`),
		adding("rules:\n", `studio.yaml:9:7: rules must be a mapping, not nothing`),

		// Permissions and bundles
		in("files.edit: Edit files", "files.edit: {title: Edit, includes: [files.vew]}",
			`studio.yaml:5:40: unknown permission "files.vew"; did you mean "files.view"?`),
		in("files.edit: Edit files", "files.edit: {title: Edit, includes: [files.edit]}",
			`studio.yaml:5:39: bundle "files.edit" includes itself`),
		in("files.edit: Edit files", "files.edit: {title: Edit, includes: []}",
			`studio.yaml:5:39: a bundle includes at least one permission`),
		in("files.edit: Edit files", "keys.view: {title: Keys, includes: [files.view]}",
			`studio.yaml:5:38: "keys.view" is one of Guildhall's own permissions and cannot be a bundle`),
		in("files.edit: Edit files", "files.edit: {group: Files}", `studio.yaml:5:3: permission "files.edit" has no title`),
		adding("absent: [keys.creat_own]\n",
			`studio.yaml:9:10: "keys.creat_own" is not one of Guildhall's own permissions; did you mean "keys.create_own"?`),
		adding("absent: [organization.view]\n", `studio.yaml:9:10: "organization.view" cannot be absent: every role needs it`),
		in("permissions:\n", "absent: [keys.view]\npermissions:\n  keys.view: View keys\n",
			`studio.yaml:5:3: permission "keys.view" is declared absent`),
		in("roles:\n", "absent: [keys.view]\nroles:\n  clerk: {title: Clerk, grants: [organization.view, keys.view]}\n",
			`studio.yaml:8:53: permission "keys.view" is declared absent`),

		// Roles
		in("[organization.view, files.view]", "[files.view]",
			`studio.yaml:7:3: role "guest" does not hold "organization.view", which every role needs`),
		in("grants: [org", "extends: owner, grants: [org",
			`studio.yaml:7:34: no earlier role is called "owner"`),
		in("grants: all", "extends: gest, grants: all",
			`studio.yaml:8:34: no earlier role is called "gest"; did you mean "guest"?`),
		in("  owner: {title: Owner, grants: all}\n", "",
			`studio.yaml:7:3: at least two roles are needed: the owner role and one below it`),

		// Rules
		adding("rules: {owners: two}\n", `studio.yaml:9:17: unknown word "two"; it is one of one, many`),
		adding("rules: {owners: may}\n", `studio.yaml:9:17: unknown word "may"; did you mean "many"?`),
		adding("rules: {grants: at_or_below_own}\n", `studio.yaml:9:9: unknown key "grants" in rules; did you mean "grant"?`),
		adding("rules: {ownership: {transfer_to: gust}}\n", `studio.yaml:9:34: unknown role "gust"; did you mean "guest"?`),
		adding("rules: {ownership: {previous_owner_becomes: owner}}\n",
			`studio.yaml:9:45: role "owner" is the owner role; name another`),
		adding("rules: {deletion_grace: 30 days}\n", `studio.yaml:9:25: "30 days" is not a duration such as 168h`),
		adding("rules: {deletion_grace: 720}\n", `studio.yaml:9:25: a duration such as 168h is needed here, not the number 720`),
		adding("rules: {keys: {max_age: 0h}}\n", `studio.yaml:9:25: duration "0h" is not greater than zero`),
		adding("rules: {keys: {kinds: []}}\n", `studio.yaml:9:23: at least one kind of key is needed`),
		adding("rules: {keys: {kinds: [personal, personal]}}\n", `studio.yaml:9:34: "personal" is listed twice`),
		adding("rules: {keys: {organization_keys: [files.view]}}\n",
			`studio.yaml:9:35: organization_keys needs "organization" among rules.keys.kinds`),
		adding("rules: {keys: {name_template: '{persn}'}}\n",
			`studio.yaml:9:31: unknown placeholder "{persn}"; did you mean "{person}"?`),
		adding("rules: {invitations: {work_email_only: yes please}}\n",
			`studio.yaml:9:40: true or false is needed here, not the text "yes please"`),
		adding("rules: {invitations: {free_mail: [Example]}}\n",
			`studio.yaml:9:35: "Example" is not a mail domain in lower case, such as "example.com"`),

		// The rest
		adding("resources: {file: [files.vew]}\n", `studio.yaml:9:20: unknown permission "files.vew"; did you mean "files.view"?`),
		adding("regions: [eu_west]\n", `studio.yaml:9:11: region "eu_west" is not lower-case letters, digits and single hyphens, at most 40`),
		adding("regions: [eu, eu]\n", `studio.yaml:9:15: region "eu" is listed twice`),
		adding("currency: euro\n", `studio.yaml:9:11: currency "euro" is not three capital letters, such as USD`),
		adding("meters: {jobs: {title: Jobs, unit: jobs}}\n", `studio.yaml:9:10: meter "jobs" has no kind`),
		adding("artifacts: {meter: bytes}\nmeters: {byte: {title: B, unit: b, kind: gauge}}\n",
			`studio.yaml:9:20: no meter is called "bytes"; did you mean "byte"?`),
		adding("artifacts: {meter: jobs}\nmeters: {jobs: {title: Jobs, unit: jobs, kind: sum}}\n",
			`studio.yaml:9:20: the meter "jobs" is a sum; what is stored is a gauge`),
		adding("meters: {jobs: {title: Jobs, unit: jobs, kind: count}}\n",
			`studio.yaml:9:48: unknown word "count"; did you mean "counter"?`),
		adding("meters: {jobs: {title: Jobs, unit: jobs, kind: sum, per: 0}}\n",
			`studio.yaml:9:58: 0 is less than 1, the least there can be`),
		adding("plans: {free: {title: Free, limits: {job: 1}}}\nmeters: {jobs: {title: Jobs, unit: jobs, kind: sum}}\n",
			`studio.yaml:9:38: unknown meter "job"; did you mean "jobs"?`),
		adding("plans: {free: {title: Free, seats: 0}}\n", `studio.yaml:9:36: 0 is less than 1, the least there can be`),
		adding("plans: {free: {title: Free, seats: 1.5}}\n", `studio.yaml:9:36: a whole number is needed here, not the number 1.5`),
		adding("links: {support: 'javascript:alert(1)'}\n",
			`studio.yaml:9:18: link "javascript:alert(1)" is not an address that begins with https://, http:// or mailto:`),
		adding("links: {suport: 'https://example.com'}\n", `studio.yaml:9:9: unknown key "suport" in links; did you mean "support"?`),
		adding("policies: {weather: fine}\n", `studio.yaml:9:12: unknown key "weather" in policies; `+
			`it is one of compliance, data_handling, residency, retention, sub_processors`),
		adding("tests: [{role: gest, can: files.view}]\n", `studio.yaml:9:16: unknown role "gest"; did you mean "guest"?`),
		adding("tests: [{can: files.view, cannot: files.edit}]\n", `studio.yaml:9:9: a test needs a role, and can or cannot`),
		adding("tests: [{role: guest, can: [files.se]}]\n", `studio.yaml:9:29: unknown permission "files.se"; did you mean "files.view"?`),
	} {
		wantMistake(t, m)
	}
}

func wantMistake(t *testing.T, m mistake) {
	t.Helper()
	if !strings.Contains(small, m.old) {
		t.Fatalf("the small charter has no %q", m.old)
	}
	c, err := charter.Parse("studio.yaml", []byte(strings.Replace(small, m.old, m.new, 1)))
	if err == nil {
		t.Errorf("%q is accepted, want %s", m.new, m.want)
		return
	}
	if c != nil {
		t.Errorf("%q gives a charter beside the error", m.new)
	}
	if got := err.Error(); got != m.want {
		t.Errorf("%q:\n got %s\nwant %s", m.new, got, m.want)
	}
}

func TestAllMistakesAreToldAtOnceInTheOrderOfTheFile(t *testing.T) {
	_, err := charter.Parse("studio.yaml", []byte(`product: Studio
key_prefix: STU
roles:
  guest: {title: Guest, grants: [organization.view, keys.vew]}
  owner: {title: Owner, grants: all}
rules: {owners: both}
absent: [files.view]
`))
	wantError(t, err, `studio.yaml:2:13: key_prefix "STU" is not 2 to 8 lower-case letters and digits
studio.yaml:4:53: unknown permission "keys.vew"; did you mean "keys.view"?
studio.yaml:6:17: unknown word "both"; it is one of one, many
studio.yaml:7:10: "files.view" is not one of Guildhall's own permissions`)
	var errs charter.Errors
	if !errors.As(err, &errs) || len(errs) != 4 {
		t.Fatalf("error is a %T, want Errors of 4", err)
	}
	if first := *errs[0]; first.File != "studio.yaml" || first.Line != 2 || first.Column != 13 {
		t.Errorf("first error = %+v, want its place in fields too", first)
	}
}

func TestTheOwnerRoleHoldsEverything(t *testing.T) {
	absent := "absent: ["
	for _, info := range parse(t, small).Permissions() {
		if info.Own && info.ID != "organization.view" {
			absent += string(info.ID) + ", "
		}
	}
	src := small + absent + "]\n"
	right := strings.Replace(src, "grants: all", "grants: [organization.view, files.view, files.edit]", 1)
	if c := parse(t, right); c.OwnerRole().Holds != c.All() || c.All().Len() != 3 {
		t.Errorf("owner holds %d of %d permissions, want all 3", c.OwnerRole().Holds.Len(), c.All().Len())
	}
	wrong := strings.Replace(src, "grants: all", "grants: [organization.view, files.edit]", 1)
	_, err := charter.Parse("studio.yaml", []byte(wrong))
	wantError(t, err, `studio.yaml:8:3: role "owner" is the last and so the owner role, but lacks files.view; write grants: all`)
}

func TestACharterThatFailsItsOwnTestsDoesNotLoad(t *testing.T) {
	_, err := charter.Parse("studio.yaml", []byte(small+`tests:
  - {role: guest, can: files.view, cannot: files.edit}
  - {role: guest, can: [files.view, files.edit]}
  - {role: guest, cannot: files.view}
  - {role: owner, cannot: files.edit}
`))
	wantError(t, err, `studio.yaml:11:5: the charter's own test fails: guest lacks files.edit: held by owner
studio.yaml:12:5: the charter's own test fails: guest holds files.view: granted to guest
studio.yaml:13:5: the charter's own test fails: owner holds files.edit: owner has grants: all`)
}

func TestATestMayAskForAnAbsentPermission(t *testing.T) {
	c := parse(t, small+"absent: [keys.create_own]\ntests: [{role: owner, cannot: keys.create_own}]\n")
	if err := c.RunTests(); err != nil {
		t.Errorf("tests: %v", err)
	}
	_, err := charter.Parse("studio.yaml", []byte(small+"absent: [keys.create_own]\ntests: [{role: owner, can: keys.create_own}]\n"))
	wantError(t, err, "studio.yaml:10:9: the charter's own test fails: owner lacks keys.create_own: it does not exist in this charter")
}

func TestHostileFilesAreRefused(t *testing.T) {
	for what, row := range map[string][2]string{
		"nothing":          {"", "x.yaml:1:1: the file is empty"},
		"no mapping":       {"- a\n", "x.yaml:1:1: the charter must be a mapping, not a list"},
		"no YAML":          {"a: [b\n", "x.yaml:1:1: not YAML: did not find expected ',' or ']'"},
		"a tab":            {"a: b\nc:\n\t- d\n", "x.yaml:3:1: not YAML: found character that cannot start any token"},
		"bytes":            {"\xff\xfe\x00", "x.yaml:1:1: not YAML: incomplete UTF-16 character"},
		"two documents":    {small + "---\n" + small, "x.yaml:1:1: the file has more than one YAML document"},
		"an anchor":        {"product: &a Studio\n", "x.yaml:1:10: the anchor &a; a charter has no anchors and aliases"},
		"an alias":         {"a: {b: 1}\nproduct: *c\n", "x.yaml:1:1: not YAML: unknown anchor 'c' referenced"},
		"a bomb":           {bomb(), "x.yaml:1:4: the anchor &a; a charter has no anchors and aliases"},
		"depth":            {"product: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), "x.yaml:1:25: nested deeper than 16 levels"},
		"great depth":      {strings.Repeat("[", 500_000), "x.yaml:1:1: not YAML: exceeded max depth of 10000"},
		"size":             {strings.Repeat("#", charter.MaxSize+1), "x.yaml:1:1: the file is larger than 1048576 bytes"},
		"a merge":          {small + "<<: {product: Studio}\n", "x.yaml:9:1: a text is needed here, not a value of type !!merge"},
		"a foreign tag":    {small + "currency: !!binary aGk=\n", "x.yaml:9:11: a text is needed here, not a value of type !!binary"},
		"many permissions": {strings.Replace(small, "permissions:\n", "permissions:\n"+many(223), 1), "x.yaml:4:3: there are 258 permissions, and 256 is the most"},
		"a huge list":      {small + "regions: [" + strings.Repeat("a, ", 2001) + "]\n", "x.yaml:9:10: the list has more than 2000 items"},
		"a huge mapping":   {small + "resources:\n" + many(2001), "x.yaml:10:3: resources has more than 2000 entries"},
	} {
		_, err := charter.Parse("x.yaml", []byte(row[0]))
		if err == nil || err.Error() != row[1] {
			t.Errorf("%s:\n got %.300v\nwant %s", what, err, row[1])
		}
	}
}

// bomb is a small text whose aliases would unfold to a billion nodes.
func bomb() string {
	text := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 8 {
		one := fmt.Sprintf("*%c, ", 'a'+i)
		text += fmt.Sprintf("%c: &%c [%s]\n", 'b'+i, 'b'+i, strings.Repeat(one, 10))
	}
	return text
}

// many makes lines that declare n permissions.
func many(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "  n%d.use: Use\n", i)
	}
	return text.String()
}

func TestTheLastPermissionThatFits(t *testing.T) {
	c := parse(t, strings.Replace(small, "permissions:\n", "permissions:\n"+many(charter.MaxPermissions-len(ownTable)-2), 1))
	if c.All().Len() != charter.MaxPermissions || !c.All().Has(charter.MaxPermissions-1) {
		t.Errorf("%d permissions, want %d", c.All().Len(), charter.MaxPermissions)
	}
	if !c.Can(c.OwnerRole(), "files.edit") {
		t.Error("the owner lacks the last permission")
	}
}

func TestAtMostAHundredMistakesAreTold(t *testing.T) {
	src := small + "regions: [" + strings.Repeat("A, ", 1500) + "]\n"
	_, err := charter.Parse("x.yaml", []byte(src))
	var errs charter.Errors
	if !errors.As(err, &errs) || len(errs) != 100 {
		t.Errorf("%d mistakes told, want 100", len(errs))
	}
}

// FuzzParse looks for a text that makes Parse panic, or load what breaks a promise of the package.
func FuzzParse(f *testing.F) {
	for _, name := range charter.Names() {
		f.Add(charter.Source(name))
	}
	for _, seed := range []string{small, bomb(), "", "a: [", "roles: {a: {extends: a}}", "? [a]: b", "--- !!map\n{}", small + "rules: {keys: {kinds: [organization]}}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := charter.Parse("fuzz.yaml", src)
		if err != nil {
			wantPlaces(t, err)
			return
		}
		wantSound(t, c)
	})
}

func wantPlaces(t *testing.T, err error) {
	var errs charter.Errors
	if !errors.As(err, &errs) || len(errs) == 0 {
		t.Fatalf("error is %T of %d, want Errors", err, len(errs))
	}
	for _, e := range errs {
		if e.Line < 1 || e.Column < 1 || e.Text == "" || strings.Contains(e.Error(), "\n") {
			t.Fatalf("error %q has no place or more than one line", e.Error())
		}
	}
}

func wantSound(t *testing.T, c *charter.Charter) {
	owner := c.OwnerRole()
	if !owner.Owner || owner.Holds != c.All() {
		t.Fatalf("owner role %q holds %d of %d", owner.ID, owner.Holds.Len(), c.All().Len())
	}
	for _, r := range c.Roles() {
		if !c.Can(r, "organization.view") || !r.Holds.SubsetOf(c.All()) {
			t.Fatalf("role %q holds %v", r.ID, c.IDs(r.Holds))
		}
	}
	if to, ok := c.Role(c.Rules.Ownership.TransferTo); !ok || to.Owner {
		t.Fatalf("ownership goes to %q", c.Rules.Ownership.TransferTo)
	}
	if len(c.Rules.Keys.Kinds) == 0 || c.Rules.Invitations.ExpireAfter <= 0 || c.Rules.DeletionGrace <= 0 || c.Product == "" {
		t.Fatalf("rules %+v of %q", c.Rules, c.Product)
	}
	for _, info := range c.Permissions() {
		if need, ok := c.Need(info.ID); !ok || need.Empty() {
			t.Fatalf("%s needs nothing", info.ID)
		}
	}
	for i := range c.Routes {
		r := &c.Routes[i]
		if _, ok := c.Match(r.Method, strings.NewReplacer("{", "", "}", "").Replace(r.Pattern)); !ok || r.Public == (r.Needs != "") {
			t.Fatalf("route %s matches no request, or needs %q and is public: %t", r, r.Needs, r.Public)
		}
	}
}
