package scim

import (
	"strings"
	"testing"
)

// FuzzFilter: no filter makes SQL of what it says: every value is a parameter, and what is parsed is bounded. T-083.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{`userName eq "x"`, `emails[type eq "work" and value co "@x"].value sw "a"`, `not (active eq False) or id pr`,
		`meta.created gt "2026-01-02T03:04:05Z"`, `((userName pr))`, `members[value eq "scu_1"]`, `userName eq "' OR 1=1; --"`, `a[`, `urn:x`,
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "x"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = parsePath(text)
		parsed, err := parseFilter(text)
		if err != nil {
			return
		}
		for _, columns := range []map[string]column{userColumns, groupColumns} {
			q := &query{columns: columns}
			where, err := q.where(parsed)
			if err != nil {
				continue
			}
			if strings.ContainsAny(where, `";\`) || strings.Contains(where, "--") || strings.Count(where, "'")%2 != 0 {
				t.Errorf("%q became %q", text, where)
			}
			if n := strings.Count(where, "$"); n != len(q.args) {
				t.Errorf("%q: %d parameters and %d values in %q", text, n, len(q.args), where)
			}
		}
	})
}

// FuzzPatch: no PATCH breaks what is kept: the document is canonical afterwards, whatever was sent.
func FuzzPatch(f *testing.F) {
	f.Add("Replace", `emails[type eq "work"].value`, "a@x.test")
	f.Add("add", "name.givenName", "Zoe")
	f.Add("remove", `phoneNumbers[type eq "mobile"]`, "")
	f.Add("add", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager", "1")
	f.Fuzz(func(t *testing.T, verb, at, value string) {
		d, err := newDocument(map[string]any{"userName": "zoe@x.test", "emails": []any{map[string]any{"value": "zoe@x.test", "type": "work"}}})
		if err != nil {
			t.Fatal(err)
		}
		if d.patch(PatchOperation{Op: verb, Path: at, Value: value}) != nil {
			return
		}
		for name := range d {
			if _, known := find(UserAttributes, name); !known && name != enterpriseSchema {
				t.Errorf("%q %q keeps %q", verb, at, name)
			}
		}
		if again := parseDocument(d.String()); again.String() != d.String() {
			t.Errorf("%q %q: %s is read as %s", verb, at, d, again)
		}
	})
}
