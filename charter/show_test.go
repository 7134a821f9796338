package charter_test

import (
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
)

func TestShow(t *testing.T) {
	for _, name := range charter.Names() {
		var out strings.Builder
		if err := ready(t, name).Show(&out); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", out.String())
	}
}

func TestExplain(t *testing.T) {
	for _, row := range []struct {
		charter string
		role    charter.RoleID
		id      charter.Permission
		want    string
	}{
		{"gateway", "developer", "prompts.promote", "developer holds prompts.promote: granted to developer"},
		{"gateway", "developer", "logs.view", "developer holds logs.view: granted to reader, which developer extends"},
		{"gateway", "admin", "logs.view", "admin holds logs.view: granted to reader, which developer extends, which admin extends"},
		{"gateway", "admin", "members.invite", "admin holds members.invite: part of the bundle members.manage, granted to admin"},
		{"gateway", "admin", "members.manage", "admin holds members.manage: granted to admin"},
		{"gateway", "owner", "members.manage", "owner holds members.manage: owner has grants: all"},
		{"gateway", "reader", "prompts.promote", "reader lacks prompts.promote: held by developer, admin, owner"},
		{"gateway", "developer", "members.manage", "developer lacks members.manage: held by admin, owner"},
		{"documents", "owner", "keys.create_own", "owner lacks keys.create_own: it does not exist in this charter"},
	} {
		got, err := ready(t, row.charter).Explain(row.role, row.id)
		if err != nil || got != row.want {
			t.Errorf("%s: explain %s %s = %q, %v; want %q", row.charter, row.role, row.id, got, err, row.want)
		}
	}
}

func TestExplainABundleHeldByItsParts(t *testing.T) {
	c := parse(t, strings.Replace(small, "  files.edit: Edit files\n",
		"  files.edit: Edit files\n  files.see: {title: See files, includes: [files.view]}\n", 1))
	got, err := c.Explain("guest", "files.see")
	if want := "guest holds files.see: all its parts are held: files.view"; err != nil || got != want {
		t.Errorf("explain = %q, %v; want %q", got, err, want)
	}
}

func TestExplainRefusesWhatNobodyHasHeardOf(t *testing.T) {
	c := ready(t, "gateway")
	_, err := c.Explain("developper", "prompts.view")
	wantError(t, err, `unknown role "developper"; did you mean "developer"?`)
	_, err = c.Explain("developer", "prompts.vew")
	wantError(t, err, `unknown permission "prompts.vew"; did you mean "prompts.view"?`)
}

func TestNearest(t *testing.T) {
	among := []string{"prompts.promote", "prompts.edit", "keys.view", "one"}
	for word, want := range map[string]string{
		"prompts.promot":             "prompts.promote",
		"promtps.promote":            "prompts.promote",
		"PROMPTS.EDIT":               "prompts.edit",
		"kyes.view":                  "keys.view",
		"on":                         "one",
		"billing":                    "",
		"":                           "",
		"zzzzzzzzzzzz":               "",
		strings.Repeat("keys", 1000): "",
	} {
		if got := charter.Nearest(word, among); got != want {
			t.Errorf("nearest to %.20q = %q, want %q", word, got, want)
		}
	}
}
