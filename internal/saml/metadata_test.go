package saml_test

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"net/url"
	"strings"
	"testing"
	"time"

	library "github.com/crewjam/saml"

	"github.com/guildhall/guildhall/internal/saml"
	"github.com/guildhall/guildhall/internal/testsaml"
)

func TestMetadataIsRead(t *testing.T) {
	p := provider(t)
	found, err := saml.ParseMetadata([]byte("\xef\xbb\xbf" + strings.Replace(p.Metadata(), "<md:NameIDFormat>", "<!-- ours --><md:NameIDFormat>", 1)))
	if err != nil || found.EntityID != p.EntityID || found.SignOnURL != p.URL+"/sso?x=1" || found.LogoutURL != p.URL+"/slo" || len(found.Certificates) != 1 ||
		!found.Certificates[0].Equal(p.Certificate) {
		t.Fatalf("%v, %+v", err, found)
	}
	again, err := saml.ParseCertificates(saml.FormatCertificates(found.Certificates))
	if err != nil || len(again) != 1 || !saml.Latest(again).Equal(p.Certificate.NotAfter) {
		t.Errorf("the certificates again: %v", err)
	}
}

// T-076, T-080
func TestMetadataThatIsRefused(t *testing.T) {
	p := provider(t)
	weak := testsaml.Certificate(t, testsaml.RSAKey(t, 1024), now, now.Add(time.Hour))
	whole := p.Metadata()
	strong, _, _ := strings.Cut(strings.SplitAfterN(whole, "<ds:X509Certificate>", 2)[1], "<")
	for name, row := range map[string][3]string{
		"javascript":       {p.URL + "/sso", "javascript:alert(1)//", "no https address"},
		"plain http":       {p.URL + "/sso", "http://idp.test/sso", "no https address"},
		"data":             {p.URL + "/slo", "data:text/html,x", "no https address"},
		"a user":           {p.URL + "/sso", "https://a:b@idp.test/sso", "no https address"},
		"only POST":        {"bindings:HTTP-Redirect", "bindings:SOAP", "no SingleSignOnService"},
		"no certificate":   {`use="signing"`, `use="encryption"`, "no certificate"},
		"a weak key":       {strong, encoded(weak.Raw), "1024 bits"},
		"no certificate's": {strong, "AAAA", "cannot be read"},
		"no base64":        {strong, "%%%", "neither PEM nor base64"},
		"SAML 1.1":         {`"urn:oasis:names:tc:SAML:2.0:protocol"`, `"urn:oasis:names:tc:SAML:1.1:protocol"`, "0 identity providers"},
		"no entity id":     {p.EntityID, "", "no entity id"},
		"a document type":  {"?>", "?><!DOCTYPE x>", "document type"},
		"of a product":     {"IDPSSODescriptor", "SPSSODescriptor", "0 identity providers"},
		"no XML":           {"</md:EntityDescriptor>", "", "ends too early"},
		"two providers":    {"</md:EntityDescriptor>", `<md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"/></md:EntityDescriptor>`, "2 identity providers"},
	} {
		changed := strings.ReplaceAll(whole, row[0], row[1])
		if changed == whole {
			t.Fatalf("%s changes nothing", name)
		}
		if _, err := saml.ParseMetadata([]byte(changed)); err == nil || !strings.Contains(err.Error(), row[2]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := saml.ParseMetadata(bytes.Repeat([]byte("x"), saml.MaxMetadata+1)); err == nil {
		t.Error("2 MB of metadata")
	}
}

func encoded(raw []byte) string { return posted(string(raw)) }

func TestARequestSaysWhoAsksAndWhereTo(t *testing.T) {
	p := provider(t)
	to, err := party.Redirect(saml.Provider{EntityID: p.EntityID, SignOnURL: p.URL + "/sso?x=1"}, "_request", "state", nil, now)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(to)
	got, state := testsaml.Reads(t, to)
	if got != asked || state != "state" || u.Query().Get("x") != "1" || !strings.HasPrefix(to, p.URL+"/sso?") {
		t.Errorf("the browser is sent to %s: %+v", to, got)
	}
}

func TestOurMetadataSaysWhatToSet(t *testing.T) {
	raw, err := party.Metadata(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`entityID="` + party.EntityID + `"`, `Location="` + party.ACS + `"`, `WantAssertionsSigned="true"`, `bindings:HTTP-POST"`, `nameid-format:persistent`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("without %s:\n%s", want, raw)
		}
	}
}

// Another library reads our metadata as we mean it.
func TestOurMetadataIsReadByOthers(t *testing.T) {
	ours := saml.Party{EntityID: "https://accounts.test/login/saml/con_1/metadata", ACS: party.ACS, SLO: slo}
	key, err := saml.NewKey("Guildhall", now)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ours.Metadata(key.Certificate, true)
	if err != nil {
		t.Fatal(err)
	}
	var read library.EntityDescriptor
	if err := xml.Unmarshal(raw, &read); err != nil || len(read.SPSSODescriptors) != 1 {
		t.Fatalf("%v: %s", err, raw)
	}
	sp := read.SPSSODescriptors[0]
	if len(sp.KeyDescriptors) != 1 || sp.KeyDescriptors[0].Use != "signing" || sp.KeyDescriptors[0].KeyInfo.X509Data.X509Certificates[0].Data != base64.StdEncoding.EncodeToString(key.Certificate) {
		t.Errorf("the key is %+v", sp.KeyDescriptors)
	}
	if len(sp.SingleLogoutServices) != 2 || sp.SingleLogoutServices[0].Location != slo || !*sp.AuthnRequestsSigned || sp.AssertionConsumerServices[0].Location != ours.ACS {
		t.Errorf("it is %s", raw)
	}
}
