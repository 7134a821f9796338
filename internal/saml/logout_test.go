package saml_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"github.com/guildhall/guildhall/internal/saml"
	"github.com/guildhall/guildhall/internal/testsaml"
)

const slo = "https://accounts.test/login/saml/con_1/slo"

func logoutExpectations(p *testsaml.Provider) saml.Expectations {
	e := expectations(p)
	e.SLO = slo
	return e
}

func TestLogoutsAreBelieved(t *testing.T) {
	p := provider(t)
	e := logoutExpectations(p)
	got, err := saml.VerifyLogout(p.Posted(t, p.Logout(slo, "sub-1", "_s1", "_s2")), "note", e)
	if err != nil || got.Name != "sub-1" || strings.Join(got.Sessions, " ") != "_s1 _s2" || got.ID == "" || got.State != "note" {
		t.Errorf("posted: %v, %+v", err, got)
	}
	got, err = saml.VerifyLogoutQuery(p.Queried(t, p.Logout(slo, "sub-1"), "a+b &c"), e)
	if err != nil || got.Name != "sub-1" || len(got.Sessions) != 0 || got.State != "a+b &c" {
		t.Errorf("in an address: %v, %+v", err, got)
	}
	p.Rotate(t, testsaml.ECDSAKey(t))
	e = logoutExpectations(p)
	if _, err = saml.VerifyLogout(p.Posted(t, p.Logout(slo, "sub-1")), "", e); err != nil {
		t.Errorf("by ECDSA: %v", err)
	}
}

// T-069, T-074, T-075, T-076, T-078: also what other libraries have taken, which are logouts without a signature
// (GHSA-pcgw-qcv5-h8ch) and logouts around a signed assertion.
func TestLogoutsThatAreRefused(t *testing.T) {
	p := provider(t)
	root := func(change func(*etree.Element)) func() string {
		return func() string {
			doc := p.Logout(slo, "sub-1", "_s1")
			change(doc.Root())
			return p.Posted(t, doc)
		}
	}
	after := func(change func(doc *etree.Document)) func() string {
		return func() string {
			doc := p.Logout(slo, "sub-1", "_s1")
			p.Sign(t, doc.Root())
			change(doc)
			raw, _ := doc.WriteToBytes()
			return base64.StdEncoding.EncodeToString(raw)
		}
	}
	for name, row := range map[string]struct {
		make func() string
		want saml.Cause
	}{
		"unsigned":                     {after(func(d *etree.Document) { d.Root().RemoveChild(d.Root().FindElement("./Signature")) }), saml.Unsigned},
		"another name":                 {after(func(d *etree.Document) { d.Root().FindElement("./NameID").SetText("sub-2") }), saml.BadSignature},
		"another session":              {after(func(d *etree.Document) { d.Root().FindElement("./SessionIndex").SetText("_s2") }), saml.BadSignature},
		"a comment within the name":    {after(func(d *etree.Document) { d.Root().FindElement("./NameID").CreateComment("x") }), saml.Comment},
		"a second name":                {root(func(r *etree.Element) { r.AddChild(r.FindElement("./NameID").Copy()) }), saml.Nameless},
		"no name":                      {root(func(r *etree.Element) { r.RemoveChild(r.FindElement("./NameID")) }), saml.Nameless},
		"an encrypted name":            {root(func(r *etree.Element) { r.FindElement("./NameID").Tag = "EncryptedID" }), saml.Encrypted},
		"another issuer":               {root(func(r *etree.Element) { r.FindElement("./Issuer").SetText("https://other.test") }), saml.OtherIssuer},
		"another destination":          {root(func(r *etree.Element) { r.CreateAttr("Destination", slo+"x") }), saml.OtherAddress},
		"no destination":               {root(func(r *etree.Element) { r.RemoveAttr("Destination") }), saml.OtherAddress},
		"an old one":                   {root(func(r *etree.Element) { r.CreateAttr("IssueInstant", stamp(-saml.LogoutLife-time.Second)) }), saml.TooLate},
		"one of the future":            {root(func(r *etree.Element) { r.CreateAttr("IssueInstant", stamp(saml.Skew+time.Second)) }), saml.TooEarly},
		"one that is over":             {root(func(r *etree.Element) { r.CreateAttr("NotOnOrAfter", stamp(-saml.Skew)) }), saml.TooLate},
		"an element that nobody knows": {root(func(r *etree.Element) { r.CreateElement("samlp:Extensions") }), saml.Unexpected},
		"an answer":                    {func() string { return p.Answers(t, asked) }, saml.NotLogout},
		"around a signed assertion": {func() string {
			inner := etree.NewDocument()
			_ = inner.ReadFromString(p.Document(t, asked))
			doc := p.Logout(slo, "sub-2")
			doc.Root().AddChild(inner.Root().FindElement("./Assertion").Copy())
			raw, _ := doc.WriteToBytes()
			return base64.StdEncoding.EncodeToString(raw)
		}, saml.Misplaced},
		"around a signed logout": {func() string {
			inner := p.Logout(slo, "sub-1")
			p.Sign(t, inner.Root())
			doc := p.Logout(slo, "sub-2")
			doc.Root().AddChild(inner.Root().Copy())
			raw, _ := doc.WriteToBytes()
			return base64.StdEncoding.EncodeToString(raw)
		}, saml.Misplaced},
	} {
		if _, err := saml.VerifyLogout(row.make(), "", logoutExpectations(p)); reasonOf(t, err) != row.want {
			t.Errorf("%s: %v, and want %q", name, err, row.want)
		}
	}
	e := logoutExpectations(p)
	e.Certificates = nil
	if _, err := saml.VerifyLogout(p.Posted(t, p.Logout(slo, "sub-1")), "", e); reasonOf(t, err) != saml.NoCertificate {
		t.Errorf("without a certificate: %v", err)
	}
}

// The signature of an address is over the query as it came. T-074
func TestLogoutsInAddressesThatAreRefused(t *testing.T) {
	p := provider(t)
	good := p.Queried(t, p.Logout(slo, "sub-1"), "note")
	other := p.Queried(t, p.Logout(slo, "sub-2"), "note")
	request := func(q string) string { return strings.Split(q, "&")[0] }
	for name, row := range map[string]struct {
		query string
		want  saml.Cause
	}{
		"unsigned":            {request(good) + "&RelayState=note", saml.Unsigned},
		"nothing":             {"", saml.Unsigned},
		"another request":     {strings.Replace(good, request(good), request(other), 1), saml.BadSignature},
		"another state":       {strings.Replace(good, "RelayState=note", "RelayState=other", 1), saml.BadSignature},
		"without the state":   {strings.Replace(good, "&RelayState=note", "", 1), saml.BadSignature},
		"twice":               {good + "&" + request(other), saml.BadSignature},
		"written oddly":       {good + "&SAML%52equest=x", saml.BadSignature},
		"by SHA-1":            {strings.Replace(good, "xmldsig-more%23rsa-sha256", "xmldsig%23rsa-sha1", 1), saml.BadMethod},
		"by another method":   {strings.Replace(good, "rsa-sha256", "rsa-sha512", 1), saml.BadSignature},
		"an odd signature":    {strings.Replace(good, "&Signature=", "&Signature=AAAA", 1), saml.BadSignature},
		"an answer's address": {p.Queried(t, p.Logout(slo+"x", "sub-1"), ""), saml.OtherAddress},
	} {
		if _, err := saml.VerifyLogoutQuery(row.query, logoutExpectations(p)); reasonOf(t, err) != row.want {
			t.Errorf("%s: %v, and want %q", name, err, row.want)
		}
	}
	doc := p.Logout(slo, "sub-1")
	p.Sign(t, doc.Root())
	if _, err := saml.VerifyLogoutQuery(p.Queried(t, doc, ""), logoutExpectations(p)); reasonOf(t, err) != saml.ManySignatures {
		t.Errorf("with a signature within: %v", err)
	}
	bomb := p.Logout(slo, strings.Repeat("a", 4*saml.MaxDocument)) // T-076
	if _, err := saml.VerifyLogoutQuery(p.Queried(t, bomb, ""), logoutExpectations(p)); reasonOf(t, err) != saml.TooLarge {
		t.Errorf("a bomb: %v", err)
	}
	late := logoutExpectations(p)
	late.Now = p.Certificate.NotAfter.Add(time.Second)
	if _, err := saml.VerifyLogoutQuery(good, late); reasonOf(t, err) != saml.BadSignature {
		t.Errorf("by a certificate that ended: %v", err)
	}
}
