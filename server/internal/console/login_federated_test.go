package console_test

import (
	"net/url"
	"testing"

	"github.com/guildhall/guildhall/federation"
)

// An address of a domain without a provider gets its mail, and an answer that no browser asked for signs nobody in. T-056
func TestTheAnswerOfAProviderBelongsToABrowser(t *testing.T) {
	s, acme, _ := domainSite(t, "automation")
	c, err := federation.CreateConnection.Call(acme.Owner().Ctx(), s.Service(), federation.CreateConnectionInput{InOrganization: acme.In(), Name: "Okta",
		Issuer: "https://idp.invalid", ClientID: "client", ClientSecret: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	b := s.browser()
	b.post("/login", url.Values{"email": {"zoe@acme.test"}}).says("/login/code", 200, "Look into your mail")
	at := "/login/callback/" + c.ID + "?state=x&code=y"
	b.get(at).says(at, 410, "begun in another browser", "Ask for a new mail")
	at = "/login/callback/con_nothing?state=x&code=y"
	b.get(at).says(at, 410)
}
