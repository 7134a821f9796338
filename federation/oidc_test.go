package federation_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/guildhall/guildhall/internal/outbound"
)

// provider is an identity provider on this machine. A test changes what it says before it says it.
type provider struct {
	*httptest.Server
	now func() time.Time

	mu       sync.Mutex
	key      crypto.Signer
	kid      string
	codes    map[string]url.Values // what was asked when each code was given
	changes  func(claims map[string]any)
	sign     func(claims []byte) string         // instead of the key
	about    func(configuration map[string]any) // of discovery
	keys     http.HandlerFunc                   // instead of the key set
	keyReads int
	subject  string
	email    string
}

const clientID, clientSecret = "client", "s3cret"

func newProvider(t testing.TB, now func() time.Time) *provider {
	t.Helper()
	p := &provider{now: now, codes: map[string]url.Values{}, subject: "sub-1", email: "zoe@acme.test"}
	p.rotate(t, "first")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.configuration)
	mux.HandleFunc("GET /keys", p.keySet)
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p
}

// rotate gives the provider another key.
func (p *provider) rotate(t testing.TB, kid string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key, p.kid = key, kid
}

func (p *provider) configuration(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"ES256", "RS256", "HS256", "none"}}
	if p.about != nil {
		p.about(c)
	}
	_ = json.NewEncoder(w).Encode(c)
}

func (p *provider) keySet(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keyReads++
	if p.keys != nil {
		p.keys(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: p.kid, Algorithm: algorithmOf(p.key), Use: "sig"}}})
}

func algorithmOf(key crypto.Signer) string {
	if _, ok := key.(*rsa.PrivateKey); ok {
		return "RS256"
	}
	return "ES256"
}

// authorizes is what a person does at the provider: it gives the answer that the browser brings back.
func (p *provider) authorizes(t testing.TB, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("nonce") == "" || q.Get("state") == "" {
		t.Errorf("the browser is sent to %s", address)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	code := base64.RawURLEncoding.EncodeToString([]byte(rand.Text()))
	p.codes[code] = q
	return url.Values{"state": {q.Get("state")}, "code": {code}, "iss": {p.URL}}
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked, ok := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	user, password, _ := r.BasicAuth()
	if user == "" {
		user, password = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	w.Header().Set("Content-Type", "application/json")
	if !ok || base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") || r.FormValue("redirect_uri") != asked.Get("redirect_uri") ||
		user != clientID || password != clientSecret {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "access", "token_type": "Bearer", "id_token": p.idToken(asked.Get("nonce"))})
}

func (p *provider) idToken(nonce string) string {
	now := p.now()
	claims := map[string]any{"iss": p.URL, "sub": p.subject, "aud": clientID, "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "nonce": nonce, "email": p.email,
		"email_verified": true, "name": "Zoe Zimmermann"}
	if p.changes != nil {
		p.changes(claims)
	}
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	raw, _ := json.Marshal(claims)
	if p.sign != nil {
		return p.sign(raw)
	}
	return signed(p.key, p.kid, raw, nil)
}

// signed signs claims, with further headers.
func signed(key any, kid string, raw []byte, headers map[string]any) string {
	options := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{}}
	if kid != "" {
		options.ExtraHeaders["kid"] = kid
	}
	for name, value := range headers {
		options.ExtraHeaders[jose.HeaderKey(name)] = value
	}
	algorithm := jose.ES256
	switch key.(type) {
	case *rsa.PrivateKey:
		algorithm = jose.RS256
	case []byte:
		algorithm = jose.HS256
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		panic(err)
	}
	made, err := signer.Sign(raw)
	if err != nil {
		panic(err)
	}
	text, _ := made.CompactSerialize()
	return text
}

// client reaches this machine, and believes the provider's certificate.
func (p *provider) client() *outbound.Client {
	roots := x509.NewCertPool()
	roots.AddCert(p.Certificate())
	return outbound.New(outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Roots: roots, Timeout: 5 * time.Second})
}

// set changes the provider.
func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}
