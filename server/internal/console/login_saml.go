package console

import (
	"net/http"
	"regexp"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/server/internal/web"
)

func samlLoginPages() []page {
	return []page{
		{"POST /login/saml/{connection}/acs", anybody, takeSAML},
		{"GET /login/saml/{connection}/metadata", anybody, showSAMLMetadata},
	}
}

// answersOf is where SAML providers send answers and logouts to.
var answersOf = regexp.MustCompile(`/login/saml/[^/]+/(acs|slo)$`)

// FromProvider reports whether a request may come from the page of another site: the answers and logouts of SAML providers do.
func FromProvider(r *http.Request) bool {
	return r.Method == http.MethodPost && answersOf.MatchString(r.URL.Path)
}

// mostAnswer bounds what is sent on: no provider's answer is longer.
const mostAnswer, mostRelay = 400_000, 64

// takeSAML takes the answer of a provider that speaks SAML. The provider's page posts it, and browsers then send no cookies: the
// first time it is only asked for once more, from here. What is not from here says nothing of who sends it. T-056
func takeSAML(v *visit) error {
	if web.Foreign(v.r) {
		return v.askAgain()
	}
	var kept federated
	if !v.kept(federatedCookie, &kept) || kept.Connection != v.r.PathValue("connection") {
		return v.providerRefused(&op.Error{Kind: op.Gone, Text: "this sign-in was begun in another browser, or took too long: begin again"})
	}
	v.drop(federatedCookie)
	in := federation.CompleteSAMLInput{Connection: kept.Connection, Browser: kept.Browser, State: v.form.value("RelayState"), Response: v.form.value("SAMLResponse")}
	answer, err := v.Service.Invoke(v.ctx, federation.CompleteSAML, op.Request{Caller: v.caller, Input: in})
	return v.federatedEnd(kept, answer, err)
}

// askAgain makes the browser send the answer from here: at once by a script, else by a button. A browser that still says that it
// comes from elsewhere is not asked a third time.
func (v *visit) askAgain() error {
	response, relay := v.form.value("SAMLResponse"), v.form.value("RelayState")
	if len(response) > mostAnswer || len(relay) > mostRelay || response == "" || v.form.value("again") != "" {
		return v.providerRefused(op.Errorf(op.Denied, "cross_origin", "the answer of the identity provider did not arrive as it has to: begin again"))
	}
	return v.hosted(ui.HostedProps{Title: ui.T("You are being signed in")}, relayForm(v, []ui.Hidden{{Name: "SAMLResponse", Value: response}, {Name: "RelayState", Value: relay}, {Name: "again", Value: "1"}}))
}

var connectionID = regexp.MustCompile(`^con_[0-9a-z]{26}$`)

// showSAMLMetadata says what a connection's provider has to know of us.
func showSAMLMetadata(v *visit) error {
	id := v.r.PathValue("connection")
	if !connectionID.MatchString(id) {
		return op.ErrNotFound
	}
	own, err := federation.GetOwnMetadata.Call(v.ctx, v.Service, federation.SAMLMetadataInput{Connection: id})
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/samlmetadata+xml")
	v.w.Header().Set("Content-Disposition", `attachment; filename="metadata.xml"`)
	v.w.WriteHeader(http.StatusOK)
	_, err = v.w.Write([]byte(own.XML))
	return err
}
