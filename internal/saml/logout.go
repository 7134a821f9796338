package saml

import (
	"bytes"
	"compress/flate"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"
)

const (
	// LogoutLife is how long a provider's logout may be on its way.
	LogoutLife = 10 * time.Minute
	// mostSessions is how many sessions one logout may name.
	mostSessions = 50
)

// Logout is who has signed out at a provider. All of it was signed.
type Logout struct {
	ID       string
	Name     string   // the NameID
	Sessions []string // by their SessionIndex; empty: all
	State    string   // what the provider wants back beside the answer
}

// algorithmsOf are the signature methods of a query (SAML Bindings 2.0, section 3.4.4.1).
var algorithmsOf = map[string]x509.SignatureAlgorithm{
	methods[0]: x509.SHA256WithRSA, methods[1]: x509.SHA384WithRSA, methods[2]: x509.SHA512WithRSA,
	methods[3]: x509.ECDSAWithSHA256, methods[4]: x509.ECDSAWithSHA384, methods[5]: x509.ECDSAWithSHA512,
}

// VerifyLogout believes a logout as a provider's page posts it, or refuses it with a *Refusal. The same profile judges it as
// an answer: without a signature over the whole of it, it counts for nothing. T-069, T-074
func VerifyLogout(request, state string, e Expectations) (Logout, error) {
	raw, err := Decode(request)
	if err != nil {
		return Logout{}, err
	}
	root, s, err := logoutShape(raw)
	if err != nil {
		return Logout{}, err
	}
	if s == nil {
		return Logout{}, refuse(Unsigned, "the LogoutRequest is not signed")
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(raw); err != nil || doc.Root() == nil {
		return Logout{}, refuse(NotXML, "the document is no XML")
	}
	if len(e.Certificates) == 0 {
		return Logout{}, refuse(NoCertificate, "no certificate of the provider is known: nothing that it signs can be believed")
	}
	signed, err := e.signed(doc.Root(), root, s)
	if err != nil {
		return Logout{}, err
	}
	return e.ends(signed, state)
}

// VerifyLogoutQuery believes a logout in the query of an address, as it came, or refuses it with a *Refusal. The signature is
// over the query itself. T-074
func VerifyLogoutQuery(query string, e Expectations) (Logout, error) {
	sent, err := parameters(query)
	if err != nil {
		return Logout{}, err
	}
	if err := e.signedQuery(sent); err != nil {
		return Logout{}, err
	}
	raw, err := inflated(sent["SAMLRequest"].text)
	if err != nil {
		return Logout{}, err
	}
	root, s, err := logoutShape(raw)
	if err != nil {
		return Logout{}, err
	}
	if s != nil {
		return Logout{}, refuse(ManySignatures, "the LogoutRequest in an address has a signature within, too")
	}
	return e.ends(root, sent["RelayState"].text)
}

// parameter is one of a query: as it came, which is what was signed, and what it means.
type parameter struct{ raw, text string }

// parameters are those of a query that matter. One that is there twice would be read by one and verified by another.
func parameters(query string) (map[string]parameter, error) {
	sent := map[string]parameter{}
	if len(query) > MaxDocument {
		return nil, refuse(TooLarge, "the query has more than %d bytes", MaxDocument)
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, raw, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil && plain != name {
			name = plain // refused below where it is one of ours: it was not written as it has to be
			if slices.Contains(queryNames, name) {
				return nil, refuse(BadSignature, "the query's %s is written in an odd way", name)
			}
		}
		if !slices.Contains(queryNames, name) {
			continue
		}
		text, err := url.QueryUnescape(raw)
		if _, twice := sent[name]; twice || err != nil {
			return nil, refuse(BadSignature, "the query has no one %s", name)
		}
		sent[name] = parameter{raw, text}
	}
	return sent, nil
}

var queryNames = []string{"SAMLRequest", "RelayState", "SigAlg", "Signature"}

// signedQuery verifies the signature of a query by each certificate.
func (e Expectations) signedQuery(sent map[string]parameter) error {
	method, known := algorithmsOf[sent["SigAlg"].text]
	switch {
	case sent["SAMLRequest"].text == "" || sent["Signature"].text == "":
		return refuse(Unsigned, "the LogoutRequest is not signed")
	case !known:
		return refuse(BadMethod, "the LogoutRequest is signed by %.100q: set the provider to RSA or ECDSA with SHA-256", sent["SigAlg"].text)
	case len(e.Certificates) == 0:
		return refuse(NoCertificate, "no certificate of the provider is known: nothing that it signs can be believed")
	}
	octets := "SAMLRequest=" + sent["SAMLRequest"].raw
	if state, there := sent["RelayState"]; there {
		octets += "&RelayState=" + state.raw
	}
	octets += "&SigAlg=" + sent["SigAlg"].raw
	signature, err := base64.StdEncoding.DecodeString(signatureValue(sent["Signature"].text, sent["SigAlg"].text))
	if err != nil {
		return refuse(BadSignature, "the signature of the LogoutRequest is not base64")
	}
	for _, c := range e.Certificates {
		if !e.Now.Before(c.NotBefore) && !e.Now.After(c.NotAfter) && c.CheckSignature(method, []byte(octets), signature) == nil {
			return nil
		}
	}
	return refuse(BadSignature, "the signature of the LogoutRequest is by none of the certificates that are known and count, or what was signed has been changed")
}

// inflated is the document of a query. T-076
func inflated(text string) ([]byte, error) {
	packed, err := Decode(text)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), MaxDocument+1))
	switch {
	case err != nil:
		return nil, refuse(NotXML, "the LogoutRequest cannot be unpacked")
	case len(raw) > MaxDocument:
		return nil, refuse(TooLarge, "the LogoutRequest has more than %d bytes", MaxDocument)
	}
	return raw, nil
}

// logoutShape looks at the shape of a logout, before any signature is verified.
func logoutShape(raw []byte) (*node, *signature, error) {
	root, err := parse(raw)
	if err != nil {
		return nil, nil, err
	}
	if !root.is(protocolSpace, "LogoutRequest") {
		return nil, nil, refuse(NotLogout, "the document is no SAML 2.0 LogoutRequest")
	}
	if err := tidy(root); err != nil {
		return nil, nil, err
	}
	s, err := signatureOf(root)
	return root, s, err
}

// ends reads a logout, after its signature was verified.
func (e Expectations) ends(n *node, state string) (Logout, error) {
	issuer, _ := n.one(assertionSpace, "Issuer").value()
	name, ok := n.one(assertionSpace, "NameID").value()
	switch {
	case n.attr("Version") != "2.0":
		return Logout{}, refuse(BadVersion, "the LogoutRequest is not of SAML 2.0")
	case issuer != e.Issuer:
		return Logout{}, refuse(OtherIssuer, "the issuer of the LogoutRequest is %.200q, and the connection's is %.200q", issuer, e.Issuer)
	case n.attr("Destination") != e.SLO:
		return Logout{}, refuse(OtherAddress, "the LogoutRequest's destination is %.200q, and ours is %.200q", n.attr("Destination"), e.SLO)
	case !ok || name == "" || len(name) > longestSubject:
		return Logout{}, refuse(Nameless, "the LogoutRequest names nobody: it has to have one NameID")
	}
	if err := e.fresh(n); err != nil {
		return Logout{}, err
	}
	l := Logout{ID: n.attr("ID"), Name: name, State: state}
	for _, one := range n.all(protocolSpace, "SessionIndex") {
		if text, ok := one.value(); ok && text != "" && len(text) <= longestSubject {
			l.Sessions = append(l.Sessions, text)
		}
	}
	if found := len(n.all(protocolSpace, "SessionIndex")); found > mostSessions || found != len(l.Sessions) {
		return Logout{}, refuse(UnreadableValue, "the LogoutRequest's SessionIndex are too many, or none")
	}
	return l, nil
}

// fresh refuses a logout of another time: sessions that began since are not meant.
func (e Expectations) fresh(n *node) error {
	at, err := moment(n, "IssueInstant")
	if err != nil {
		return err
	}
	until, err := moment(n, "NotOnOrAfter")
	switch {
	case err != nil:
		return err
	case at.IsZero() || at.After(e.Now.Add(Skew)):
		return refuse(TooEarly, "the LogoutRequest was made at %s, and here it is %s: is a clock wrong?", at.Format(time.RFC3339), e.Now.Format(time.RFC3339))
	case at.Before(e.Now.Add(-LogoutLife)) || !until.IsZero() && !e.Now.Before(until.Add(Skew)):
		return refuse(TooLate, "the LogoutRequest was made at %s, and here it is %s", at.Format(time.RFC3339), e.Now.Format(time.RFC3339))
	}
	return nil
}

// Leaver is somebody who signs out here, as the provider named them.
type Leaver struct{ Name, Format, Qualifier, OurQualifier, Session string }

// LogoutRedirect is where a browser goes to sign out at the provider, too.
func (p Party) LogoutRedirect(provider Provider, who Leaver, id string, key *Key, now time.Time) (string, error) {
	attributes := ""
	for _, a := range [][2]string{{"Format", who.Format}, {"NameQualifier", who.Qualifier}, {"SPNameQualifier", who.OurQualifier}} {
		if a[1] != "" {
			attributes += fmt.Sprintf(` %s="%s"`, a[0], escape(a[1]))
		}
	}
	session := ""
	if who.Session != "" {
		session = "<samlp:SessionIndex>" + escape(who.Session) + "</samlp:SessionIndex>"
	}
	document := fmt.Sprintf(`<samlp:LogoutRequest %s ID="%s" Version="2.0" IssueInstant="%s" Destination="%s"><saml:Issuer>%s</saml:Issuer><saml:NameID%s>%s</saml:NameID>%s</samlp:LogoutRequest>`,
		spaces, escape(id), instant(now), escape(provider.LogoutURL), escape(p.EntityID), attributes, escape(who.Name), session)
	return key.redirect(provider.LogoutURL, "SAMLRequest", []byte(document), "")
}

// LogoutAnswer is where a browser goes on after a provider's logout: it says that the sessions have ended. It is empty where the
// provider takes no answer by redirect.
func (p Party) LogoutAnswer(provider Provider, l Logout, id string, key *Key, now time.Time) (string, error) {
	to := provider.AnswerURL
	if to == "" {
		to = provider.LogoutURL
	}
	if to == "" {
		return "", nil
	}
	document := fmt.Sprintf(`<samlp:LogoutResponse %s ID="%s" InResponseTo="%s" Version="2.0" IssueInstant="%s" Destination="%s"><saml:Issuer>%s</saml:Issuer><samlp:Status><samlp:StatusCode Value="%s"/></samlp:Status></samlp:LogoutResponse>`,
		spaces, escape(id), escape(l.ID), instant(now), escape(to), escape(p.EntityID), success)
	return key.redirect(to, "SAMLResponse", []byte(document), l.State)
}

const spaces = `xmlns:samlp="` + protocolSpace + `" xmlns:saml="` + assertionSpace + `"`
