// Package saml speaks SAML 2.0 as a service provider: it asks an identity provider to sign somebody in, and believes what
// comes back or says exactly why not.
//
// An answer is looked at twice before anything in it is read. A strict profile of our own comes first, over a tree of our own:
// one Response with one Assertion, signatures only where the standard has them, each over the element that it stands in, and
// nothing that two parsers could read differently. Then a library verifies the signatures by the certificates that somebody
// configured, never by one that the answer brings. What is read afterwards is parsed anew from the very bytes whose digest
// was signed.
package saml

import (
	"crypto/x509"
	"fmt"
	"time"
)

const (
	protocolSpace  = "urn:oasis:names:tc:SAML:2.0:protocol"
	assertionSpace = "urn:oasis:names:tc:SAML:2.0:assertion"
	metadataSpace  = "urn:oasis:names:tc:SAML:2.0:metadata"
	signatureSpace = "http://www.w3.org/2000/09/xmldsig#"
	exclusive      = "http://www.w3.org/2001/10/xml-exc-c14n#"
	enveloped      = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"

	redirectBinding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
	postBinding     = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
)

// The formats of a NameID that matter here. Unspecified is what a NameID without one has.
const (
	Persistent  = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	Transient   = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
	Email       = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
	Unspecified = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
)

const (
	// MaxDocument is how many bytes an answer may have, decoded.
	MaxDocument = 256 << 10
	// Skew is how far the clocks of two parties may be apart.
	Skew = 90 * time.Second
)

// Party is what an identity provider knows us by.
type Party struct {
	EntityID string // the audience
	ACS      string // where answers are sent to
	SLO      string // where the provider ends sessions
}

// Expectations are what an answer has to agree with.
type Expectations struct {
	Party
	Issuer       string              // the provider's entity id
	Certificates []*x509.Certificate // whose signatures are believed; none: nobody's
	Request      string              // the id of the request that is answered
	Now          time.Time
}

// Assertion is what a provider says of a person. All of it was signed.
type Assertion struct {
	ID           string
	Name, Format string // the NameID
	Qualifier    string // of the NameID: the provider's
	OurQualifier string // and ours
	SessionIndex string
	Attributes   map[string][]string // the values by the attribute's Name
	Until        time.Time           // when nobody believes it any more: how long its id has to be remembered
}

// Refusal is the error of everything that is not believed. Its text is for whoever set the connection up, and for the log:
// who is refused is not told.
type Refusal struct {
	Reason Cause
	Text   string
}

// Error is the text.
func (r *Refusal) Error() string { return r.Text }

func refuse(reason Cause, format string, args ...any) error {
	return &Refusal{Reason: reason, Text: fmt.Sprintf(format, args...)}
}

// Cause is why something is not believed.
type Cause string

// The reasons. Each has one cause.
const (
	// Of the document.
	TooLarge       Cause = "too_large"
	NotBase64      Cause = "not_base64"
	NotXML         Cause = "not_xml"
	DTD            Cause = "dtd"
	Comment        Cause = "comment"
	Instruction    Cause = "instruction"
	CDATA          Cause = "cdata"
	OddName        Cause = "odd_name"
	OddNamespace   Cause = "odd_namespace"
	TwiceAttribute Cause = "attribute_twice"
	TooManyParts   Cause = "too_many_parts"

	// Of its shape.
	NotResponse      Cause = "not_response"
	NotLogout        Cause = "not_logout_request"
	BadID            Cause = "bad_id"
	TwiceID          Cause = "id_twice"
	Misplaced        Cause = "misplaced"
	Unexpected       Cause = "unexpected_element"
	Missing          Cause = "missing_element"
	NoAssertion      Cause = "no_assertion"
	ManyAssertions   Cause = "several_assertions"
	Encrypted        Cause = "encrypted"
	BadVersion       Cause = "version"
	Unsigned         Cause = "unsigned"
	ManySignatures   Cause = "several_signatures"
	BadReference     Cause = "reference"
	BadTransform     Cause = "transform"
	BadCanonicalizer Cause = "canonicalization"
	BadMethod        Cause = "signature_method"
	BadDigest        Cause = "digest_method"

	// Of its signatures.
	NoCertificate   Cause = "no_certificate"
	OldCertificate  Cause = "certificate_expired"
	BadSignature    Cause = "signature"
	OtherBytes      Cause = "signed_bytes"
	UnreadableValue Cause = "unreadable_value"

	// Of what it says.
	NotSuccess     Cause = "status"
	OtherIssuer    Cause = "issuer"
	OtherAddress   Cause = "destination"
	Unsolicited    Cause = "unsolicited"
	OtherRequest   Cause = "in_response_to"
	OtherAudience  Cause = "audience"
	OddCondition   Cause = "condition"
	TooEarly       Cause = "too_early"
	TooLate        Cause = "too_late"
	Unconfirmed    Cause = "confirmation"
	OtherRecipient Cause = "recipient"
	NoStatement    Cause = "no_authn_statement"
	SessionOver    Cause = "session_over"
	Nameless       Cause = "no_name_id"
	TransientName  Cause = "transient_name_id"
)
