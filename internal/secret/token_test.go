package secret_test

import (
	"bytes"
	"crypto/sha256"
	"regexp"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/internal/secret"
)

func TestTokensHaveTheirForm(t *testing.T) {
	for _, kind := range []string{"live", "svc", "ses"} {
		token := secret.New(nil, "gld", kind)
		form := regexp.MustCompile(`^gld_` + kind + `_[0-9A-Za-z]{49}$`)
		if !form.MatchString(token.Reveal()) {
			t.Errorf("%q is not %s", token.Reveal(), form)
		}
		parsed, err := secret.Parse(token.Reveal())
		if err != nil {
			t.Fatalf("Parse(%q): %v", token.Reveal(), err)
		}
		if parsed.Kind() != kind || parsed.Prefix() != "gld" || parsed.Hash() != token.Hash() || parsed.Reveal() != token.Reveal() {
			t.Errorf("%q is read as another token", token.Reveal())
		}
		if got, want := token.Hash(), sha256.Sum256([]byte(token.Reveal())); got != want {
			t.Errorf("Hash() = %x, want %x", got, want)
		}
	}
}

// The text of a token is a promise to scanners of leaked secrets: the CRC32
// (IEEE) of what stands before it, in base62, most significant digit first.
func TestTheFormOfTokensDoesNotChange(t *testing.T) {
	for _, test := range []struct {
		random byte
		want   string
	}{
		{0x00, "gld_live_" + strings.Repeat("0", 43) + "3JBWto"},
		{0xff, "gld_live_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp10ZRghY"},
	} {
		got := secret.New(bytes.NewReader(bytes.Repeat([]byte{test.random}, 32)), "gld", "live").Reveal()
		if got != test.want {
			t.Errorf("the token of bytes %x is %q, want %q", test.random, got, test.want)
		}
	}
}

func TestTokensDiffer(t *testing.T) {
	seen := map[secret.Hash]bool{}
	for range 1000 {
		seen[secret.New(nil, "gld", "live").Hash()] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different tokens of 1000", len(seen))
	}
}

// T-047
func TestParseRefusesWhatNobodyIssued(t *testing.T) {
	good := secret.New(nil, "gld", "live").Reveal()
	last := good[len(good)-1:]
	other := "0"
	if last == other {
		other = "1"
	}
	for name, s := range map[string]string{
		"nothing":                    "",
		"words":                      "hello",
		"a prefix alone":             "gld_live_",
		"another prefix":             "abc" + good[3:],
		"another kind":               "gld_svcs" + good[8:],
		"an upper-case prefix":       "GLD" + good[3:],
		"no kind":                    "gld_" + good[9:],
		"a character too few":        good[:len(good)-1],
		"a character too many":       good + "0",
		"a wrong checksum":           good[:len(good)-1] + other,
		"two characters exchanged":   exchanged(good),
		"a space around it":          " " + good,
		"a line end after it":        good + "\n",
		"a NUL in it":                good[:20] + "\x00" + good[21:],
		"a NUL after it":             good + "\x00",
		"digits of another script":   good[:20] + "\u0663" + good[22:],
		"a full-width letter":        good[:20] + "\uff21" + good[23:],
		"invalid UTF-8":              good[:20] + "\xff" + good[21:],
		"base64 characters":          good[:20] + "+" + good[21:],
		"a long prefix":              strings.Repeat("g", 40) + good[3:],
		"ten megabytes":              good + strings.Repeat("0", 10<<20),
		"ten megabytes of separator": strings.Repeat("_", 10<<20),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := secret.Parse(s); err != secret.ErrMalformed {
				t.Errorf("Parse(%.80q) = %v, want ErrMalformed", s, err)
			}
		})
	}
}

// exchanged swaps two neighbours that differ.
func exchanged(s string) string {
	b := []byte(s)
	for i := 9; i < len(b)-1; i++ {
		if b[i] != b[i+1] {
			b[i], b[i+1] = b[i+1], b[i]
			break
		}
	}
	return string(b)
}

func FuzzParse(f *testing.F) {
	f.Add(secret.New(nil, "gld", "live").Reveal())
	f.Add("gld_live_\x00")
	f.Fuzz(func(t *testing.T, s string) {
		token, err := secret.Parse(s)
		if err == nil && token.Reveal() != s {
			t.Errorf("Parse(%q) is another text: %q", s, token.Reveal())
		}
	})
}

func TestDisplayShowsLittle(t *testing.T) {
	token := secret.New(nil, "gld", "live")
	whole := token.Reveal()
	if got, want := token.Display(), "gld_live_..."+whole[len(whole)-4:]; got != want {
		t.Errorf("Display() = %q, want %q", got, want)
	}
	if got := (secret.Token{}).Display(); got != "" {
		t.Errorf("Display() of no token = %q", got)
	}
}

func TestLinksAndCodesHaveTheirForm(t *testing.T) {
	link := secret.NewLink()
	if !secret.ValidLink(link.Reveal()) || len(link.Reveal()) != 27 {
		t.Errorf("%q is not a link's token", link.Reveal())
	}
	if link.Hash() != secret.HashOf(link.Reveal()) || secret.NewLink().Hash() == link.Hash() {
		t.Error("a link's hash is not its own")
	}
	for _, s := range []string{"", link.Reveal()[1:], link.Reveal() + "0", "../../../etc/passwd........"} {
		if secret.ValidLink(s) {
			t.Errorf("ValidLink(%q) = true", s)
		}
	}
	form := regexp.MustCompile(`^[0-9]{6}$`)
	seen := map[string]bool{}
	for range 200 {
		code := secret.NewCode().Reveal()
		seen[code] = true
		if !form.MatchString(code) {
			t.Errorf("%q is not a code of six digits", code)
		}
	}
	if len(seen) < 190 {
		t.Errorf("%d different codes of 200", len(seen))
	}
}

func TestNewRefusesNamesThatCannotBeRead(t *testing.T) {
	for _, name := range []string{"", "Gld", "a_b", "ü", strings.Repeat("g", 40)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New with the prefix %q makes a token", name)
				}
			}()
			secret.New(nil, name, "live")
		}()
	}
}

func TestParseHashIsParse(t *testing.T) {
	good := secret.New(nil, "gld", "live")
	if got, err := secret.ParseHash(good.Reveal()); err != nil || got != good.Hash() {
		t.Errorf("ParseHash = %x, %v, want %x", got, err, good.Hash())
	}
	if _, err := secret.ParseHash(exchanged(good.Reveal())); err != secret.ErrMalformed {
		t.Errorf("ParseHash of a mistyped token = %v, want ErrMalformed", err)
	}
	s := good.Reveal()
	if got := testing.AllocsPerRun(100, func() { secret.ParseHash(s) }); got != 0 {
		t.Errorf("ParseHash allocates %v times", got)
	}
}

func TestHashOfIsSHA256AtAnyLength(t *testing.T) {
	for _, length := range []int{0, 1, 58, 83, 84, 1000} {
		s := strings.Repeat("k", length)
		if got, want := secret.HashOf(s), sha256.Sum256([]byte(s)); got != want {
			t.Errorf("HashOf %d characters = %x, want %x", length, got, want)
		}
	}
}

func BenchmarkParseHash(b *testing.B) {
	s := secret.New(nil, "gld", "live").Reveal()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := secret.ParseHash(s); err != nil {
			b.Fatal(err)
		}
	}
}
