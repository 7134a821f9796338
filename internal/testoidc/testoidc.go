// Package testoidc is an identity provider of OpenID Connect on this machine, for tests. It signs for real, and says what a
// test tells it to say.
package testoidc

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
	"net"
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

// Provider is an identity provider on this machine. A test changes what it says before it says it: see Set.
type Provider struct {
	*httptest.Server
	now func() time.Time

	mu       sync.Mutex
	Key      crypto.Signer
	Kid      string
	codes    map[string]url.Values // what was asked when each code was given
	Changes  func(claims map[string]any)
	Sign     func(claims []byte) string         // instead of the key
	About    func(configuration map[string]any) // of discovery
	Keys     http.HandlerFunc                   // instead of the key set
	Info     func(claims map[string]any)        // of what userinfo says; nil: it is as it is
	KeyReads int
	Subject  string
	Email    string
}

// ClientID and ClientSecret are what every client of the provider is known by.
const ClientID, ClientSecret = "client", "s3cret"

// New starts a provider, which ends with the test.
func New(t testing.TB, now func() time.Time) *Provider {
	t.Helper()
	return start(t, now, httptest.NewUnstartedServer(nil))
}

// On starts one that listens where it is told, and is called by a name: example.com is in its certificate.
func On(t testing.TB, now func() time.Time, l net.Listener, name string) *Provider {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.Listener.Close()
	s.Listener = l
	p := start(t, now, s)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	p.URL = "https://" + name + ":" + port
	return p
}

func start(t testing.TB, now func() time.Time, s *httptest.Server) *Provider {
	t.Helper()
	p := &Provider{now: now, codes: map[string]url.Values{}, Subject: "sub-1", Email: "zoe@acme.test"}
	p.Rotate(t, "first")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.configuration)
	mux.HandleFunc("GET /keys", p.keySet)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /userinfo", p.userinfo)
	p.Server, s.Config.Handler = s, mux
	s.StartTLS()
	t.Cleanup(p.Close)
	return p
}

// Rotate gives the provider another key.
func (p *Provider) Rotate(t testing.TB, kid string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Key, p.Kid = key, kid
}

func (p *Provider) configuration(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"ES256", "RS256", "HS256", "none"}}
	if p.About != nil {
		p.About(c)
	}
	_ = json.NewEncoder(w).Encode(c)
}

func (p *Provider) keySet(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.KeyReads++
	if p.Keys != nil {
		p.Keys(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.Key.Public(), KeyID: p.Kid, Algorithm: algorithmOf(p.Key), Use: "sig"}}})
}

func algorithmOf(key crypto.Signer) string {
	if _, ok := key.(*rsa.PrivateKey); ok {
		return "RS256"
	}
	return "ES256"
}

// Authorizes is what a person does at the provider: it gives the answer that the browser brings back.
func (p *Provider) Authorizes(t testing.TB, address string) url.Values {
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

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
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
		user != ClientID || password != ClientSecret {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "access", "token_type": "Bearer", "id_token": p.idToken(asked.Get("nonce"))})
}

// userinfo says of the person what the ID token may leave out.
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Authorization") != "Bearer access" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	claims := map[string]any{"sub": p.Subject, "email": p.Email, "email_verified": true, "name": "Zoe Zimmermann"}
	if p.Info != nil {
		p.Info(claims)
	}
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	_ = json.NewEncoder(w).Encode(claims)
}

func (p *Provider) idToken(nonce string) string {
	now := p.now()
	claims := map[string]any{"iss": p.URL, "sub": p.Subject, "aud": ClientID, "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "nonce": nonce, "email": p.Email,
		"email_verified": true, "name": "Zoe Zimmermann"}
	if p.Changes != nil {
		p.Changes(claims)
	}
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	raw, _ := json.Marshal(claims)
	if p.Sign != nil {
		return p.Sign(raw)
	}
	return Signed(p.Key, p.Kid, raw, nil)
}

// Signed signs claims, with further headers.
func Signed(key any, kid string, raw []byte, headers map[string]any) string {
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

// Client reaches this machine, and believes the provider's certificate.
func (p *Provider) Client() *outbound.Client {
	roots := x509.NewCertPool()
	roots.AddCert(p.Certificate())
	return outbound.New(outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Roots: roots, Timeout: 5 * time.Second})
}

// Set changes the provider.
func (p *Provider) Set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}
