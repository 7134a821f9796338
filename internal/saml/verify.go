package saml

import (
	"crypto"
	_ "crypto/sha256" // the digests of signatures
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

// Verify believes an answer as a browser posts it, or refuses it with a *Refusal. It reads nothing but what was signed by one
// of the certificates; what is not signed can only make it refuse. Each answer has to be taken once, which is the caller's to
// see to: Assertion.ID and Until are for that.
func Verify(response string, e Expectations) (Assertion, error) {
	raw, err := Decode(response)
	if err != nil {
		return Assertion{}, err
	}
	if len(e.Certificates) == 0 {
		return Assertion{}, refuse(NoCertificate, "no certificate of the provider is known: nothing that it signs can be believed")
	}
	root, err := parse(raw)
	if err != nil {
		return Assertion{}, err
	}
	s, err := profile(root)
	if err != nil {
		return Assertion{}, err
	}
	read, err := e.proved(raw, s)
	if err != nil {
		return Assertion{}, err
	}
	return e.believe(read)
}

// Decode is the document of an answer as a browser posts it.
func Decode(response string) ([]byte, error) {
	if len(response) > base64.StdEncoding.EncodedLen(MaxDocument)*11/10 { // with line ends
		return nil, refuse(TooLarge, "the answer has more than %d bytes", MaxDocument)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.Join(strings.Fields(response), ""))
	if err != nil || len(raw) == 0 {
		return nil, refuse(NotBase64, "the answer is not base64")
	}
	return raw, nil
}

// proved gives the answer as it was signed: read anew, out of the very bytes whose digest the signature has. T-072
func (e Expectations) proved(raw []byte, s shape) (shape, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(raw); err != nil || doc.Root() == nil {
		return s, refuse(NotXML, "the document is no XML")
	}
	read := shape{response: s.response, responseSignature: s.responseSignature, assertionSignature: s.assertionSignature}
	if s.responseSignature != nil {
		signed, err := e.signed(doc.Root(), s.response, s.responseSignature)
		if err != nil {
			return s, err
		}
		read.response, read.assertion = signed, signed.one(assertionSpace, "Assertion")
	}
	if s.assertionSignature != nil {
		var el *etree.Element
		for _, c := range doc.Root().ChildElements() {
			if c.Tag == "Assertion" { // the profile has seen to it that there is one
				el = c
			}
		}
		var err error
		if read.assertion, err = e.signed(el, s.assertion, s.assertionSignature); err != nil {
			return s, err
		}
	}
	if read.assertion == nil {
		return s, refuse(OtherBytes, "the signed bytes have no Assertion")
	}
	return read, nil
}

// signed verifies the signature of one element by each certificate, and reads the element out of the signed bytes. T-073,
// T-074
func (e Expectations) signed(el *etree.Element, n *node, s *signature) (*node, error) {
	alone, err := detached(el)
	if err != nil {
		return nil, err
	}
	live := false
	for _, c := range e.Certificates {
		if e.Now.Before(c.NotBefore) || e.Now.After(c.NotAfter) {
			continue
		}
		live = true
		if found, err := validated(alone, c, e.Now); err == nil {
			return reread(found, n, s)
		}
	}
	if !live {
		return nil, refuse(OldCertificate, "all certificates of the provider that are known are past their end: add its new one")
	}
	return nil, refuse(BadSignature, "the signature of the %s is by none of the certificates that are known, or what was signed has been changed", n.local)
}

// validated is what the library verified.
func validated(el *etree.Element, c *x509.Certificate, now time.Time) (*etree.Element, error) {
	library := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{c}})
	library.Clock = dsig.NewFakeClockAt(now)
	return library.Validate(el)
}

// detached is an element with the namespaces of its surroundings. The key that its signature brings is taken out: only
// configured ones count, and the library would otherwise ask for it.
func detached(el *etree.Element) (*etree.Element, error) {
	around, err := etreeutils.NSBuildParentContext(el)
	if err == nil {
		around, err = around.SubContext(el)
	}
	if err == nil {
		el, err = etreeutils.NSDetatch(around, el)
	}
	if err != nil {
		return nil, refuse(OddNamespace, "the document's namespaces: %v", err)
	}
	for _, c := range el.ChildElements() {
		if c.Tag != "Signature" {
			continue
		}
		method := ""
		for _, part := range c.ChildElements() {
			switch part.Tag {
			case "KeyInfo":
				c.RemoveChild(part)
			case "SignedInfo":
				for _, m := range part.ChildElements() {
					if m.Tag == "SignatureMethod" {
						method = m.SelectAttrValue("Algorithm", "")
					}
				}
			}
		}
		for _, part := range c.ChildElements() {
			if part.Tag == "SignatureValue" {
				part.SetText(signatureValue(part.Text(), method))
			}
		}
	}
	return el, nil
}

// signatureValue is a signature as the library takes it: without line ends, and for ECDSA as ASN.1, where XML has the two
// numbers side by side (RFC 4050, section 3.3).
func signatureValue(text, method string) string {
	text = strings.Join(strings.Fields(text), "")
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || !strings.Contains(method, "#ecdsa-") || len(raw)%2 != 0 {
		return text
	}
	made, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:len(raw)/2]), new(big.Int).SetBytes(raw[len(raw)/2:])})
	if err != nil {
		return text
	}
	return base64.StdEncoding.EncodeToString(made)
}

var hashes = map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}

// reread parses the signed bytes, after it has made sure that they are those: their digest is the signed one, and they are
// the element that the profile looked at.
func reread(found *etree.Element, n *node, s *signature) (*node, error) {
	raw, err := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(s.prefixes).Canonicalize(found)
	if err != nil {
		return nil, refuse(OtherBytes, "the signed bytes: %v", err)
	}
	want, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s.digest), ""))
	hash, known := hashes[len(want)]
	if err != nil || !known {
		return nil, refuse(OtherBytes, "the digest of the %s is none", n.local)
	}
	h := hash.New()
	h.Write(raw)
	if string(h.Sum(nil)) != string(want) {
		return nil, refuse(OtherBytes, "the bytes of the %s are not those whose digest was signed", n.local)
	}
	read, err := parse(raw)
	if err != nil {
		return nil, err
	}
	if read.space != n.space || read.local != n.local || read.attr("ID") != n.attr("ID") {
		return nil, refuse(OtherBytes, "another element than the %s was signed", n.local)
	}
	return read, nil
}
