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
	SessionIndex string
	Attributes   map[string][]string // the values by the attribute's Name
	Until        time.Time           // when nobody believes it any more: how long its id has to be remembered
}

// Refusal is the error of everything that is not believed. Its text is for whoever set the connection up, and for the log:
// who is refused is not told.
type Refusal struct {
	Reason Reason
	Text   string
}

// Error is the text.
func (r *Refusal) Error() string { return r.Text }

func refuse(reason Reason, format string, args ...any) error {
	return &Refusal{Reason: reason, Text: fmt.Sprintf(format, args...)}
}

// Reason is why something is not believed.
type Reason string

// The reasons. Each has one cause.
const (
	// Of the document.
	TooLarge       Reason = "too_large"
	NotBase64      Reason = "not_base64"
	NotXML         Reason = "not_xml"
	DTD            Reason = "dtd"
	Comment        Reason = "comment"
	Instruction    Reason = "instruction"
	CDATA          Reason = "cdata"
	OddName        Reason = "odd_name"
	OddNamespace   Reason = "odd_namespace"
	TwiceAttribute Reason = "attribute_twice"
	TooManyParts   Reason = "too_many_parts"

	// Of its shape.
	NotResponse      Reason = "not_response"
	BadID            Reason = "bad_id"
	TwiceID          Reason = "id_twice"
	Misplaced        Reason = "misplaced"
	Unexpected       Reason = "unexpected_element"
	Missing          Reason = "missing_element"
	NoAssertion      Reason = "no_assertion"
	ManyAssertions   Reason = "several_assertions"
	Encrypted        Reason = "encrypted"
	BadVersion       Reason = "version"
	Unsigned         Reason = "unsigned"
	ManySignatures   Reason = "several_signatures"
	BadReference     Reason = "reference"
	BadTransform     Reason = "transform"
	BadCanonicalizer Reason = "canonicalization"
	BadMethod        Reason = "signature_method"
	BadDigest        Reason = "digest_method"

	// Of its signatures.
	NoCertificate   Reason = "no_certificate"
	OldCertificate  Reason = "certificate_expired"
	BadSignature    Reason = "signature"
	OtherBytes      Reason = "signed_bytes"
	UnreadableValue Reason = "unreadable_value"

	// Of what it says.
	NotSuccess     Reason = "status"
	OtherIssuer    Reason = "issuer"
	OtherAddress   Reason = "destination"
	Unsolicited    Reason = "unsolicited"
	OtherRequest   Reason = "in_response_to"
	OtherAudience  Reason = "audience"
	OddCondition   Reason = "condition"
	TooEarly       Reason = "too_early"
	TooLate        Reason = "too_late"
	Unconfirmed    Reason = "confirmation"
	OtherRecipient Reason = "recipient"
	NoStatement    Reason = "no_authn_statement"
	SessionOver    Reason = "session_over"
	Nameless       Reason = "no_name_id"
	TransientName  Reason = "transient_name_id"
)
