package console_test

import (
	"testing"
)

// TestASignInPolicyNamesWhoIsAffectedAndHolds sets a policy on its page, and meets it as somebody who is signed in.
func TestASignInPolicyNamesWhoIsAffectedAndHolds(t *testing.T) {
	const path = "/o/acme/settings/sso/policy"
	s, acme, _ := domainSite(t, "automation")
	b, bo := s.as(acme.Owner()), s.as(acme.Join("bo@acme.test", "editor"))
	b.get(ssoPath).says(ssoPath, 200, "Nothing beyond what every organization here asks.")
	b.get(path).says(path, 200, "Sign-in policy", "Optional", "Enforced", "has no passkey", "Allowed networks")
	tellsWays(t, b, path)
	bo.get(path).says(path, 403)

	review := path + "/review"
	form := func(changes string) string { return review + "?sso=optional&" + changes }
	all := "methods=mail&methods=passkey&methods=google&methods=github&methods=sso&session_life=0&session_idle=0&networks="
	says := func(url string, status int, texts ...string) *sight { return b.get(url).says(url, status, texts...) }
	says(form("mfa=off&"+all), 200, "Nobody who is signed in has to do anything.")
	says(form("mfa=off&"+all+"198.51.100.0/24"), 409, "our own address")
	says(review+"?sso=enforced&mfa=off&"+all, 409, "No identity provider is on for everybody")
	ask := says(form("mfa=on&"+all), 200, "4 sessions of 4 people", "bo@acme.test", "signs in with a second factor or a passkey")
	bo.get("/o/acme").says("/o/acme", 200)
	b.submit(ask, review)
	bo.get("/o/acme").says("/o/acme", 403, "asks for a second factor", "Sign in again", "Add a passkey or an authenticator app")
	bo.get("/account/passkeys").says("/account/passkeys", 200)
	bo.get("/login?again=1").says("/login?again=1", 200, "Sign in")
	s.Sound()
}
