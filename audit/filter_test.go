package audit_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/audit"
)

func TestALineOfQualifiersIsTakenApart(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"", ""},
		{"   ", ""},
		{"actor:ada@acme.test", "actor=ada@acme.test"},
		{"actor:usr_1 action:members.remove", "actor=usr_1 action=members.remove"},
		{"-action:audit.list outcome:denied", "!action=audit.list outcome=denied"},
		{`target:"Zoe Doe" actor:x`, "target=Zoe Doe actor=x"},
		{`target:"open end`, "target=open end"},
		{"created:>2026-11-01", "after=2026-11-02T00:00:00Z"},
		{"created:>=2026-11-01", "after=2026-11-01T00:00:00Z"},
		{"created:<2026-11-01", "before=2026-11-01T00:00:00Z"},
		{"created:<=2026-11-01", "before=2026-11-02T00:00:00Z"},
		{"created:2026-11-01", "after=2026-11-01T00:00:00Z before=2026-11-02T00:00:00Z"},
		{"created:2026-11-01..2026-11-30", "after=2026-11-01T00:00:00Z before=2026-12-01T00:00:00Z"},
		{"created:>=2026-11-01T18:00:00+01:00", "after=2026-11-01T17:00:00Z"},
		{"created:>2026-11-01T18:00:00Z", "after=2026-11-01T18:00:00.000001Z"},
		{"zoe", `put actor:, action:, target:, outcome: or created: before "zoe"`},
		{"owner:zoe", "of actor:, action:, target:, outcome: and created: none is called owner"},
		{"actor:", "actor: needs a value"},
		{"outcome:great", `outcome is ok, unchanged, denied or failed, not "great"`},
		{"created:yesterday", `"yesterday" is not a time such as 2026-11-01 or 2026-11-01T18:00:00Z`},
		{"-created:2026-11-01", "created: takes no - in front: turn the sign of the time around"},
	} {
		terms, err := audit.Parse(c.line)
		var words []string
		for _, term := range terms {
			not := map[bool]string{true: "!"}[term.Not]
			words = append(words, fmt.Sprintf("%s%s=%s", not, term.Field, term.Value))
		}
		got := strings.Join(words, " ")
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q is %q, want %q", c.line, got, c.want)
		}
	}
}
