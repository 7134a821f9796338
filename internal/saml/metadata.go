package saml

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// MaxMetadata is how many bytes a provider's metadata may have.
	MaxMetadata = 1 << 20
	// MaxCertificates is how many certificates a provider may sign by at a time.
	MaxCertificates = 6
	// longestEntity is how long an entity id may be (SAML Core 2.0, section 8.3.6).
	longestEntity = 1024
)

// Provider is an identity provider, as its metadata has it.
type Provider struct {
	EntityID     string
	SignOnURL    string // where browsers are sent to, by redirect
	LogoutURL    string // of single logout, by redirect; empty: it has none
	AnswerURL    string // where it takes our answers to its own logouts; empty: at LogoutURL
	WantsSigned  bool   // it takes only requests that are signed
	Certificates []*x509.Certificate
}

// ParseMetadata reads what a provider says of itself. Addresses have to be https. T-080
func ParseMetadata(raw []byte) (Provider, error) {
	if len(raw) > MaxMetadata {
		return Provider{}, fmt.Errorf("the metadata has more than %d bytes", MaxMetadata)
	}
	root, err := parseLoosely(bytes.TrimPrefix(bytes.TrimSpace(raw), []byte("\xef\xbb\xbf")))
	if err != nil {
		return Provider{}, err
	}
	entity, role, err := describedIn(root)
	if err != nil {
		return Provider{}, err
	}
	p := Provider{EntityID: entity.attr("entityID")}
	if p.SignOnURL, err = address(role, "SingleSignOnService"); err != nil {
		return p, err
	}
	if p.SignOnURL == "" {
		return p, errors.New("the metadata has no SingleSignOnService with the HTTP-Redirect binding")
	}
	if p.LogoutURL, err = address(role, "SingleLogoutService"); err != nil {
		return p, err
	}
	if p.AnswerURL, err = answerAddress(role); err != nil {
		return p, err
	}
	p.WantsSigned = slices.Contains([]string{"true", "1"}, role.attr("WantAuthnRequestsSigned"))
	if p.Certificates, err = signing(role); err != nil {
		return p, err
	}
	return p, p.Check()
}

// describedIn finds the one identity provider of a document.
func describedIn(root *node) (entity, role *node, err error) {
	found := 0
	_ = root.walk(func(n *node) error {
		if n.is(metadataSpace, "IDPSSODescriptor") && n.parent != nil && n.parent.is(metadataSpace, "EntityDescriptor") &&
			slices.Contains(strings.Fields(n.attr("protocolSupportEnumeration")), protocolSpace) {
			entity, role = n.parent, n
			found++
		}
		return nil
	})
	if found != 1 {
		return nil, nil, fmt.Errorf("the metadata describes %d identity providers of SAML 2.0 instead of one", found)
	}
	return entity, role, nil
}

func address(role *node, service string) (string, error) {
	for _, s := range role.all(metadataSpace, service) {
		if s.attr("Binding") != redirectBinding {
			continue
		}
		at := s.attr("Location")
		if !Secure(at) {
			return "", fmt.Errorf("the metadata's %s is at %.200q, which is no https address", service, at)
		}
		return at, nil
	}
	return "", nil
}

// answerAddress is where a provider takes answers to its logouts, if that is elsewhere.
func answerAddress(role *node) (string, error) {
	for _, s := range role.all(metadataSpace, "SingleLogoutService") {
		at := s.attr("ResponseLocation")
		if s.attr("Binding") != redirectBinding || at == "" {
			continue
		}
		if !Secure(at) {
			return "", fmt.Errorf("the metadata's SingleLogoutService answers at %.200q, which is no https address", at)
		}
		return at, nil
	}
	return "", nil
}

// Secure reports whether an address is one of https, and nothing else.
func Secure(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.Fragment == "" && len(address) <= longestEntity
}

// signing are the certificates that the provider signs by.
func signing(role *node) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for _, key := range role.all(metadataSpace, "KeyDescriptor") {
		if use := key.attr("use"); use != "" && use != "signing" {
			continue
		}
		err := key.walk(func(n *node) error {
			if !n.is(signatureSpace, "X509Certificate") {
				return nil
			}
			more, err := ParseCertificates(n.text)
			found = append(found, more...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return distinct(found), nil
}

func distinct(all []*x509.Certificate) (once []*x509.Certificate) {
	for _, c := range all {
		if !slices.ContainsFunc(once, c.Equal) {
			once = append(once, c)
		}
	}
	return once
}

// Check refuses a provider that nobody could sign in at, or that anybody could speak for.
func (p Provider) Check() error {
	switch {
	case p.EntityID == "" || len(p.EntityID) > longestEntity || strings.TrimSpace(p.EntityID) != p.EntityID:
		return errors.New("the provider has no entity id")
	case !Secure(p.SignOnURL):
		return errors.New("the address to sign in at has to be an https address")
	case p.LogoutURL != "" && !Secure(p.LogoutURL):
		return errors.New("the address to sign out at has to be an https address")
	case len(p.Certificates) == 0:
		return errors.New("the provider has no certificate that it signs by")
	case len(p.Certificates) > MaxCertificates:
		return fmt.Errorf("the provider has more than %d certificates that it signs by", MaxCertificates)
	}
	return nil
}

// ParseCertificates reads certificates, in PEM or as the base64 that stands in metadata. Keys too weak to be believed are
// refused.
func ParseCertificates(text string) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	rest := []byte(strings.TrimSpace(text))
	if !bytes.Contains(rest, []byte("-----BEGIN")) {
		raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return nil, errors.New("a certificate is neither PEM nor base64")
		}
		rest = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	}
	for len(bytes.TrimSpace(rest)) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("a certificate is not PEM of the type CERTIFICATE")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("a certificate cannot be read: " + err.Error())
		}
		if err := strong(c); err != nil {
			return nil, err
		}
		found = append(found, c)
	}
	return distinct(found), nil
}

func strong(c *x509.Certificate) error {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return fmt.Errorf("a certificate's RSA key has %d bits, and at least 2048 are needed", key.N.BitLen())
		}
		return nil
	case *ecdsa.PublicKey:
		if key.Curve.Params().BitSize >= 256 {
			return nil
		}
	}
	return errors.New("a certificate's key is neither RSA nor ECDSA of 256 bits or more")
}

// FormatCertificates is certificates in PEM, as ParseCertificates reads them.
func FormatCertificates(all []*x509.Certificate) string {
	var text strings.Builder
	for _, c := range all {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return text.String()
}

// Latest is when the last of the certificates ends: nobody signs in after that. It is zero without any.
func Latest(all []*x509.Certificate) (end time.Time) {
	for _, c := range all {
		if c.NotAfter.After(end) {
			end = c.NotAfter
		}
	}
	return end
}
