package saml_test

import (
	"encoding/base64"
	"errors"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	library "github.com/crewjam/saml"
	"golang.org/x/mod/semver"

	"github.com/guildhall/guildhall/internal/saml"
	"github.com/guildhall/guildhall/internal/testsaml"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

var party = saml.Party{EntityID: "https://accounts.acme.test/login/saml/con_1/metadata", ACS: "https://accounts.acme.test/login/saml/con_1/acs"}

var asked = testsaml.Asked{ID: "_request", ACS: party.ACS, Audience: party.EntityID}

func provider(t testing.TB) *testsaml.Provider {
	return testsaml.New(t, func() time.Time { return now })
}

func expectations(p *testsaml.Provider) saml.Expectations {
	parsed, err := saml.ParseCertificates(testsaml.PEM(p.Certificate))
	if err != nil {
		panic(err)
	}
	return saml.Expectations{Party: party, Issuer: p.EntityID, Certificates: parsed, Request: asked.ID, Now: now}
}

// reasonOf is why something was refused; empty: it was believed.
func reasonOf(t testing.TB, err error) saml.Cause {
	t.Helper()
	var refused *saml.Refusal
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &refused) || refused.Text == "":
		t.Fatalf("not a refusal: %v", err)
	}
	return refused.Reason
}

func posted(document string) string { return base64.StdEncoding.EncodeToString([]byte(document)) }

// modes are the three ways in which providers sign.
var modes = map[string]func(*testsaml.Provider){
	"response":  func(p *testsaml.Provider) { p.SignResponse, p.SignAssertion = true, false },
	"assertion": func(p *testsaml.Provider) { p.SignResponse, p.SignAssertion = false, true },
	"both":      func(p *testsaml.Provider) { p.SignResponse, p.SignAssertion = true, true },
}

func TestAnAnswerIsBelieved(t *testing.T) {
	p := provider(t)
	for mode, set := range modes {
		set(p)
		a, err := saml.Verify(p.Answers(t, asked), expectations(p))
		if err != nil {
			t.Errorf("%s signed: %v", mode, err)
			continue
		}
		subject, _ := a.Subject("")
		if subject != "sub-1" || a.Email() != "zoe@acme.test" || a.FullName() != "Zoe Zimmermann" || a.ID == "" || !strings.HasPrefix(a.SessionIndex, "_session") {
			t.Errorf("%s signed: %+v", mode, a)
		}
		if !slices.Equal(a.Attributes["groups"], []string{"staff", "writers"}) || !a.Until.Equal(now.Add(5*time.Minute+saml.Skew)) {
			t.Errorf("%s signed: %v, until %s", mode, a.Attributes, a.Until)
		}
	}
}

func TestAnAnswerIsBelievedByEachWayToSign(t *testing.T) {
	p := provider(t)
	for _, method := range []string{"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512"} {
		p.Method = method
		if _, err := saml.Verify(p.Answers(t, asked), expectations(p)); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	p.Method = ""
	p.Rotate(t, testsaml.ECDSAKey(t))
	if _, err := saml.Verify(p.Answers(t, asked), expectations(p)); err != nil {
		t.Errorf("ECDSA: %v", err)
	}
}

// A provider changes its key while both are known, and the old one is then taken out.
func TestTwoCertificatesAreKnownWhileOneIsReplaced(t *testing.T) {
	p := provider(t)
	old := expectations(p)
	answer := p.Answers(t, asked)
	p.Rotate(t, testsaml.RSAKey(t, 2048))
	both := expectations(p)
	fresh := p.Answers(t, asked)
	both.Certificates = append(both.Certificates, old.Certificates...)
	for name, one := range map[string]string{"the old key": answer, "the new key": fresh} {
		if _, err := saml.Verify(one, both); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := saml.Verify(fresh, old); reasonOf(t, err) != saml.BadSignature {
		t.Errorf("by a key that is not known yet: %v", err)
	}
	both.Certificates = both.Certificates[:1]
	if _, err := saml.Verify(answer, both); reasonOf(t, err) != saml.BadSignature {
		t.Errorf("by a key that was taken out: %v", err)
	}
}

// T-073: the library's versions before 1.6.0 verify another reference than the one that they read.
func TestTheLibraryIsAMendedOne(t *testing.T) {
	const path, least = "github.com/russellhaering/goxmldsig", "v1.6.1"
	raw, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(regexp.QuoteMeta(path)+` (v\S+)`).FindAllStringSubmatch(string(raw), -1)
	if len(found) != 1 || semver.Compare(found[0][1], least) < 0 {
		t.Errorf("go.mod has %q, and it has to be %s or later, once", found, least)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path && (m.Replace != nil || semver.Compare(m.Version, least) < 0) {
				t.Errorf("this was built with %s %s", m.Path, m.Version)
			}
		}
	}
}

// Another program that reads SAML finds in an answer what this one finds. T-072
func TestAnotherReaderAgrees(t *testing.T) {
	p := provider(t)
	for mode, set := range modes {
		set(p)
		document := p.Document(t, asked)
		mine, err := saml.Verify(posted(document), expectations(p))
		if err != nil {
			t.Fatal(err)
		}
		other, err := otherReader(p, document)
		if err != nil {
			t.Fatalf("%s: the other reader: %v", mode, err)
		}
		same(t, mine, other)
	}
}

func otherReader(p *testsaml.Provider, document string) (*library.Assertion, error) {
	library.TimeNow = func() time.Time { return now }
	acs, _ := acsURL()
	meta := &library.EntityDescriptor{EntityID: p.EntityID, IDPSSODescriptors: []library.IDPSSODescriptor{{SSODescriptor: library.SSODescriptor{RoleDescriptor: library.RoleDescriptor{
		KeyDescriptors: []library.KeyDescriptor{{Use: "signing", KeyInfo: library.KeyInfo{X509Data: library.X509Data{X509Certificates: []library.X509Certificate{
			{Data: base64.StdEncoding.EncodeToString(p.Certificate.Raw)}}}}}}}}}}}
	sp := library.ServiceProvider{EntityID: party.EntityID, AcsURL: acs, IDPMetadata: meta}
	return sp.ParseXMLResponse([]byte(document), []string{asked.ID}, acs)
}

func same(t testing.TB, mine saml.Assertion, other *library.Assertion) {
	t.Helper()
	if mine.ID != other.ID || mine.Name != strings.TrimSpace(other.Subject.NameID.Value) {
		t.Errorf("one reads %s of %q, and the other %s of %q", mine.ID, mine.Name, other.ID, other.Subject.NameID.Value)
	}
	for _, s := range other.AttributeStatements {
		for _, a := range s.Attributes {
			for _, v := range a.Values {
				if v.NameID == nil && !slices.Contains(mine.Attributes[a.Name], strings.TrimSpace(v.Value)) {
					t.Errorf("only the other reads %s = %q", a.Name, v.Value)
				}
			}
		}
	}
}

func TestWhoSomebodyIs(t *testing.T) {
	p := provider(t)
	believed := func() saml.Assertion {
		t.Helper()
		a, err := saml.Verify(p.Answers(t, asked), expectations(p))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	p.Format = saml.Transient
	if _, err := believed().Subject(""); reasonOf(t, err) != saml.TransientName {
		t.Errorf("a transient NameID: %v", err)
	}
	p.Attributes["employee"] = []string{"4711"}
	if got, err := believed().Subject("employee"); err != nil || got != "4711" {
		t.Errorf("an attribute: %q, %v", got, err)
	}
	p.Attributes["employee"] = []string{"4711", "4712"}
	if _, err := believed().Subject("employee"); reasonOf(t, err) != saml.Nameless {
		t.Errorf("an attribute of two values: %v", err)
	}
	p.Format, p.NameID, p.Attributes = saml.Email, "zoe@acme.test", nil
	if a := believed(); a.Email() != "zoe@acme.test" {
		t.Errorf("a NameID that is an address: %+v", a)
	}
	p.Format, p.Attributes = saml.Persistent, map[string][]string{"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress": {"zoe@acme.test"}}
	if a := believed(); a.Email() != "zoe@acme.test" {
		t.Errorf("an attribute by its long name: %+v", a)
	}
	p.Before = func(response *etree.Element) { response.FindElement("//NameID").RemoveAttr("Format") }
	p.Attributes = nil
	if a := believed(); a.Format != saml.Unspecified || a.Email() != "zoe@acme.test" {
		t.Errorf("a NameID without a format: %+v", a)
	}
}
