package saml

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const rsaSHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"

// ownLife is how long our certificates count: providers compare them letter by letter and hardly ever look at the end.
const ownLife = 20 * 365 * 24 * time.Hour

// Key is what we sign by, with the certificate that a provider knows it by.
type Key struct {
	private     *rsa.PrivateKey
	Certificate []byte // in DER
}

// NewKey makes a key with a certificate that signs itself. It takes a moment.
func NewKey(name string, now time.Time) (*Key, error) {
	pair := newPair
	if onePair.Load() {
		pair = theOnePair
	}
	private, err := pair()
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(ownLife), KeyUsage: x509.KeyUsageDigitalSignature}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	return &Key{private: private, Certificate: raw}, err
}

func newPair() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }

var (
	onePair    atomic.Bool
	theOnePair = sync.OnceValues(newPair)
)

// OnePair has all keys that this process makes from now on share one pair, with a certificate each: for tests, which make
// many and look at none.
func OnePair() { onePair.Store(true) }

// ParseKey reads a key as Private gives it.
func ParseKey(private, certificate []byte) (*Key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the key is not RSA")
	}
	return &Key{private: key, Certificate: certificate}, nil
}

// Private is the key without its certificate, for keeping it sealed.
func (k *Key) Private() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(k.private) }

// Public is the half of the key that everybody may know.
func (k *Key) Public() crypto.PublicKey { return k.private.Public() }

// redirect is an address with a message in its query, signed by the key; nil: not signed (SAML Bindings 2.0, section 3.4).
func (k *Key) redirect(address, parameter string, document []byte, state string) (string, error) {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return "", err
	}
	_, _ = w.Write(document)
	if err := w.Close(); err != nil {
		return "", err
	}
	query := parameter + "=" + url.QueryEscape(base64.StdEncoding.EncodeToString(packed.Bytes()))
	if state != "" {
		query += "&RelayState=" + url.QueryEscape(state)
	}
	if k != nil {
		query += "&SigAlg=" + url.QueryEscape(rsaSHA256)
		sum := sha256.Sum256([]byte(query))
		signature, err := rsa.SignPKCS1v15(rand.Reader, k.private, crypto.SHA256, sum[:])
		if err != nil {
			return "", err
		}
		query += "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(signature))
	}
	if strings.Contains(address, "?") {
		return address + "&" + query, nil
	}
	return address + "?" + query, nil
}

// escape is a text within a document, in an element or an attribute.
func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text))
	return b.String()
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
