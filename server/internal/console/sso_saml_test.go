package console_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/internal/testsaml"
)

// fromElsewhere is a browser on another site's page: it says so, and sends no cookies of ours.
func (s *site) fromElsewhere() *browser {
	b := s.browser()
	b.header.Set("Sec-Fetch-Site", "cross-site")
	b.header.Set("Origin", "https://idp.test")
	return b
}

// relays posts an answer as a provider's page does, and sends it on from here.
func (b *browser) relays(path string, answer url.Values) *sight {
	b.site.t.Helper()
	page := b.site.fromElsewhere().post(path, answer).says(path, 200, "You are being signed in", "Go on")
	return b.submit(page, path)
}

// uploads submits the form of a page with a file in it, as browsers send one.
func (b *browser) uploads(on *sight, action, field, content string, changes ...string) *sight {
	b.site.t.Helper()
	values := on.form(action)
	for i := 0; i+1 < len(changes); i += 2 {
		values.Set(changes[i], changes[i+1])
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name := range values {
		if name != field {
			_ = form.WriteField(name, values.Get(name))
		}
	}
	file, _ := form.CreateFormFile(field, "metadata.xml")
	_, _ = io.WriteString(file, content)
	_ = form.Close()
	r := httptest.NewRequest("POST", host+action, &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.site.handler.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		b.cookies[c.Name] = c.Value
	}
	if to := w.Header().Get("Location"); to != "" {
		return b.get(to)
	}
	return b.seen(w, action)
}

// A provider is described by the file that it lets people download; what is wrong with it is said at the file.
func TestMetadataIsTakenAsAFile(t *testing.T) {
	s, acme, _ := domainSite(t, "automation")
	idp := testsaml.New(t, s.Clock.Now)
	b := s.as(acme.Owner())
	path := ssoPath + "/connections/new/saml"
	for name, row := range map[string]struct {
		content string
		code    int
		says    string
	}{
		"no file":         {"", 422, "in one way"},
		"a web page":      {"<html></html>", 422, "describes 0 identity providers"},
		"no XML":          {"PK\x03\x04\xff\xfe", 422, "The document is"},
		"a document type": {`<!DOCTYPE x [<!ENTITY a "b">]>` + idp.Metadata(), 422, "document type declaration"}, // T-076
		"a large file":    {strings.Repeat(" ", 1<<20), 413, "The file is too large"},
		"a long file":     {"<a>" + strings.Repeat(" ", 900_001) + "</a>", 422, ""},
	} {
		page := b.uploads(b.get(path), path, "metadata/file", row.content, "name", "Okta")
		if page.Code != row.code || !strings.Contains(page.text(), row.says) {
			t.Errorf("%s: %d, %s", name, page.Code, page.text())
		}
		if strings.Contains(page.whole(), "ENTITY") {
			t.Errorf("%s: what was in the file is shown", name)
		}
	}
	page := b.uploads(b.get(path), path, "metadata/file", idp.Metadata(), "name", "Okta", "metadata", idp.Metadata())
	page.says(path, 422)
	settings := b.uploads(b.get(path), path, "metadata/file", idp.Metadata(), "name", "Okta", "role", "viewer")
	settings.says(settings.url, 200, idp.EntityID, "CN=idp.test")
	idp.Rotate(t, testsaml.RSAKey(t, 2048))
	changed := b.uploads(b.get(settings.url), settings.url, "metadata/file", idp.Metadata())
	changed.says(settings.url, 200, "is saved")
	if b.uploads(b.get(settings.url), settings.url, "metadata/file", "<html/>").says(settings.url, 422, "describes 0"); strings.Contains(changed.text(), "Ends soon") {
		t.Error("a new certificate ends soon")
	}
	s.Sound()
}

// A provider that speaks SAML is named by its metadata, tested, switched on, gets a second certificate, signs somebody in and is
// deleted, all of it on pages.
func TestASAMLProviderIsConnectedOnPages(t *testing.T) {
	var s *site
	idp := testsaml.New(t, func() time.Time {
		if s == nil {
			return time.Now()
		}
		return s.Clock.Now()
	})
	s, acme, dns := domainSite(t, "automation")
	idp.Rotate(t, testsaml.RSAKey(t, 2048)) // by the site's clock
	b := s.as(acme.Owner())
	path := ssoPath + "/connections/new/saml"
	b.get(ssoPath+"/connections/new").says(ssoPath+"/connections/new", 200, "It speaks SAML")
	page := b.get(path)
	bound(t, s, page, path, "connections.create_saml")
	b.submit(page, path, "name", "Okta").says(path, 422, "in one way")
	b.submit(page, path, "name", "Okta", "metadata", "<html>").says(path, 422)
	b.submit(page, path, "name", "Okta", "metadata_url", "http://idp.test/metadata").says(path, 422, "https address")
	settings := b.submit(page, path, "name", "Okta", "metadata", idp.Metadata(), "role", "viewer").url
	b.get(settings).says(settings, 200, "To set at the provider", idp.EntityID, "The only one")
	one := strings.TrimSuffix(settings, "/saml")
	id := one[strings.LastIndex(one, "/")+1:]
	shown := b.get(settings).says(settings, 200, "/login/saml/"+id+"/acs", "/login/saml/"+id+"/metadata", "CN=idp.test", "Counts")
	bound(t, s, shown, settings, "connections.update_saml")
	if text := b.get(one).says(one, 200, "Not tested", "Addresses and certificates").whole(); strings.Contains(text, "client secret") {
		t.Error("a SAML connection is asked for a client secret")
	}
	acs := "/login/saml/" + id + "/acs"
	metadata := b.get("/login/saml/" + id + "/metadata")
	if metadata.Code != 200 || metadata.Header().Get("Content-Type") != "application/samlmetadata+xml" || !strings.Contains(metadata.Body.String(), acs) {
		t.Errorf("our metadata: %d, %s", metadata.Code, metadata.Body)
	}

	_, to, _ := strings.Cut(b.submit(b.get(one), one+"/test").Header().Get("Refresh"), "url=")
	if !strings.HasPrefix(to, idp.URL+"/sso?") {
		t.Fatalf("the test leads to %q", to)
	}
	answer := idp.Authorizes(t, to)
	b.relays(acs, answer).says(acs, 200, "The test went well", "Nobody was signed in.", "sub-1", "zoe@acme.test", "writers")
	b.relays(acs, answer).says(acs, 410, "You are not signed in")
	own := b.submit(b.get(ssoPath+"/domains/new"), ssoPath+"/domains/new", "domain", "acme.test").url
	_, value, _ := strings.Cut(b.get(own).text(), "guildhall-domain=")
	value, _, _ = strings.Cut(value, " ")
	dns.set("_guildhall-challenge.acme.test", "guildhall-domain="+value)
	b.submit(b.get(own), own+"/verify")
	b.submit(b.get(one+"/switch"), one+"/switch").says(one, 200, "Okta signs people in now.")

	idp.Rotate(t, testsaml.RSAKey(t, 2048))
	shown = b.get(settings)
	shown = b.submit(shown, settings, "add_certificates", testsaml.PEM(idp.Certificate)).says(settings, 200, "is saved", "Remove")
	var remove string
	for _, l := range shown.links() {
		if strings.Contains(l, "/saml/certificates/") {
			remove = l
			break
		}
	}
	b.submit(b.get(remove).says(remove, 200, "Nothing that the provider signs by it"), remove).says(settings, 200, "The certificate is removed.", "The only one")
	zoe := s.browser()
	offer := zoe.submit(zoe.get("/login"), "/login", "email", "zoe@acme.test").says("/login", 200, "Sign in with Okta")
	to = ""
	for _, l := range offer.links() {
		if strings.HasPrefix(l, idp.URL+"/sso?") {
			to = l
		}
	}
	zoe.relays(acs, idp.Authorizes(t, to)).says("/o/acme", 200, "Viewer")

	slo := "/login/saml/" + id + "/slo"
	left := zoe.submit(zoe.get("/o/acme"), "/logout").says("/logout", 200, "You are signed out", "At Okta you are still signed in")
	if to := left.providerLink(idp.URL + "/slo?"); !strings.Contains(to, "&Signature=") {
		t.Errorf("the way out is not signed: %s", to)
	}
	zoe.get("/o/acme").says("/login?return_to=%2Fo%2Facme", 200, "Sign in")
	zoe.get(slo+"?SAMLResponse=x").says("/login", 200, "You are signed out.") // whatever the provider says
	offer = zoe.submit(zoe.get("/login"), "/login", "email", "zoe@acme.test")
	zoe.relays(acs, idp.Authorizes(t, offer.providerLink(idp.URL+"/sso?"))).says("/o/acme", 200, "Viewer")
	for name, form := range map[string]url.Values{"nothing": {}, "not signed": {"SAMLRequest": {"PHgvPg=="}}} {
		if got := s.fromElsewhere().post(slo, form); got.Code == 200 || !strings.Contains(got.text(), "Nobody was signed out") {
			t.Errorf("%s: %d, %s", name, got.Code, got.text())
		}
	}
	zoe.get("/o/acme").says("/o/acme", 200, "Viewer")
	answered := s.fromElsewhere().post(slo, url.Values{"SAMLRequest": {idp.Posted(t, idp.Logout(host+slo, "sub-1"))}, "RelayState": {"note"}})
	if to := answered.Header().Get("Location"); answered.Code != 303 || !strings.HasPrefix(to, idp.URL+"/slo?SAMLResponse=") || !strings.Contains(to, "&RelayState=note&") {
		t.Errorf("the provider's logout is answered %d, %s", answered.Code, to)
	}
	zoe.get("/o/acme").says("/login?return_to=%2Fo%2Facme", 200, "Sign in")

	for _, p := range []string{path, settings} {
		tellsWays(t, b, p)
	}
	ending := testsaml.Certificate(t, idp.Key, s.Clock.Now().Add(-time.Hour), s.Clock.Now().Add(20*24*time.Hour))
	b.submit(b.get(settings), settings, "add_certificates", testsaml.PEM(ending)).says(settings, 200, "Ends soon")
	idp.Certificate = ending
	b.submit(b.get(settings), settings, "metadata", idp.Metadata()).says(settings, 200, "is saved")
	for _, p := range []string{settings, one, ssoPath} {
		b.get(p).says(p, 200, "The last certificate ends soon")
	}
	s.as(acme.People["viewer"]).get(path).says(path, 403)
	s.Sound()
}

// Only the one path takes what another site posts, and there it says nothing of who sends it. T-054, T-056
func TestWhatAnotherSitePostsSaysNothingOfWhoSendsIt(t *testing.T) {
	s, acme, _ := domainSite(t, "automation")
	acs := "/login/saml/con_00000000000000000000000000/acs"
	b := s.fromElsewhere()
	b.cookies = s.as(acme.Owner()).cookies // a browser that sends them all the same
	page := b.post(acs, url.Values{"SAMLResponse": {`"><script>alert(1)</script>`}, "RelayState": {"<b>"}}).says(acs, 200, "Go on")
	if text := page.Body.String(); strings.Contains(text, "<script>alert") || strings.Contains(text, "<b>") || strings.Contains(text, "Ada") {
		t.Errorf("the page is %s", text)
	}
	for name, form := range map[string]url.Values{
		"nothing":     {},
		"again":       {"SAMLResponse": {"x"}, "again": {"1"}},
		"a long one":  {"SAMLResponse": {strings.Repeat("x", 500_000)}},
		"a long note": {"SAMLResponse": {"x"}, "RelayState": {strings.Repeat("x", 65)}},
	} {
		if got := b.post(acs, form); got.Code != 403 {
			t.Errorf("%s: %d", name, got.Code)
		}
	}
	for _, other := range []string{"/login/saml/con_1/acs/x", "/login/saml/acs", "/login", "/logout", "/o/acme/settings/sso/connections/new/saml", "/login/saml/con_1/metadata"} {
		if got := b.post(other, url.Values{"SAMLResponse": {"x"}}); got.Code != 403 {
			t.Errorf("%s answers another site %d", other, got.Code)
		}
	}
	for _, id := range []string{"con_1", "x", "con_0000000000000000000000000%3c"} {
		if got := s.browser().get("/login/saml/" + id + "/metadata"); got.Code != 404 {
			t.Errorf("metadata of %s: %d", id, got.Code)
		}
	}
}
