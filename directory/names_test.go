package directory

import (
	"strings"
	"testing"
)

// T-096: what people will see has no character that hides, turns or breaks text; what stands in addresses is ASCII.
func TestNamesThatPeopleSee(t *testing.T) {
	good := []string{"Acme", "Ácme & Söhne GmbH", "株式会社アクメ", "O'Neill", "  Acme  ", "Acme 2.0", "Ακμή", strings.Repeat("x", 80), "🚀 Rockets", "العربية"}
	for _, name := range good {
		if wrong := checkDisplay("name", name, 1); len(wrong) > 0 {
			t.Errorf("%q: %s", name, wrong[0].Detail)
		}
	}
	bad := []string{"", " ", "\t", "Ac\u202eme", "Ac\u200bme", "\ufeffAcme", "Ac\u0000me", "Acme\r\nBcc: x@y.test", "Ac\u2066me", "Ac\u00adme",
		"Ac\u2028me", "\u200d", "Ac\u061cme", "Ac\ufffdme", "Ac\xffme", "Ac\U000e0041me", "Ac\u001b[31mme"}
	for _, name := range bad {
		if len(checkDisplay("name", name, 1)) == 0 {
			t.Errorf("%q is taken as a name", name)
		}
	}
}

func TestCleanDisplayHasOneSpelling(t *testing.T) {
	if a, b := cleanDisplay("A\u0308cme "), cleanDisplay("\u00c4cme"); a != b {
		t.Errorf("%q and %q differ", a, b)
	}
}

// T-096: slugs are ASCII, so that no two look alike.
func TestSlugs(t *testing.T) {
	for _, slug := range []string{"ab", "acme", "acme-2", "a1-b2-c3", strings.Repeat("a", maxSlug)} {
		if wrong := checkSlug(slug); len(wrong) > 0 {
			t.Errorf("%q: %s", slug, wrong[0].Detail)
		}
	}
	for _, slug := range []string{"", "a", "Acme", "acmе", "acme_2", "-acme", "acme-", "a--b", "ac me", "ac.me", "ac/me", "%61cme", "admin", "settings", "v1",
		"xn--acm-joa", "ａcme", strings.Repeat("a", maxSlug+1), "org_01", "acme\n", "acme\x00"} {
		if len(checkSlug(slug)) == 0 {
			t.Errorf("%q is taken as a slug", slug)
		}
	}
}

func TestSuggestSlug(t *testing.T) {
	tests := map[string]string{"Acme": "acme", "Ácme & Söhne GmbH": "acme-sohne-gmbh", "  Acme  Inc. ": "acme-inc", "株式会社": "", "X": "", "Admin": "",
		strings.Repeat("long ", 20): "long-long-long-long-long-long-long"}
	for name, want := range tests {
		if got := suggestSlug(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
