// Package testsaml is an identity provider of SAML 2.0 on this machine, for tests. It signs for real, and says what a test
// tells it to say.
package testsaml

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"html"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/guildhall/guildhall/internal/outbound"
)

// Provider is an identity provider on this machine. A test changes what it says before it says it.
type Provider struct {
	*httptest.Server
	now func() time.Time

	EntityID      string
	Key           crypto.Signer
	Certificate   *x509.Certificate
	Method        string // of signatures; empty: SHA-256
	SignResponse  bool
	SignAssertion bool
	NameID        string
	Format        string
	Attributes    map[string][]string
	Before, After func(response *etree.Element) // changes it before and after it is signed
	Text          func(response string) string  // changes it as text, at last
	About         func(metadata string) string  // changes the metadata

	serial int
	mu     sync.Mutex
}

// Persistent is the format of the provider's NameIDs, unless a test says another.
const Persistent = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"

// rsaKey is made once: it takes a moment.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// FixedKey is the same key in every process, for fuzzing: its primes are the next ones after fixed numbers.
var FixedKey = sync.OnceValue(func() *rsa.PrivateKey {
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{E: 65537}}
	for _, seed := range []string{"the first prime", "the second prime"} {
		var raw []byte
		for i := range 4 {
			sum := sha256.Sum256([]byte(seed + string(rune('0'+i))))
			raw = append(raw, sum[:]...)
		}
		raw[0] |= 0xc0 // so that the product has 2048 bits
		raw[len(raw)-1] |= 1
		prime := new(big.Int).SetBytes(raw)
		for !prime.ProbablyPrime(20) {
			prime.Add(prime, big.NewInt(2))
		}
		key.Primes = append(key.Primes, prime)
	}
	one := big.NewInt(1)
	key.N = new(big.Int).Mul(key.Primes[0], key.Primes[1])
	phi := new(big.Int).Mul(new(big.Int).Sub(key.Primes[0], one), new(big.Int).Sub(key.Primes[1], one))
	key.D = new(big.Int).ModInverse(big.NewInt(int64(key.E)), phi)
	key.Precompute()
	if err := key.Validate(); err != nil {
		panic(err)
	}
	return key
})

// New starts a provider, which ends with the test.
func New(t testing.TB, now func() time.Time) *Provider {
	t.Helper()
	p := &Provider{now: now, SignAssertion: true, NameID: "sub-1", Format: Persistent,
		Attributes: map[string][]string{"email": {"zoe@acme.test"}, "displayName": {"Zoe Zimmermann"}, "groups": {"staff", "writers"}}}
	p.Rotate(t, rsaKey())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metadata", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, p.Metadata()) })
	p.Server = httptest.NewTLSServer(mux)
	p.EntityID = p.URL + "/metadata"
	t.Cleanup(p.Close)
	return p
}

// Rotate gives the provider another key and certificate.
func (p *Provider) Rotate(t testing.TB, key crypto.Signer) {
	t.Helper()
	p.Key, p.Certificate = key, Certificate(t, key, p.now().Add(-time.Hour), p.now().Add(365*24*time.Hour))
}

// RSAKey makes another key.
func RSAKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// ECDSAKey makes a key on P-256.
func ECDSAKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Certificate makes a certificate that signs itself.
func Certificate(t testing.TB, key crypto.Signer, from, until time.Time) *x509.Certificate {
	t.Helper()
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "idp.test"}, NotBefore: from, NotAfter: until}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// PEM is a certificate as administrators paste it.
func PEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// Metadata is what the provider says of itself.
func (p *Provider) Metadata() string {
	text := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="%s">
  <md:IDPSSODescriptor WantAuthnRequestsSigned="false" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    <md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>%s</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>
    <md:SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="%s/slo"/>
    <md:NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:persistent</md:NameIDFormat>
    <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="%s/post"/>
    <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="%s/sso?x=1"/>
  </md:IDPSSODescriptor>
</md:EntityDescriptor>
`, p.EntityID, base64.StdEncoding.EncodeToString(p.Certificate.Raw), p.URL, p.URL, p.URL)
	if p.About != nil {
		text = p.About(text)
	}
	return text
}

// Asked is what a request to sign in says.
type Asked struct{ ID, ACS, Audience string }

// Reads reads the request of an address that a browser is sent to.
func Reads(t testing.TB, address string) (Asked, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(u.Query().Get("SAMLRequest"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(flate.NewReader(strings.NewReader(string(raw))))
	if err != nil {
		t.Fatal(err)
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(text); err != nil {
		t.Fatal(err)
	}
	root := doc.Root()
	return Asked{ID: root.SelectAttrValue("ID", ""), ACS: root.SelectAttrValue("AssertionConsumerServiceURL", ""), Audience: root.FindElement("./Issuer").Text()}, u.Query().Get("RelayState")
}

// Authorizes is what a person does at the provider: it gives the form that the browser posts.
func (p *Provider) Authorizes(t testing.TB, address string) url.Values {
	t.Helper()
	asked, state := Reads(t, address)
	return url.Values{"SAMLResponse": {p.Answers(t, asked)}, "RelayState": {state}}
}

// Answers is a signed answer to a request, as it is posted.
func (p *Provider) Answers(t testing.TB, asked Asked) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString([]byte(p.Document(t, asked)))
}

// Document is a signed answer to a request.
func (p *Provider) Document(t testing.TB, asked Asked) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	doc := etree.NewDocument()
	if err := doc.ReadFromString(p.unsigned(asked)); err != nil {
		t.Fatal(err)
	}
	response := doc.Root()
	if p.Before != nil {
		p.Before(response)
	}
	if p.SignAssertion {
		p.Sign(t, response.FindElement("./Assertion"))
	}
	if p.SignResponse {
		p.Sign(t, response)
	}
	if p.After != nil {
		p.After(response)
	}
	text, err := doc.WriteToString()
	if err != nil {
		t.Fatal(err)
	}
	if p.Text != nil {
		text = p.Text(text)
	}
	return text
}

func (p *Provider) unsigned(asked Asked) string {
	p.serial++
	now, e := p.now().UTC(), html.EscapeString
	at := func(after time.Duration) string { return now.Add(after).Format("2006-01-02T15:04:05.000Z") }
	var attributes strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p.Attributes)) {
		fmt.Fprintf(&attributes, `<saml:Attribute Name="%s" NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:basic">`, e(name))
		for _, v := range p.Attributes[name] {
			fmt.Fprintf(&attributes, `<saml:AttributeValue xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="xs:string">%s</saml:AttributeValue>`, e(v))
		}
		attributes.WriteString("</saml:Attribute>")
	}
	return fmt.Sprintf(`<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_response%[1]d" Version="2.0" IssueInstant="%[2]s" Destination="%[3]s" InResponseTo="%[4]s">`+
		`<saml:Issuer>%[5]s</saml:Issuer><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>`+
		`<saml:Assertion xmlns:xs="http://www.w3.org/2001/XMLSchema" ID="_assertion%[1]d" Version="2.0" IssueInstant="%[2]s"><saml:Issuer>%[5]s</saml:Issuer>`+
		`<saml:Subject><saml:NameID Format="%[6]s">%[7]s</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">`+
		`<saml:SubjectConfirmationData NotOnOrAfter="%[8]s" Recipient="%[3]s" InResponseTo="%[4]s"/></saml:SubjectConfirmation></saml:Subject>`+
		`<saml:Conditions NotBefore="%[9]s" NotOnOrAfter="%[8]s"><saml:AudienceRestriction><saml:Audience>%[10]s</saml:Audience></saml:AudienceRestriction></saml:Conditions>`+
		`<saml:AuthnStatement AuthnInstant="%[2]s" SessionIndex="_session%[1]d" SessionNotOnOrAfter="%[11]s"><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>`+
		`<saml:AttributeStatement>%[12]s</saml:AttributeStatement></saml:Assertion></samlp:Response>`,
		p.serial, at(0), e(asked.ACS), e(asked.ID), e(p.EntityID), e(p.Format), e(p.NameID), at(5*time.Minute), at(-time.Minute), e(asked.Audience), at(8*time.Hour), attributes.String())
}

// Sign signs an element, and puts the signature where the standard has it.
func (p *Provider) Sign(t testing.TB, el *etree.Element) {
	t.Helper()
	signer, err := dsig.NewSigningContext(p.Key, [][]byte{p.Certificate.Raw})
	if err != nil {
		t.Fatal(err)
	}
	signer.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	_, elliptic := p.Key.(*ecdsa.PrivateKey)
	method := dsig.RSASHA256SignatureMethod
	if elliptic {
		method = dsig.ECDSASHA256SignatureMethod
	}
	if p.Method != "" {
		method = p.Method
	}
	if err := signer.SetSignatureMethod(method); err != nil {
		t.Fatal(err)
	}
	// The signer takes the namespaces of the element alone: those of its surroundings are declared on it first.
	for parent := el.Parent(); parent != nil; parent = parent.Parent() {
		for _, a := range parent.Attr {
			if a.Space == "xmlns" && el.SelectAttr("xmlns:"+a.Key) == nil {
				el.CreateAttr("xmlns:"+a.Key, a.Value)
			}
		}
	}
	signature, err := signer.ConstructSignature(el, true)
	if err != nil {
		t.Fatal(err)
	}
	if elliptic {
		value := signature.FindElement("./SignatureValue")
		value.SetText(sideBySide(t, value.Text()))
	}
	el.InsertChildAt(1, signature)
}

// sideBySide is an ECDSA signature as XML has it.
func sideBySide(t testing.TB, text string) string {
	t.Helper()
	raw, _ := base64.StdEncoding.DecodeString(text)
	var both struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(raw, &both); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(append(both.R.FillBytes(make([]byte, 32)), both.S.FillBytes(make([]byte, 32))...))
}

// Logout is a request to end sessions, not signed yet.
func (p *Provider) Logout(to, name string, sessions ...string) *etree.Document {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serial++
	named := ""
	for _, s := range sessions {
		named += "<samlp:SessionIndex>" + html.EscapeString(s) + "</samlp:SessionIndex>"
	}
	doc := etree.NewDocument()
	err := doc.ReadFromString(fmt.Sprintf(`<samlp:LogoutRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_logout%d" Version="2.0" IssueInstant="%s" Destination="%s">`+
		`<saml:Issuer>%s</saml:Issuer><saml:NameID Format="%s">%s</saml:NameID>%s</samlp:LogoutRequest>`, p.serial, p.now().UTC().Format("2006-01-02T15:04:05.000Z"),
		html.EscapeString(to), html.EscapeString(p.EntityID), p.Format, html.EscapeString(name), named))
	if err != nil {
		panic(err)
	}
	return doc
}

// Posted is a logout as the provider's page posts it, signed.
func (p *Provider) Posted(t testing.TB, doc *etree.Document) string {
	t.Helper()
	p.Sign(t, doc.Root())
	raw, err := doc.WriteToBytes()
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// Queried is a logout as a query, signed by an RSA key.
func (p *Provider) Queried(t testing.TB, doc *etree.Document, state string) string {
	t.Helper()
	raw, err := doc.WriteToBytes()
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, flate.DefaultCompression)
	_, _ = w.Write(raw)
	_ = w.Close()
	query := "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString(packed.Bytes()))
	if state != "" {
		query += "&RelayState=" + url.QueryEscape(state)
	}
	query += "&SigAlg=" + url.QueryEscape(dsig.RSASHA256SignatureMethod)
	sum := sha256.Sum256([]byte(query))
	signature, err := p.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return query + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(signature))
}

// Receives reads a message that the query of an address has, and fails unless our certificate signed it.
func Receives(t testing.TB, address, parameter string, certificate []byte) (*etree.Element, string) {
	t.Helper()
	c, err := x509.ParseCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(address, "?")
	if at := strings.Index(query, parameter+"="); at > 0 {
		query = query[at:]
	}
	signed, signature, _ := strings.Cut(query, "&Signature=")
	signature, _ = url.QueryUnescape(signature)
	raw, _ := base64.StdEncoding.DecodeString(signature)
	if err := c.CheckSignature(x509.SHA256WithRSA, []byte(signed), raw); err != nil {
		t.Fatalf("the signature of %s: %v", address, err)
	}
	values, _ := url.ParseQuery(query)
	packed, _ := base64.StdEncoding.DecodeString(values.Get(parameter))
	text, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err != nil {
		t.Fatal(err)
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(text); err != nil {
		t.Fatal(err)
	}
	return doc.Root(), values.Get("RelayState")
}

// Client reaches this machine, and believes the provider's web certificate.
func (p *Provider) Client() *outbound.Client {
	roots := x509.NewCertPool()
	roots.AddCert(p.Server.Certificate())
	return outbound.New(outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Roots: roots, Timeout: 5 * time.Second})
}
