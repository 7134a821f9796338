package directory_test

import (
	netmail "net/mail"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/guildhall/guildhall/directory"
)

// T-097
func TestAddressesAreFoldedInASCIIAndByDomainOnly(t *testing.T) {
	long := strings.Repeat("a", 64)
	same := map[string]string{
		// the local part: ASCII case, and nothing else
		"ann@acme.test":              "ann@acme.test",
		"Ann@acme.test":              "ann@acme.test",
		"ANN@ACME.TEST":              "ann@acme.test",
		"ann@Acme.Test":              "ann@acme.test",
		"ann+tag@acme.test":          "ann+tag@acme.test",
		"ann+TAG@acme.test":          "ann+tag@acme.test",
		"ann.b@acme.test":            "ann.b@acme.test",
		"annb@acme.test":             "annb@acme.test",
		"a.n.n.b@gmail.com":          "a.n.n.b@gmail.com",
		"ann-b@acme.test":            "ann-b@acme.test",
		"ann_b@acme.test":            "ann_b@acme.test",
		"-ann@acme.test":             "-ann@acme.test",
		"_@acme.test":                "_@acme.test",
		"1@acme.test":                "1@acme.test",
		"0123456789@acme.test":       "0123456789@acme.test",
		"a@acme.test":                "a@acme.test",
		"!#$%&'*+-/=?^_`{|}~@a.test": "!#$%&'*+-/=?^_`{|}~@a.test",
		"o'brien@acme.test":          "o'brien@acme.test",
		"{ann}@acme.test":            "{ann}@acme.test",
		"=cmd|calc@acme.test":        "=cmd|calc@acme.test",
		"null@acme.test":             "null@acme.test",
		"true@acme.test":             "true@acme.test",
		"undefined@acme.test":        "undefined@acme.test",
		"${jndi}@acme.test":          "${jndi}@acme.test",
		"%s%d@acme.test":             "%s%d@acme.test",
		"%00@acme.test":              "%00@acme.test",
		"--help@acme.test":           "--help@acme.test",
		"'or'1'='1@acme.test":        "'or'1'='1@acme.test",
		"postmaster@acme.test":       "postmaster@acme.test",
		long + "@acme.test":          long + "@acme.test",
		// letters that other foldings would make equal to ASCII ones stay what they are
		"ınn@acme.test":       "ınn@acme.test",      // dotless i
		"INN@acme.test":       "inn@acme.test",      // and not ınn, whatever the locale
		"İnn@acme.test":       "İnn@acme.test",      // capital dotted I
		"\u212aim@acme.test":  "\u212aim@acme.test", // Kelvin sign
		"kim@acme.test":       "kim@acme.test",
		"ſam@acme.test":       "ſam@acme.test", // long s
		"sam@acme.test":       "sam@acme.test",
		"straße@acme.test":    "straße@acme.test",
		"strasse@acme.test":   "strasse@acme.test",
		"STRAẞE@acme.test":    "straẞe@acme.test",
		"ÀNN@acme.test":       "Ànn@acme.test",
		"ànn@acme.test":       "ànn@acme.test",
		"a\u0300nn@acme.test": "a\u0300nn@acme.test", // decomposed: other bytes, another address
		"ａnn@acme.test":       "ａnn@acme.test",       // full width
		"аnn@acme.test":       "аnn@acme.test",       // Cyrillic a
		"αnn@acme.test":       "αnn@acme.test",
		"Σ@acme.test":         "Σ@acme.test",
		"σ@acme.test":         "σ@acme.test",
		"ς@acme.test":         "ς@acme.test",
		"ﬁn@acme.test":        "ﬁn@acme.test", // ligature
		"fin@acme.test":       "fin@acme.test",
		"①@acme.test":         "①@acme.test",
		"用户@acme.test":        "用户@acme.test",
		"अजय@acme.test":       "अजय@acme.test",
		"😀@acme.test":         "😀@acme.test",
		"Å@acme.test":         "Å@acme.test", // Angstrom sign
		// the domain: as DNS has it
		"ann@bücher.test":                          "ann@xn--bcher-kva.test",
		"ann@BÜCHER.test":                          "ann@xn--bcher-kva.test",
		"ann@bu\u0308cher.test":                    "ann@xn--bcher-kva.test",
		"ann@xn--bcher-kva.test":                   "ann@xn--bcher-kva.test",
		"ann@XN--BCHER-KVA.test":                   "ann@xn--bcher-kva.test",
		"ann@straße.test":                          "ann@xn--strae-oqa.test",
		"ann@strasse.test":                         "ann@strasse.test",
		"ann@\u212aelvin.test":                     "ann@kelvin.test", // DNS has one k
		"ann@kelvin.test":                          "ann@kelvin.test",
		"ann@ａcme.test":                            "ann@acme.test",
		"ann@acme。test":                            "ann@acme.test",
		"ann@例え.test":                              "ann@xn--r8jz45g.test",
		"ann@пример.test":                          "ann@xn--e1afmkfd.test",
		"ann@مثال.test":                            "ann@xn--mgbh0fb.test",
		"ann@דוגמה.test":                           "ann@xn--6dbbec0c.test",
		"ann@аcme.test":                            "ann@xn--cme-5cd.test", // Cyrillic a
		"ann@ıstanbul.test":                        "ann@xn--stanbul-qfb.test",
		"ann@istanbul.test":                        "ann@istanbul.test",
		"ann@a.b.c.d.e.test":                       "ann@a.b.c.d.e.test",
		"ann@1.test":                               "ann@1.test",
		"ann@123.456.test":                         "ann@123.456.test",
		"ann@a-b.test":                             "ann@a-b.test",
		"ann@co.uk":                                "ann@co.uk",
		"ann@acme.xn--p1ai":                        "ann@acme.xn--p1ai",
		"ann@acme.рф":                              "ann@acme.xn--p1ai",
		"ann@" + strings.Repeat("a", 63) + ".test": "ann@" + strings.Repeat("a", 63) + ".test",
		// around it
		" ann@acme.test ":               "ann@acme.test",
		"\tann@acme.test\r\n":           "ann@acme.test",
		"Ann <ann@acme.test>":           "ann@acme.test",
		`"Ann, B." <ann@acme.test>`:     "ann@acme.test",
		"<ann@acme.test>":               "ann@acme.test",
		"Ann < ann@acme.test >":         "ann@acme.test",
		"bob@evil.test <ann@acme.test>": "ann@acme.test",
		"a<b <ann@acme.test>":           "ann@acme.test",
	}
	for written, want := range same {
		a, err := directory.ParseAddress(written)
		if err != nil || a.Folded != want {
			t.Errorf("%q is folded to %q (%v), want %q", written, a.Folded, err, want)
		}
	}
}

// T-097, T-035
func TestWhatIsNoAddressSaysWhy(t *testing.T) {
	refused := map[string]string{
		"":                                         "it is empty",
		" ":                                        "it is empty",
		"ann":                                      "it has no @",
		"ann.acme.test":                            "it has no @",
		"Ann <ann>":                                "it has no @",
		"<>":                                       "it is empty",
		"Ann <>":                                   "it is empty",
		"@":                                        "nothing stands before the @",
		"@acme.test":                               "nothing stands before the @",
		"ann@":                                     "nothing stands after the @",
		"ann@@acme.test":                           "more than one @",
		"ann@bob@acme.test":                        "more than one @",
		"ann@acme.test@evil.test":                  "more than one @",
		"@ann@acme.test":                           "more than one @",
		`"ann"@acme.test`:                          "a quoted local part is not supported",
		`"ann b"@acme.test`:                        "a quoted local part is not supported",
		`"ann@evil.test"@acme.test`:                "a quoted local part is not supported",
		`""@acme.test`:                             "a quoted local part is not supported",
		`a"nn@acme.test`:                           "may not stand before the @",
		`ann\@acme.test`:                           "may not stand before the @",
		"ann(comment)@acme.test":                   "may not stand before the @",
		"ann,bob@acme.test":                        "may not stand before the @",
		"ann;bob@acme.test":                        "may not stand before the @",
		"ann:bob@acme.test":                        "may not stand before the @",
		"ann<bob@acme.test":                        "may not stand before the @",
		"ann>bob@acme.test":                        "may not stand before the @",
		"[ann]@acme.test":                          "may not stand before the @",
		"mailto:ann@acme.test":                     "may not stand before the @",
		"<script>alert(1)</script>@a.test":         "may not stand before the @",
		".ann@acme.test":                           "dots before the @",
		"ann.@acme.test":                           "dots before the @",
		"ann..b@acme.test":                         "dots before the @",
		".@acme.test":                              "dots before the @",
		"ann b@acme.test":                          "a space",
		"ann @acme.test":                           "a space",
		"ann@ acme.test":                           "a space",
		"ann@acme .test":                           "a space",
		"ann\u00a0b@acme.test":                     "a space",
		"ann\u3000b@acme.test":                     "a space",
		"ann\u2003b@acme.test":                     "a space",
		"ann\u2028b@acme.test":                     "a space",
		"ann\tb@acme.test":                         "a space",
		"ann\nbcc:eve@evil.test":                   "a space",
		"ann\r\nBcc: eve@evil.test":                "a space",
		"ann@acme.test\r\nBcc: eve":                "a space",
		"ann@acme.test\nSubject: hi":               "a space",
		"ann\x00@acme.test":                        "a control character",
		"ann@acme.test\x00":                        "a control character",
		"ann\x7f@acme.test":                        "a control character",
		"ann\x1b[31m@acme.test":                    "a control character",
		"ann\u0080@acme.test":                      "a control character",
		"\bann@acme.test":                          "a control character",
		"ann\u202e@acme.test":                      "an invisible character", // right-to-left override
		"\u202eann@acme.test":                      "an invisible character",
		"ann\u200f@acme.test":                      "an invisible character",
		"ann\u200e@acme.test":                      "an invisible character",
		"ann\u2066@acme.test":                      "an invisible character",
		"ann@\u202eacme.test":                      "an invisible character",
		"ann\u200b@acme.test":                      "an invisible character", // zero width space
		"ann\u200c@acme.test":                      "an invisible character",
		"ann\u200d@acme.test":                      "an invisible character",
		"ann@ac\u200bme.test":                      "an invisible character",
		"ann@ac\u00adme.test":                      "an invisible character", // soft hyphen
		"\ufeffann@acme.test":                      "an invisible character",
		"ann\u2060@acme.test":                      "an invisible character",
		"ann\u115f@acme.test":                      "an invisible character", // Hangul filler
		"ann\ufe0f@acme.test":                      "an invisible character",
		"ann\ue000@acme.test":                      "an invisible character",
		"ann\U000e0061@acme.test":                  "an invisible character", // tag
		"ann\xff@acme.test":                        "not UTF-8",
		"ann\xc0\x80@acme.test":                    "not UTF-8",
		"ann@acme\xff.test":                        "not UTF-8",
		"ann@acme":                                 "its domain has no dot",
		"ann@localhost":                            "its domain has no dot",
		"ann@acme.test.":                           "its domain ends with a dot",
		"ann@acme.test。":                           "its domain ends with a dot",
		"ann@.":                                    "its domain",
		"ann@..":                                   "its domain ends with a dot",
		"ann@.acme.test":                           "not a domain",
		"ann@acme..test":                           "not a domain",
		"ann@-acme.test":                           "not a domain",
		"ann@acme-.test":                           "not a domain",
		"ann@ab--cd.test":                          "not a domain",
		"ann@acme_corp.test":                       "not a domain",
		"ann@acme!.test":                           "not a domain",
		"ann@acme,test":                            "not a domain",
		"ann@acme/test.test":                       "not a domain",
		"ann@acme.test/path":                       "not a domain",
		"ann@acme.test:25":                         "not a domain",
		"ann@acme.test?x=1":                        "not a domain",
		"ann@acme.test#x":                          "not a domain",
		"ann@ac%me.test":                           "not a domain",
		"ann@ac'me.test":                           "not a domain",
		"ann@acme.test>":                           "not a domain",
		"ann@acme.test(comment)":                   "not a domain",
		"ann@evil.test＠acme.test":                  "not a domain", // full-width @
		"ann@acme／evil.test":                       "not a domain",
		"ann@xn--a.test":                           "not a domain",
		"ann@xn--.test":                            "not a domain",
		"ann@xn--acme.test":                        "not a domain",
		"ann@😀\u0301\u0301.xn--zz":                 "not a domain",
		"ann@aא.test":                              "not a domain", // mixed directions
		"ann@\u0301acme.test":                      "not a domain", // begins with a mark
		"ann@acme.123":                             "not a domain",
		"ann@127.0.0.1":                            "an address of a machine",
		"ann@[127.0.0.1]":                          "an address of a machine",
		"ann@[IPv6:::1]":                           "an address of a machine",
		"ann@[acme.test]":                          "an address of a machine",
		"ann@１２７.0.0.1":                            "an address of a machine",
		"ann@::1":                                  "not a domain",
		"ann@0x7f.1":                               "not a domain",
		strings.Repeat("a", 65) + "@acme.test":     "longer than 64 bytes",
		strings.Repeat("ä", 33) + "@acme.test":     "longer than 64 bytes",
		strings.Repeat("a", 290) + "@acme.test":    "longer than 254 bytes",
		"ann@" + strings.Repeat("a", 64) + ".test": "not a domain",
		"ann@" + strings.Repeat("ü", 63) + ".test":                         "not a domain",
		"ann@" + strings.Repeat("abcdefgh.", 40) + "test":                  "longer than 254 bytes",
		strings.Repeat("a", 64) + "@" + strings.Repeat("bü.", 40) + "test": "its domain is longer than 253 bytes",
	}
	for written, want := range refused {
		a, err := directory.ParseAddress(written)
		if err == nil {
			t.Errorf("%q is taken for the address %q", written, a.Folded)
			continue
		}
		if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), " is not an address: ") {
			t.Errorf("%q is refused with %q, want %q in it", written, err, want)
		}
		if strings.ContainsAny(err.Error(), "\r\n\x00\x1b\u202e\u200b") {
			t.Errorf("%q is shown raw in %q", written, err)
		}
	}
}

func TestAnErrorReadsAsASentence(t *testing.T) {
	_, err := directory.ParseAddress("ann")
	if got, want := err.Error(), `"ann" is not an address: it has no @`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestANameBesideAnAddressIsKeptOnOneLine(t *testing.T) {
	for written, want := range map[string]string{
		"ann@acme.test":                          "",
		"Ann <ann@acme.test>":                    "Ann",
		`"Doe, Ann" <ann@acme.test>`:             "Doe, Ann",
		"  Ann   Doe  <ann@acme.test>":           "Ann Doe",
		"Ann\r\nBcc: x <ann@acme.test>":          "Ann Bcc: x",
		"Ann\u202e\x00\x1b[1m <ann@acme.test>":   "Ann[1m",
		strings.Repeat("ä", 300) + " <a@b.test>": strings.Repeat("ä", 100),
	} {
		a, err := directory.ParseAddress(written)
		if err != nil || a.Name != want {
			t.Errorf("the name of %q is %q (%v), want %q", written, a.Name, err, want)
		}
	}
}

// addresses are texts that are likely to be addresses, and likely to be alike.
func addresses() *rapid.Generator[string] {
	local := rapid.StringMatching(`[aAbBkKiIıİſsS\x{212a}.+]{1,4}`)
	domain := rapid.SampledFrom([]string{"a.test", "A.test", "ä.test", "a\u0308.test", "xn--4ca.test", "\u212a.test", "k.test", "K.TEST",
		"ß.test", "ss.test", "ａ.test", "a。test", "ı.test", "i.test", "I.test", "a.test."})
	return rapid.Custom(func(t *rapid.T) string { return local.Draw(t, "local") + "@" + domain.Draw(t, "domain") })
}

// T-097: "same" is an equivalence, and mail to the folded address is mail to the same person.
func TestSameIsAnEquivalence(t *testing.T) {
	same := func(a, b string) bool {
		x, err := directory.Fold(a)
		y, err2 := directory.Fold(b)
		return err == nil && err2 == nil && x == y
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := addresses().Draw(t, "a"), addresses().Draw(t, "b"), addresses().Draw(t, "c")
		folded, err := directory.Fold(a)
		if err != nil {
			return
		}
		if again, err := directory.Fold(folded); err != nil || again != folded {
			t.Fatalf("%q is folded to %q and that to %q (%v)", a, folded, again, err)
		}
		if !same(a, a) || same(a, b) != same(b, a) || same(a, b) && same(b, c) && !same(a, c) {
			t.Fatalf("same is no equivalence on %q, %q, %q", a, b, c)
		}
		if same(a, b) && len(localPart(a)) != len(localPart(b)) {
			t.Fatalf("%q and %q are the same, with local parts of other lengths", a, b)
		}
	})
}

func localPart(address string) string { local, _, _ := strings.Cut(address, "@"); return local }

func FuzzFold(f *testing.F) {
	for _, seed := range []string{"ann@acme.test", "ınn@ä.test", `"a"@b.c`, "a@[::1]", "\u212a@\u212a.test", "a@b@c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		folded, err := directory.Fold(s)
		if err != nil {
			return
		}
		if again, err := directory.Fold(folded); err != nil || again != folded {
			t.Errorf("%q is folded to %q and that to %q (%v)", s, folded, again, err)
		}
		if parsed, err := netmail.ParseAddress(folded); err != nil || parsed.Address != folded {
			t.Errorf("%q is folded to %q, which cannot be mailed to: %v", s, folded, err)
		}
	})
}

func TestAPastedListIsReadInAnyForm(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"one", "ann@a.test", []string{"ann@a.test"}},
		{"nothing", " \n , ; \n", nil},
		{"lines", "ann@a.test\nbob@a.test\r\ncy@a.test\rdi@a.test", []string{"ann@a.test", "bob@a.test", "cy@a.test", "di@a.test"}},
		{"commas", "ann@a.test, bob@a.test,cy@a.test,", []string{"ann@a.test", "bob@a.test", "cy@a.test"}},
		{"semicolons", "ann@a.test; bob@a.test;", []string{"ann@a.test", "bob@a.test"}},
		{"spaces", "ann@a.test bob@a.test", []string{"ann@a.test", "bob@a.test"}},
		{"mixed", "ann@a.test, bob@a.test; cy@a.test\n\ndi@a.test", []string{"ann@a.test", "bob@a.test", "cy@a.test", "di@a.test"}},
		{"names", "Ann <ann@a.test>, Bob B <bob@a.test>", []string{"Ann|ann@a.test", "Bob B|bob@a.test"}},
		{"names with commas", `"Doe, Ann" <ann@a.test>, "Roe, Bob" <bob@a.test>`, []string{"Doe, Ann|ann@a.test", "Roe, Bob|bob@a.test"}},
		{"as Outlook copies", "Doe, Ann <ann@a.test>; Roe, Bob <bob@a.test>", []string{"Doe, Ann|ann@a.test", "Roe, Bob|bob@a.test"}},
		{"rows of a spreadsheet", "Ann\tDoe\tann@a.test\nBob\t\tbob@a.test", []string{"Ann Doe|ann@a.test", "Bob|bob@a.test"}},
		{"links", "mailto:ann@a.test, <bob@a.test>", []string{"ann@a.test", "bob@a.test"}},
		{"a byte order mark", "\ufeffann@a.test", []string{"ann@a.test"}},
		{"CSV", "name,email,role\nAnn,ann@a.test,editor\n\"Roe, Bob\",bob@a.test,viewer\n", []string{"Ann|ann@a.test", "Roe, Bob|bob@a.test"}},
		{"CSV with semicolons", "Email;First name;Last name\nann@a.test;Ann;Doe", []string{"Ann Doe|ann@a.test"}},
		{"CSV of one column", "E-Mail\nann@a.test\nbob@a.test", []string{"ann@a.test", "bob@a.test"}},
		{"CSV with a short row", "name,email\nAnn\nBob,bob@a.test", []string{`"Ann" is not an address: it has no @`, "Bob|bob@a.test"}},
		{"no address", "ann, bob@a.test", []string{`"ann" is not an address: it has no @`, "bob@a.test"}},
		{"duplicates", "ann@a.test, bob@a.test, ANN@A.test", []string{"ann@a.test", "bob@a.test", "again ann@a.test"}},
		{"a lone quote", `ann@a.test, "bob@a.test, cy@a.test`, []string{"ann@a.test", `"\"bob@a.test" is not an address: a quoted local part is not supported`, "cy@a.test"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, line := range directory.ParseAddresses(test.text) {
				got = append(got, describe(line))
			}
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func describe(line directory.ParsedLine) string {
	switch {
	case line.Err != nil:
		return line.Err.Error()
	case line.Duplicate:
		return "again " + line.Address.Folded
	case line.Address.Name != "":
		return line.Address.Name + "|" + line.Address.Folded
	}
	return line.Address.Folded
}

func TestAPastedListStopsPastItsLimit(t *testing.T) {
	text := strings.Repeat("ann@a.test\n", 100_000)
	if got, want := len(directory.ParseAddresses(text)), directory.MaxAddresses+1; got != want {
		t.Errorf("got %d entries, want %d", got, want)
	}
}

func TestALineNumberLeadsBackToTheList(t *testing.T) {
	lines := directory.ParseAddresses("\nann@a.test\n\nbob@a.test, cy@a.test")
	got := []int{lines[0].Line, lines[1].Line, lines[2].Line}
	if got[0] != 2 || got[1] != 4 || got[2] != 4 {
		t.Errorf("the lines are %v, want 2, 4 and 4", got)
	}
}

func TestAMaskShowsTheFirstLetterOnly(t *testing.T) {
	for email, want := range map[string]string{
		"bob@acme.test": "b••@acme.test", "b@acme.test": "b••@acme.test", "øre@acme.test": "ø••@acme.test", "bob": "••", "": "••", "@acme.test": "••",
	} {
		if got := directory.Mask(email); got != want {
			t.Errorf("%q is masked as %q, want %q", email, got, want)
		}
	}
}
