package saml

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"time"
)

// Redirect is where a browser goes to sign in: the provider's address with a request of an id, which the answer has to name,
// and a state that comes back beside it. A key signs it; nil: nobody does.
func (p Party) Redirect(provider Provider, request, state string, key *Key, now time.Time) (string, error) {
	document := fmt.Sprintf(`<samlp:AuthnRequest %s ID="%s" Version="2.0" IssueInstant="%s" Destination="%s" AssertionConsumerServiceURL="%s" ProtocolBinding="%s"><saml:Issuer>%s</saml:Issuer><samlp:NameIDPolicy AllowCreate="true"/></samlp:AuthnRequest>`,
		spaces, escape(request), instant(now), escape(provider.SignOnURL), escape(p.ACS), postBinding, escape(p.EntityID))
	return key.redirect(provider.SignOnURL, "SAMLRequest", []byte(document), state)
}

type service struct {
	Binding  string `xml:"Binding,attr"`
	Location string `xml:"Location,attr"`
	Index    string `xml:"index,attr,omitempty"`
	Default  bool   `xml:"isDefault,attr,omitempty"`
}

type keyDescriptor struct {
	Use  string `xml:"use,attr"`
	Info keyInfo
}

// keyInfo names its namespace, which is then that of what stands within.
type keyInfo struct {
	XMLName xml.Name `xml:"http://www.w3.org/2000/09/xmldsig# KeyInfo"`
	Data    struct {
		Certificate string `xml:"X509Certificate"`
	} `xml:"X509Data"`
}

// Metadata is what we are, for providers that read it instead of typing it in: with the key's certificate, if there is one.
func (p Party) Metadata(certificate []byte, signsRequests bool) ([]byte, error) {
	type descriptor struct {
		Protocols string          `xml:"protocolSupportEnumeration,attr"`
		Requests  bool            `xml:"AuthnRequestsSigned,attr"`
		Signed    bool            `xml:"WantAssertionsSigned,attr"`
		Keys      []keyDescriptor `xml:"KeyDescriptor"`
		Logout    []service       `xml:"SingleLogoutService"`
		Formats   []string        `xml:"NameIDFormat"`
		Service   service         `xml:"AssertionConsumerService"`
	}
	sp := descriptor{Protocols: protocolSpace, Requests: signsRequests, Signed: true, Formats: []string{Persistent, Email, Unspecified}, Service: service{postBinding, p.ACS, "0", true}}
	if len(certificate) > 0 {
		signing := keyDescriptor{Use: "signing"}
		signing.Info.Data.Certificate = base64.StdEncoding.EncodeToString(certificate)
		sp.Keys = []keyDescriptor{signing}
		sp.Logout = []service{{Binding: redirectBinding, Location: p.SLO}, {Binding: postBinding, Location: p.SLO}}
	}
	made := struct {
		XMLName  xml.Name   `xml:"urn:oasis:names:tc:SAML:2.0:metadata EntityDescriptor"`
		EntityID string     `xml:"entityID,attr"`
		SP       descriptor `xml:"SPSSODescriptor"`
	}{EntityID: p.EntityID, SP: sp}
	raw, err := xml.MarshalIndent(made, "", "  ")
	return append([]byte(xml.Header), append(raw, '\n')...), err
}
