package decide_test

import (
	"testing"

	"github.com/guildhall/guildhall/decide"
)

func TestWaysAreReadByTheirNames(t *testing.T) {
	for text, want := range map[string]decide.Way{"": 0, "mail": decide.ByMail, "sso passkey mail": decide.ByMail | decide.ByPasskey | decide.ByProvider, " github  nothing ": decide.ByGitHub} {
		if got := decide.ParseWays(text); got != want {
			t.Errorf("%q is %b, want %b", text, got, want)
		}
	}
}
