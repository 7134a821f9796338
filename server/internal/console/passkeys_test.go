package console_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"golang.org/x/net/html"

	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/signin"
)

// options are those that a page's form has for the browser.
func (s *sight) options(action string) string {
	s.t.Helper()
	found := ""
	s.each(func(n *html.Node, attrs map[string]string) {
		if n.Data == "form" && attrs["action"] == action {
			found = attrs["data-options"]
		}
	})
	if found == "" {
		s.t.Fatalf("%s has no options for %s", s.url, action)
	}
	return found
}

// addsPasskey adds a device's passkey on the account's pages.
func (b *browser) addsPasskey(d *testroom.Authenticator, name string) *sight {
	b.site.t.Helper()
	page := b.get("/account/passkeys/new").says("/account/passkeys/new", 200, "Add a passkey")
	return b.submit(page, "/account/passkeys/new", "credential", d.Creates(page.options("/account/passkeys/new")), "name", name)
}

func TestAPasskeyIsAddedUsedRenamedAndRemoved(t *testing.T) {
	s := newSite(t, "automation")
	owner := s.Organization("acme").Owner()
	b, d := s.as(owner), testroom.NewAuthenticator(t, host)
	b.get("/account/passkeys").says("/account/passkeys", 200, "without a mail", "Set up an authenticator app")
	b.addsPasskey(d, "Laptop").says("/account/passkeys", 200, "The passkey Laptop is added.", "on one device")

	stranger := s.browser()
	page := stranger.get("/login?return_to=%2Faccount%2Fsessions")
	other := testroom.NewAuthenticator(t, host)
	other.Handle = d.Handle
	refused := stranger.submit(page, "/login/passkey", "credential", other.Signs(page.options("/login/passkey")))
	page = refused.says("/login/passkey", 404, "This passkey is not known here")
	stranger.submit(page, "/login/passkey", "credential", d.Signs(page.options("/login/passkey"))).
		says("/account/sessions", 200, "by passkey", "This session")

	list, err := signin.ListPasskeys.Call(owner.Ctx(), s.Service(), signin.ListPasskeysInput{})
	if err != nil || len(list.Data) != 1 {
		t.Fatalf("listed %+v: %v", list.Data, err)
	}
	one := "/account/passkeys/" + list.Data[0].ID
	page = b.submit(b.get(one+"/rename"), one+"/rename", "name", " ").says(one+"/rename", 422)
	b.submit(page, one+"/rename", "name", "Old laptop").says("/account/passkeys", 200, "called Old laptop now")
	b.get("/account/passkeys/pky_none/delete").says("/account/passkeys/pky_none/delete", 404)

	// An old sign-in is verified first, by the passkey itself.
	s.Clock.Advance(time.Hour)
	page = b.submit(b.get(one+"/delete"), one+"/delete")
	if !strings.HasPrefix(page.url, "/verify?") {
		t.Fatalf("removing leads to %s", page.url)
	}
	page.says(page.url, 200, "Use a passkey", "Send me a code")
	page = b.submit(page, "/verify/passkey", "credential", d.Signs(page.options("/verify/passkey"))).says(one+"/delete", 200)
	b.submit(page, one+"/delete").says("/account/passkeys", 200, "The passkey Old laptop is removed.")
}

// setsUpApp sets an authenticator app up on the account's pages, and gives its secret and the recovery codes.
func (b *browser) setsUpApp() (secret string, codes []string) {
	b.site.t.Helper()
	page := b.submit(b.get("/account/passkeys"), "/account/totp/begin").says("/account/totp/begin", 200, "Scan the picture")
	secret = regexp.MustCompile(`\b[A-Z2-7]{32}\b`).FindString(page.text())
	if page.Header().Get("Cache-Control") != "no-store" || !strings.Contains(page.Body.String(), `src="data:image/png;base64,`) {
		b.site.t.Error("the picture is not there, or may be kept")
	}
	again := b.submit(page, "/account/totp", "code", "000000").says("/account/totp", 422, "Begin again")
	page = b.submit(again, "/account/totp", "code", b.site.codeOf(secret)).says("/account/totp", 200, "Your authenticator app is set up", "Download")
	return secret, regexp.MustCompile(`\b[0-9a-z]{5}-[0-9a-z]{5}\b`).FindAllString(page.text(), -1)
}

// codeOf is what an app shows now. The next one is another.
func (s *site) codeOf(secret string) string {
	s.t.Helper()
	s.Clock.Advance(30 * time.Second)
	code, err := totp.GenerateCode(secret, s.Clock.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	return code
}

func TestAnAuthenticatorAppIsSetUpAskedForAndRemoved(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	secret, codes := b.setsUpApp()
	if len(codes) != 10 {
		t.Fatalf("the page shows %d recovery codes", len(codes))
	}
	b.get("/account/passkeys").says("/account/passkeys", 200, "Recovery codes left 10")

	for n, how := range []string{s.codeOf(secret), codes[0]} {
		stranger := s.browser()
		page := stranger.beginsSignIn("owner@acme.test", "/account/sessions")
		page = stranger.submit(page, "/login/code", "code", s.code("owner@acme.test")).says("/login/mfa", 200, "One more step")
		if stranger.cookies["guildhall"] != "" {
			t.Error("there is a session after the first factor")
		}
		page = stranger.submit(page, "/login/mfa", "code", "111111").says("/login/mfa", 422, "The code is wrong")
		method := []string{"by mail and authenticator app", "by mail and recovery code"}[n]
		stranger.submit(page, "/login/mfa", "code", how).says("/account/sessions", 200, method)
		stranger.get("/login/mfa").says("/o/acme", 200)
	}
	s.browser().get("/login/mfa").says("/login", 200)

	s.Clock.Advance(time.Hour)
	page := b.submit(b.get("/account/totp/delete"), "/account/totp/delete")
	if strings.Contains(page.text(), "Send me a code") {
		t.Error("a mail alone is offered to somebody with an app")
	}
	page = b.submit(page, "/verify/totp", "code", s.codeOf(secret)).says("/account/totp/delete", 200)
	b.submit(page, "/account/totp/delete").says("/account/passkeys", 200, "Your authenticator app is removed.", "Set up an authenticator app")
}

func TestNewRecoveryCodesAreShownOnce(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	_, codes := b.setsUpApp()
	form := b.get("/account/totp/codes").says("/account/totp/codes", 200, "end at once").form("/account/totp/codes")
	page := b.post("/account/totp/codes", form).says("/account/totp/codes", 200, "Your new recovery codes")
	if strings.Contains(page.text(), codes[0]) {
		t.Error("they are the old ones")
	}
	b.post("/account/totp/codes", form).says("/account/totp/codes", 200, "These codes were shown once")
}
