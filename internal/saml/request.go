package saml

import (
	"encoding/xml"
	"time"

	library "github.com/crewjam/saml"
)

// Redirect is where a browser goes to sign in: the provider's address with a request of an id, which the answer has to name,
// and a state that comes back beside it.
func (p Party) Redirect(provider Provider, request, state string, now time.Time) (string, error) {
	create := true
	asked := library.AuthnRequest{
		ID: request, Version: "2.0", IssueInstant: now, Destination: provider.SignOnURL, AssertionConsumerServiceURL: p.ACS, ProtocolBinding: postBinding,
		Issuer: &library.Issuer{Value: p.EntityID}, NameIDPolicy: &library.NameIDPolicy{AllowCreate: &create},
	}
	to, err := asked.Redirect(state, &library.ServiceProvider{})
	if err != nil {
		return "", err
	}
	return to.String(), nil
}

// Metadata is what we are, for providers that read it instead of typing it in.
func (p Party) Metadata() ([]byte, error) {
	type service struct {
		Binding  string `xml:"Binding,attr"`
		Location string `xml:"Location,attr"`
		Index    string `xml:"index,attr"`
		Default  bool   `xml:"isDefault,attr"`
	}
	type descriptor struct {
		Protocols string   `xml:"protocolSupportEnumeration,attr"`
		Requests  bool     `xml:"AuthnRequestsSigned,attr"`
		Signed    bool     `xml:"WantAssertionsSigned,attr"`
		Formats   []string `xml:"NameIDFormat"`
		Service   service  `xml:"AssertionConsumerService"`
	}
	made := struct {
		XMLName  xml.Name   `xml:"urn:oasis:names:tc:SAML:2.0:metadata EntityDescriptor"`
		EntityID string     `xml:"entityID,attr"`
		SP       descriptor `xml:"SPSSODescriptor"`
	}{EntityID: p.EntityID, SP: descriptor{Protocols: protocolSpace, Signed: true, Formats: []string{Persistent, Email, Unspecified}, Service: service{postBinding, p.ACS, "0", true}}}
	raw, err := xml.MarshalIndent(made, "", "  ")
	return append([]byte(xml.Header), append(raw, '\n')...), err
}
