package saml_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"github.com/guildhall/guildhall/internal/saml"
	"github.com/guildhall/guildhall/internal/testsaml"
)

func acsURL() (url.URL, error) {
	u, err := url.Parse(party.ACS)
	return *u, err
}

// at changes what stands at a path, before it is signed.
func at(path string, change func(el *etree.Element)) func(*testsaml.Provider, *saml.Expectations) {
	return func(p *testsaml.Provider, _ *saml.Expectations) {
		p.Before = func(response *etree.Element) { change(must(response, path)) }
	}
}

// after changes what stands at a path, after it is signed.
func after(path string, change func(el *etree.Element)) func(*testsaml.Provider, *saml.Expectations) {
	return func(p *testsaml.Provider, _ *saml.Expectations) {
		p.After = func(response *etree.Element) { change(must(response, path)) }
	}
}

func must(response *etree.Element, path string) *etree.Element {
	el := response
	if path != "" {
		el = response.FindElement(path)
	}
	if el == nil {
		panic("no " + path)
	}
	return el
}

func text(change func(string) string) func(*testsaml.Provider, *saml.Expectations) {
	return func(p *testsaml.Provider, _ *saml.Expectations) { p.Text = change }
}

func replace(old, new string) func(*testsaml.Provider, *saml.Expectations) {
	return text(func(s string) string {
		if !strings.Contains(s, old) {
			panic("no " + old)
		}
		return strings.ReplaceAll(s, old, new)
	})
}

func attribute(name, value string) func(*etree.Element) {
	return func(el *etree.Element) { el.CreateAttr(name, value) }
}

func without(name string) func(*etree.Element) {
	return func(el *etree.Element) { el.RemoveAttr(name) }
}

func remove(el *etree.Element) { el.Parent().RemoveChild(el) }

func expecting(change func(*saml.Expectations)) func(*testsaml.Provider, *saml.Expectations) {
	return func(_ *testsaml.Provider, e *saml.Expectations) { change(e) }
}

func saying(words string) func(*etree.Element) {
	return func(el *etree.Element) { el.SetText(words) }
}

const (
	confirmationData = "//SubjectConfirmationData"
	signedInfo       = "./Assertion/Signature/SignedInfo"
	reference        = signedInfo + "/Reference"
)

func stamp(after time.Duration) string { return now.Add(after).Format(time.RFC3339) }

// Each row changes one thing of an answer whose assertion is signed.
var refusals = []struct {
	name   string
	change func(*testsaml.Provider, *saml.Expectations)
	want   saml.Cause
}{
	// T-071
	{"a comment in the NameID", replace("sub-1<", "sub-1<!----><"), saml.Comment},
	{"a comment that cuts an address", replace("zoe@acme.test<", "zoe@acme.test<!---->.evil.test<"), saml.Comment},
	{"a comment before the document", text(func(s string) string { return "<!-- x -->" + s }), saml.Comment},
	{"a comment after the document", text(func(s string) string { return s + "<!-- x -->" }), saml.Comment},
	{"a processing instruction in the NameID", replace("sub-1<", "sub-1<?x y?><"), saml.Instruction},
	{"a second XML declaration", text(func(s string) string { return `<?xml version="1.0"?><?xml version="1.0"?>` + s }), saml.Instruction},
	{"a CDATA section in the NameID", replace("sub-1<", "sub-1<![CDATA[x]]><"), saml.CDATA},

	// T-072: what has made two readers disagree
	{"a name with two colons", replace("<saml:NameID ", `<saml:NameID xmlns:x="urn:x" x:y:z="1" `), saml.NotXML},
	{"a name of other letters", replace("<saml:NameID ", `<saml:NameID é="1" `), saml.OddName},
	{"a name that begins with a colon", replace("<saml:NameID ", `<saml:NameID :x="1" `), saml.OddName},
	{"an attribute twice", replace(" Version=", ` Version="2.0" Version=`), saml.TwiceAttribute},
	{"an attribute twice, under two prefixes", replace("<saml:NameID ", `<saml:NameID xmlns:p="urn:x" xmlns:q="urn:x" p:a="1" q:a="2" `), saml.TwiceAttribute},
	{"a prefix that is not declared", replace("<saml:NameID ", `<saml:NameID x:y="1" `), saml.OddNamespace},
	{"xml declared as something else", replace("<saml:NameID ", `<saml:NameID xmlns:xml="urn:x" `), saml.OddNamespace},
	{"xmlns declared", replace("<saml:NameID ", `<saml:NameID xmlns:xmlns="urn:x" `), saml.OddNamespace},
	{"an element that is not closed", text(func(s string) string { return strings.TrimSuffix(s, "</samlp:Response>") }), saml.NotXML},
	{"an element closed by another", replace("</saml:NameID>", "</saml:Subject>"), saml.NotXML},
	{"an element closed by another prefix", replace("</saml:NameID>", "</samlp:NameID>"), saml.NotXML},
	{"two documents", text(func(s string) string { return s + s }), saml.NotXML},
	{"text behind the document", text(func(s string) string { return s + "x" }), saml.NotXML},
	{"another encoding", text(func(s string) string { return `<?xml version="1.0" encoding="UTF-16"?>` + s }), saml.NotXML},
	{"no UTF-8", replace("sub-1", "sub\xff"), saml.NotXML},
	{"a character that XML has not", replace("sub-1", "sub&#0;1"), saml.NotXML},
	{"nothing", text(func(string) string { return " " }), saml.NotXML},
	{"JSON", text(func(string) string { return `{"user":"zoe"}` }), saml.NotXML},

	// T-076
	{"a document type", text(func(s string) string { return `<!DOCTYPE samlp:Response [<!ENTITY x "y">]>` + s }), saml.DTD},
	{"an external entity", text(func(s string) string {
		return `<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + strings.Replace(s, "sub-1", "&x;", 1)
	}), saml.DTD},
	{"an entity that nobody declared", replace("sub-1", "&x;"), saml.NotXML},
	{"a large document", text(func(s string) string {
		return strings.Replace(s, "sub-1", strings.Repeat("x", saml.MaxDocument), 1)
	}), saml.TooLarge},
	{"an attribute of 10 MB", replace(`Version="2.0"`, `Version="`+strings.Repeat("2", 10<<20)+`"`), saml.TooLarge},
	{"a deep document", replace("sub-1", strings.Repeat("<saml:x>", 100)+strings.Repeat("</saml:x>", 100)), saml.TooManyParts},
	{"a document of many elements", replace("sub-1", strings.Repeat("<saml:x/>", 2000)), saml.TooManyParts},
	{"an element of many attributes", replace("<saml:NameID ", "<saml:NameID "+many(`xmlns:n%="urn:%" `, 100)), saml.TooManyParts},

	// T-070, T-074, T-075
	{"another document", text(func(string) string {
		return `<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_a"/>`
	}), saml.NotResponse},
	{"a Response of another namespace", replace("urn:oasis:names:tc:SAML:2.0:protocol", "urn:oasis:names:tc:SAML:1.0:protocol"), saml.NotResponse},
	{"no assertion", after("./Assertion", remove), saml.NoAssertion},
	{"an assertion of another namespace", after("", func(r *etree.Element) {
		evil := etree.NewElement("Assertion")
		evil.CreateAttr("xmlns", "urn:x")
		r.AddChild(evil)
	}), saml.OddNamespace},
	{"two assertions, the first unsigned", after("", func(r *etree.Element) {
		evil := r.FindElement("./Assertion").Copy()
		evil.RemoveChild(evil.FindElement("./Signature"))
		evil.CreateAttr("ID", "_evil")
		r.InsertChildAt(1, evil)
	}), saml.ManyAssertions},
	{"an encrypted assertion", after("", func(r *etree.Element) { r.CreateElement("saml:EncryptedAssertion") }), saml.Encrypted},
	{"an encrypted name", at("//Subject", func(el *etree.Element) { el.CreateElement("saml:EncryptedID") }), saml.Encrypted},
	{"extensions", after("", func(r *etree.Element) { r.CreateElement("samlp:Extensions") }), saml.Unexpected},
	{"advice", at("./Assertion", func(a *etree.Element) { a.CreateElement("saml:Advice") }), saml.Unexpected},
	{"an assertion in an attribute", at("//AttributeValue", func(v *etree.Element) { v.CreateElement("saml:Assertion") }), saml.Misplaced},
	{"a signature in the subject", at("//Subject", func(s *etree.Element) {
		s.CreateElement("ds:Signature").CreateAttr("xmlns:ds", "http://www.w3.org/2000/09/xmldsig#")
	}), saml.Misplaced},
	{"a signature of another namespace", after("./Assertion", func(a *etree.Element) {
		evil := etree.NewElement("Signature")
		evil.CreateAttr("xmlns", "urn:x")
		a.AddChild(evil)
	}), saml.OddNamespace},
	{"no signature", func(p *testsaml.Provider, _ *saml.Expectations) { p.SignAssertion = false }, saml.Unsigned},
	{"the signature taken out", after("./Assertion/Signature", remove), saml.Unsigned},
	{"two signatures", after("./Assertion", func(a *etree.Element) { a.AddChild(a.FindElement("./Signature").Copy()) }), saml.ManySignatures},
	{"an object in the signature", after("./Assertion/Signature", func(s *etree.Element) { s.CreateElement("ds:Object") }), saml.Misplaced},
	{"something else in the signature", after("./Assertion/Signature", func(s *etree.Element) { s.CreateElement("ds:X") }), saml.Unexpected},
	{"two signature values", after("./Assertion/Signature", func(s *etree.Element) { s.AddChild(s.FindElement("./SignatureValue").Copy()) }), saml.Missing},
	{"two SignedInfo", after("./Assertion/Signature", func(s *etree.Element) { s.InsertChildAt(0, s.FindElement("./SignedInfo").Copy()) }), saml.Missing},
	{"no certificate", expecting(func(e *saml.Expectations) { e.Certificates = nil }), saml.NoCertificate},
	{"a certificate of its own", func(p *testsaml.Provider, _ *saml.Expectations) { p.Rotate(tb, testsaml.RSAKey(tb, 2048)) }, saml.BadSignature},
	{"a certificate that ended", func(p *testsaml.Provider, e *saml.Expectations) {
		e.Certificates[0] = testsaml.Certificate(tb, p.Key, now.Add(-time.Hour), now.Add(-time.Second))
	}, saml.OldCertificate},
	{"a certificate that has not begun", func(p *testsaml.Provider, e *saml.Expectations) {
		e.Certificates[0] = testsaml.Certificate(tb, p.Key, now.Add(time.Second), now.Add(time.Hour))
	}, saml.OldCertificate},
	{"a changed name", replace("sub-1<", "sub-2<"), saml.BadSignature},
	{"a changed attribute", replace("zoe@acme.test", "ada@acme.test"), saml.BadSignature},
	{"a changed digest", after(reference+"/DigestValue", saying("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")), saml.BadSignature},
	{"an empty digest", after(reference+"/DigestValue", saying("")), saml.BadSignature},
	{"an empty signature value", after("./Assertion/Signature/SignatureValue", saying("")), saml.BadSignature},
	{"an id twice", after("./Status", attribute("ID", "_assertion1")), saml.TwiceID},
	{"an id twice, spelled otherwise", after("./Status", attribute("xml:id", "_assertion1")), saml.TwiceID},
	{"an assertion with two ids", at("./Assertion", attribute("Id", "_x")), saml.BadID},
	{"an assertion without an id", after("./Assertion", without("ID")), saml.BadID},
	{"a response without an id", after("", without("ID")), saml.BadID},
	{"an id that is none", after("", attribute("ID", "a b")), saml.BadID},
	{"another version", at("./Assertion", attribute("Version", "1.1")), saml.BadVersion},
	{"two references", after(signedInfo, func(s *etree.Element) { s.AddChild(s.FindElement("./Reference").Copy()) }), saml.BadReference},
	{"a reference to all", after(reference, attribute("URI", "")), saml.BadReference},
	{"no reference URI", after(reference, without("URI")), saml.BadReference},
	{"a reference to the response", after(reference, attribute("URI", "#_response1")), saml.BadReference},
	{"a reference by XPointer", after(reference, attribute("URI", "#xpointer(id('_assertion1'))")), saml.BadReference},
	{"a reference elsewhere", after(reference, attribute("URI", "https://evil.test/a.xml")), saml.BadReference},
	{"XSLT", after(reference+"/Transforms", func(el *etree.Element) {
		el.CreateElement("ds:Transform").CreateAttr("Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116")
	}), saml.BadTransform},
	{"an XPath", after(reference+"/Transforms/Transform[1]", attribute("Algorithm", "http://www.w3.org/TR/1999/REC-xpath-19991116")), saml.BadTransform},
	{"no transforms", after(reference+"/Transforms", func(el *etree.Element) { el.Child = nil }), saml.BadTransform},
	{"only enveloped", after(reference+"/Transforms", func(el *etree.Element) { el.RemoveChildAt(1) }), saml.BadTransform},
	{"canonical with comments", after(reference+"/Transforms/Transform[2]", attribute("Algorithm", "http://www.w3.org/2001/10/xml-exc-c14n#WithComments")), saml.BadTransform},
	{"something in a transform", after(reference+"/Transforms/Transform[2]", func(el *etree.Element) { el.CreateElement("ds:XPath") }), saml.BadTransform},
	{"inclusive canonicalization", after(signedInfo+"/CanonicalizationMethod", attribute("Algorithm", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315")), saml.BadCanonicalizer},
	{"a canonicalization that is none", after(signedInfo+"/CanonicalizationMethod", attribute("Algorithm", "urn:x")), saml.BadCanonicalizer},
	{"SHA-1 signature", func(p *testsaml.Provider, _ *saml.Expectations) {
		p.Method = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
	}, saml.BadMethod},
	{"HMAC", after(signedInfo+"/SignatureMethod", attribute("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")), saml.BadMethod},
	{"a truncated HMAC", after(signedInfo+"/SignatureMethod", func(el *etree.Element) { el.CreateElement("ds:HMACOutputLength") }), saml.BadMethod},
	{"SHA-1 digest", after(reference+"/DigestMethod", attribute("Algorithm", "http://www.w3.org/2000/09/xmldsig#sha1")), saml.BadDigest},
	{"MD5 digest", after(reference+"/DigestMethod", attribute("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#md5")), saml.BadDigest},
	{"a relative namespace", replace("<saml:NameID ", `<saml:NameID xmlns:x="1" `), saml.OddNamespace},
	{"an empty namespace", replace("<saml:NameID ", `<saml:NameID xmlns="" `), saml.OddNamespace},
	{"a namespace with a space", replace("<saml:NameID ", `<saml:NameID xmlns:x="urn:a b" `), saml.OddNamespace},

	// T-078
	{"a refusal of the provider", at("//StatusCode", attribute("Value", "urn:oasis:names:tc:SAML:2.0:status:Responder")), saml.NotSuccess},
	{"no status", at("./Status", remove), saml.Missing},
	{"no status code", at("//StatusCode", remove), saml.Missing},
	{"another issuer of the assertion", at("./Assertion/Issuer", saying("https://attacker.test")), saml.OtherIssuer},
	{"another issuer of the response", at("./Issuer", saying("https://attacker.test")), saml.OtherIssuer},
	{"an issuer with a slash", at("./Assertion/Issuer", func(el *etree.Element) { el.SetText(el.Text() + "/") }), saml.OtherIssuer},
	{"no issuer", at("./Assertion/Issuer", remove), saml.OtherIssuer},
	{"another destination", at("", attribute("Destination", "https://evil.test/acs")), saml.OtherAddress},
	{"no destination of a signed response", func(p *testsaml.Provider, _ *saml.Expectations) {
		p.SignResponse, p.Before = true, func(r *etree.Element) { r.RemoveAttr("Destination") }
	}, saml.OtherAddress},
	{"begun at the provider", at("", without("InResponseTo")), saml.Unsolicited},
	{"a confirmation without a request", at(confirmationData, without("InResponseTo")), saml.Unsolicited},
	{"another request", at("", attribute("InResponseTo", "_other")), saml.OtherRequest},
	{"a confirmation of another request", at(confirmationData, attribute("InResponseTo", "_other")), saml.OtherRequest},
	{"no request is known", func(p *testsaml.Provider, e *saml.Expectations) { e.Request = "" }, saml.OtherRequest},
	{"another audience", at("//Audience", saying("https://other.test")), saml.OtherAudience},
	{"an audience with a slash", at("//Audience", func(el *etree.Element) { el.SetText(el.Text() + "/") }), saml.OtherAudience},
	{"an audience of two, apart", at("//Conditions", func(el *etree.Element) {
		el.CreateElement("saml:AudienceRestriction").CreateElement("saml:Audience").SetText("https://other.test")
	}), saml.OtherAudience},
	{"no audience", at("//AudienceRestriction", remove), saml.OtherAudience},
	{"no conditions", at("//Conditions", remove), saml.OtherAudience},
	{"a condition that is not known", at("//Conditions", func(el *etree.Element) { el.CreateElement("saml:Condition") }), saml.OddCondition},
	{"another recipient", at(confirmationData, attribute("Recipient", "https://evil.test/acs")), saml.OtherRecipient},
	{"no recipient", at(confirmationData, without("Recipient")), saml.OtherRecipient},
	{"a holder of a key", at("//SubjectConfirmation", attribute("Method", "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key")), saml.Unconfirmed},
	{"no confirmation", at("//SubjectConfirmation", remove), saml.Unconfirmed},
	{"no confirmation data", at(confirmationData, remove), saml.Unconfirmed},
	{"a confirmation without end", at(confirmationData, without("NotOnOrAfter")), saml.Unconfirmed},
	{"no subject", at("//Subject", remove), saml.Nameless},
	{"no name", at("//NameID", remove), saml.Nameless},
	{"an empty name", at("//NameID", saying(" ")), saml.Nameless},
	{"a name in parts", at("//NameID", func(el *etree.Element) { el.CreateElement("saml:x") }), saml.Nameless},
	{"a long name", at("//NameID", saying(strings.Repeat("x", 257))), saml.Nameless},
	{"two names", at("//Subject", func(el *etree.Element) { el.CreateElement("saml:NameID").SetText("sub-2") }), saml.Nameless},
	{"nobody signed in", at("//AuthnStatement", remove), saml.NoStatement},
	{"a session that is over", at("//AuthnStatement", attribute("SessionNotOnOrAfter", stamp(-91*time.Second))), saml.SessionOver},
	{"a sign-in of the future", at("//AuthnStatement", attribute("AuthnInstant", stamp(91*time.Second))), saml.TooEarly},
	{"no time", at("./Assertion", without("IssueInstant")), saml.UnreadableValue},
	{"a time that is none", at("//Conditions", attribute("NotOnOrAfter", "tomorrow")), saml.UnreadableValue},
}

// tb is the test that runs.
var tb testing.TB

func many(pattern string, n int) string {
	var all strings.Builder
	for i := range n {
		all.WriteString(strings.ReplaceAll(pattern, "%", string(rune('a'+i/26))+string(rune('a'+i%26))))
	}
	return all.String()
}

// T-070, T-071, T-072, T-074, T-075, T-076, T-078
func TestWhatIsRefused(t *testing.T) {
	reached := map[saml.Cause]bool{}
	for _, row := range refusals {
		t.Run(strings.ReplaceAll(row.name, " ", "_"), func(t *testing.T) {
			tb = t
			p := provider(t)
			e := expectations(p)
			row.change(p, &e)
			answer := p.Answers(t, asked)
			began := time.Now()
			_, err := saml.Verify(answer, e)
			if got := reasonOf(t, err); got != row.want {
				t.Errorf("the reason is %q instead of %q: %v", got, row.want, err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("it took %s", took)
			}
			if err != nil && regexp.MustCompile(`[\x00-\x1f]`).MatchString(err.Error()) {
				t.Errorf("the reason has control characters: %q", err)
			}
			reached[row.want] = true
		})
	}
	for _, answer := range []string{"", "%%%", "PHg+=", "not base64 at all!"} {
		if _, err := saml.Verify(answer, expectations(provider(t))); reasonOf(t, err) != saml.NotBase64 {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

// T-079: 90 seconds on either side, and not one more.
func TestClocksMayBeAWhileApart(t *testing.T) {
	p := provider(t)
	answer := p.Answers(t, asked) // holds from a minute ago until in five minutes
	for _, row := range []struct {
		after time.Duration
		want  saml.Cause
	}{
		{0, ""}, {-saml.Skew, ""}, {-saml.Skew - time.Millisecond, saml.TooEarly}, {-time.Hour, saml.TooEarly},
		{5*time.Minute + saml.Skew - time.Millisecond, ""}, {5*time.Minute + saml.Skew, saml.TooLate}, {24 * time.Hour, saml.TooLate},
	} {
		e := expectations(p)
		e.Now = now.Add(row.after)
		if _, err := saml.Verify(answer, e); reasonOf(t, err) != row.want {
			t.Errorf("after %s: %v, and want %q", row.after, err, row.want)
		}
	}
	for name, change := range map[string]func(*etree.Element){
		"the conditions":   func(r *etree.Element) { must(r, "//Conditions").CreateAttr("NotOnOrAfter", stamp(-saml.Skew)) },
		"the confirmation": func(r *etree.Element) { must(r, confirmationData).CreateAttr("NotOnOrAfter", stamp(-saml.Skew)) },
	} {
		p.Before = change
		if _, err := saml.Verify(p.Answers(t, asked), expectations(p)); reasonOf(t, err) != saml.TooLate {
			t.Errorf("%s alone are over: %v", name, err)
		}
	}
	p.Before = func(r *etree.Element) { must(r, "//Conditions").CreateAttr("NotBefore", stamp(saml.Skew+time.Second)) }
	if _, err := saml.Verify(p.Answers(t, asked), expectations(p)); reasonOf(t, err) != saml.TooEarly {
		t.Errorf("conditions of the future: %v", err)
	}
}
