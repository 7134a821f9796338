package charter_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/charter"
)

func TestDiffSaysWhoGainsAndLosesWhat(t *testing.T) {
	for _, row := range []struct {
		old, new string
		want     []string
	}{
		{"files.view]", "files.view, files.edit]", []string{"guest gains files.edit"}},
		{"files.view]", "keys.view]", []string{"guest loses files.view", "guest gains keys.view"}},
		{"  files.edit: Edit files\n", "", []string{"permission files.edit is gone", "owner loses files.edit"}},
		{"  files.edit:", "  files.sign: Sign files\n  files.edit:", []string{"permission files.sign is new", "owner gains files.sign"}},
		{"  owner:", "  clerk: {title: Clerk, extends: guest}\n  owner:", []string{"role clerk is new",
			"rules.ownership.transfer_to is clerk, was guest", "rules.ownership.previous_owner_becomes is clerk, was guest"}},
		{"  owner:", "  chief:", []string{"role owner is gone", "role chief is new", "the owner role is chief, was owner"}},
		{"key_prefix: stu\n", "key_prefix: stu\nrules: {owners: one, keys: {kinds: [organization], organization_keys: [files.view], max_age: 24h}}\n",
			[]string{"an organization key gains files.view", "rules.owners is one, was many",
				"rules.keys.kinds is organization, was personal", "rules.keys.max_age is 24h0m0s, was 0s"}},
		{"View files", "See files", nil},
	} {
		after := parse(t, strings.Replace(small, row.old, row.new, 1))
		if diff := cmp.Diff(row.want, charter.Diff(parse(t, small), after)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", row.new, diff)
		}
	}
}

func TestACharterDoesNotDifferFromItself(t *testing.T) {
	for _, name := range charter.Names() {
		if lines := charter.Diff(ready(t, name), ready(t, name)); len(lines) > 0 {
			t.Errorf("%s differs from itself: %v", name, lines)
		}
	}
}
