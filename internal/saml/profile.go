package saml

import (
	"slices"
	"strings"
)

// methods are the signature methods that count, and digests the digest methods: SHA-256 or stronger. SHA-1 does not.
var (
	methods = []string{
		"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
		"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
	}
	digests = []string{"http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#sha384", "http://www.w3.org/2001/04/xmlenc#sha512"}
)

const success = "urn:oasis:names:tc:SAML:2.0:status:Success"

// shape is what the profile found in an answer: the assertion, and the signatures by the element that each stands in.
type shape struct {
	response, assertion                   *node
	responseSignature, assertionSignature *signature
}

// signature is what a Signature element says.
type signature struct {
	prefixes, digest string // the inclusive namespaces of its canonical form, and the digest of the signed bytes
}

// within are the elements that an element may have, whatever their namespace is. Others are refused: what nobody reads can
// only hide something.
var within = map[string][]string{
	"Response":      {"Issuer", "Signature", "Status", "Assertion"},
	"Assertion":     {"Issuer", "Signature", "Subject", "Conditions", "AuthnStatement", "AttributeStatement"},
	"Signature":     {"SignedInfo", "SignatureValue", "KeyInfo"},
	"LogoutRequest": {"Issuer", "Signature", "NameID", "SessionIndex"},
}

// places are the elements that may stand in one place only, under the names of their parents. They count by their name in
// any namespace, so that no other reader finds one where this one sees none. T-069, T-075
var places = map[string][]string{
	"Response": {""}, "Assertion": {"Response"}, "Signature": {"Response", "Assertion", "LogoutRequest"}, "SignedInfo": {"Signature"}, "SignatureValue": {"Signature"},
	"Reference": {"SignedInfo"}, "Subject": {"Assertion"}, "Conditions": {"Assertion"}, "AuthnStatement": {"Assertion"}, "AttributeStatement": {"Assertion"},
	"Status": {"Response"}, "NameID": {"Subject", "AttributeValue", "LogoutRequest"}, "LogoutRequest": {""}, "SessionIndex": {"LogoutRequest"}, "Object": nil, "Manifest": nil, "EncryptedData": nil,
}

// profile looks at the shape of an answer, before any signature is verified. T-069, T-070, T-074, T-075
func profile(root *node) (shape, error) {
	s := shape{response: root}
	if !root.is(protocolSpace, "Response") {
		return s, refuse(NotResponse, "the document is no SAML 2.0 Response")
	}
	if err := status(root); err != nil {
		return s, err
	}
	if err := tidy(root); err != nil {
		return s, err
	}
	found := root.all(assertionSpace, "Assertion")
	switch {
	case len(found) == 0:
		return s, refuse(NoAssertion, "the answer has no Assertion")
	case len(found) > 1:
		return s, refuse(ManyAssertions, "the answer has %d Assertions instead of one", len(found))
	}
	s.assertion = found[0]
	for _, n := range []*node{root, s.assertion} {
		if n.attr("Version") != "2.0" {
			return s, refuse(BadVersion, "the %s is not of SAML 2.0", n.local)
		}
	}
	return s, s.signatures()
}

// status refuses an answer that says itself that nobody was signed in. Often it has no signature, so it comes first.
func status(root *node) error {
	s := root.one(protocolSpace, "Status")
	if s == nil {
		return refuse(Missing, "the answer has no Status")
	}
	code := s.one(protocolSpace, "StatusCode")
	if code == nil || code.attr("Value") == success && len(code.children) == 0 {
		if code == nil {
			return refuse(Missing, "the answer's Status has no StatusCode")
		}
		return nil
	}
	said := lastPart(code.attr("Value"))
	if finer := code.one(protocolSpace, "StatusCode"); finer != nil {
		said += ", " + lastPart(finer.attr("Value"))
	}
	if message, ok := s.one(protocolSpace, "StatusMessage").value(); ok && message != "" {
		said += ": " + message
	}
	return refuse(NotSuccess, "the provider signed nobody in: %.200q", said)
}

func lastPart(name string) string { return name[strings.LastIndex(name, ":")+1:] }

// tidy checks where elements stand, and that ids name one element each.
func tidy(root *node) error {
	ids := map[string]bool{}
	return root.walk(func(n *node) error {
		if n.local == "EncryptedAssertion" || n.local == "EncryptedID" || n.local == "EncryptedAttribute" {
			return refuse(Encrypted, "the answer is encrypted, which is not supported: switch the encryption of assertions off at the provider; it is sent over TLS anyway")
		}
		if err := n.placed(); err != nil {
			return err
		}
		return n.identified(ids)
	})
}

// placed refuses an element that stands where it must not.
func (n *node) placed() error {
	parent, space := "", ""
	if n.parent != nil {
		parent, space = n.parent.local, n.parent.space
	}
	if allowed, bound := places[n.local]; bound && !slices.Contains(allowed, parent) {
		return refuse(Misplaced, "a %s stands within %.40q, where none may be", n.local, parent)
	}
	if allowed, closed := within[parent]; closed && space != "" && !slices.Contains(allowed, n.local) {
		return refuse(Unexpected, "there is a %.40q within the %s, which nothing here reads", n.local, parent)
	}
	if want := spaceOf(n.local, parent); want != "" && n.space != want {
		return refuse(OddNamespace, "the %s is of the namespace %.100q", n.local, n.space)
	}
	return nil
}

// spaceOf is the namespace that an element has to be of, in the places that matter.
func spaceOf(local, parent string) string {
	switch {
	case local == "Response" || local == "Status" || local == "LogoutRequest" || local == "SessionIndex":
		return protocolSpace
	case local == "Signature" || parent == "Signature" || parent == "SignedInfo" || parent == "Reference" || parent == "Transforms":
		return signatureSpace
	case parent == "Response" || parent == "LogoutRequest" || parent == "Assertion" || parent == "Subject" || parent == "Conditions" || parent == "AttributeStatement":
		return assertionSpace
	}
	return ""
}

// identified notes the ids of an element, however they are spelled.
func (n *node) identified(ids map[string]bool) error {
	for _, a := range n.attrs {
		if !strings.EqualFold(a.local, "id") {
			continue
		}
		if !plain(a.value) {
			return refuse(BadID, "the id %.40q is none", a.value)
		}
		if ids[a.value] {
			return refuse(TwiceID, "the id %.40q is there twice", a.value)
		}
		ids[a.value] = true
	}
	if n.local != "Response" && n.local != "Assertion" && n.local != "LogoutRequest" {
		return nil
	}
	own := 0
	for _, a := range n.attrs {
		if strings.EqualFold(a.local, "id") {
			own++
		}
	}
	if own != 1 || n.attr("ID") == "" {
		return refuse(BadID, "the %s has not one ID", n.local)
	}
	return nil
}

// signatures reads those of the answer. At least one has to be there.
func (s *shape) signatures() (err error) {
	if s.responseSignature, err = signatureOf(s.response); err != nil {
		return err
	}
	if s.assertionSignature, err = signatureOf(s.assertion); err != nil {
		return err
	}
	if s.responseSignature == nil && s.assertionSignature == nil {
		return refuse(Unsigned, "neither the Response nor the Assertion is signed")
	}
	return nil
}

// signatureOf reads the signature of an element, or nil if it has none.
func signatureOf(n *node) (*signature, error) {
	found := n.all(signatureSpace, "Signature")
	if len(found) == 0 {
		return nil, nil
	}
	if len(found) > 1 {
		return nil, refuse(ManySignatures, "the %s has %d signatures instead of one", n.local, len(found))
	}
	info, value := found[0].one(signatureSpace, "SignedInfo"), found[0].one(signatureSpace, "SignatureValue")
	if info == nil || value == nil || len(found[0].all(signatureSpace, "KeyInfo")) > 1 {
		return nil, refuse(Missing, "the signature of the %s has not one SignedInfo and one SignatureValue", n.local)
	}
	return signedInfo(n, info)
}

func signedInfo(n, info *node) (*signature, error) {
	canonical, method, ref := info.one(signatureSpace, "CanonicalizationMethod"), info.one(signatureSpace, "SignatureMethod"), info.one(signatureSpace, "Reference")
	switch {
	case ref == nil || len(info.children) != 3:
		return nil, refuse(BadReference, "the signature of the %s has %d references instead of one", n.local, len(info.all(signatureSpace, "Reference")))
	case canonical == nil || canonical.attr("Algorithm") != exclusive || len(canonical.children) > 0:
		return nil, refuse(BadCanonicalizer, "the signature of the %s is not canonical by %s", n.local, exclusive)
	case method == nil || !slices.Contains(methods, method.attr("Algorithm")) || len(method.children) > 0:
		return nil, refuse(BadMethod, "the %s is signed by %.100q: set the provider to RSA or ECDSA with SHA-256", n.local, method.algorithm())
	case ref.attr("URI") != "#"+n.attr("ID"):
		return nil, refuse(BadReference, "the signature of the %s is of %.60q, which is something else", n.local, ref.attr("URI"))
	}
	return reference(n, ref)
}

func (n *node) algorithm() string {
	if n == nil {
		return ""
	}
	return n.attr("Algorithm")
}

// reference reads how the signed bytes are made: without the signature, in exclusive canonical form, and nothing else.
func reference(n, ref *node) (*signature, error) {
	transforms, method, value := ref.one(signatureSpace, "Transforms"), ref.one(signatureSpace, "DigestMethod"), ref.one(signatureSpace, "DigestValue")
	if transforms == nil || value == nil || len(ref.children) != 3 {
		return nil, refuse(BadReference, "the reference of the %s's signature is not one of Transforms, DigestMethod and DigestValue", n.local)
	}
	if method == nil || !slices.Contains(digests, method.attr("Algorithm")) || len(method.children) > 0 {
		return nil, refuse(BadDigest, "the %s is signed over a digest by %.100q: set the provider to SHA-256", n.local, method.algorithm())
	}
	s := &signature{}
	s.digest, _ = value.value()
	steps := transforms.children
	if len(steps) != 2 || steps[0].attr("Algorithm") != enveloped || len(steps[0].children) > 0 || steps[1].attr("Algorithm") != exclusive || len(steps[1].children) > 1 {
		return nil, refuse(BadTransform, "the signature of the %s has other transforms than enveloped-signature and exclusive canonicalization", n.local)
	}
	for _, list := range steps[1].children {
		if !list.is(exclusive, "InclusiveNamespaces") || len(list.children) > 0 {
			return nil, refuse(BadTransform, "the signature of the %s has a transform with %.40q in it", n.local, list.local)
		}
		s.prefixes = list.attr("PrefixList")
	}
	return s, nil
}
