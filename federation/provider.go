package federation

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/oauth2"

	"github.com/guildhall/guildhall/internal/outbound"
)

// algorithms are how a provider may sign: with keys of which it publishes the other half. A shared secret is none of them,
// and neither is no signature.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

const (
	// reloadKeys is how long a provider's keys are kept at least: a token with an unknown key does not make us ask more often.
	reloadKeys = time.Minute
	// keepKeys is how long they are kept at most: a key that a provider takes back counts no longer than that.
	keepKeys = time.Hour
	// skew is how far a provider's clock may be ahead.
	skew = 5 * time.Minute
	// oldest is how long ago a token may have been made.
	oldest = 24 * time.Hour
	// longestSubject is what OpenID Connect Core 1.0, section 2, allows.
	longestSubject = 255
)

// Providers speaks with identity providers. It remembers their keys, and is safe for concurrent use.
type Providers struct {
	client *outbound.Client
	now    func() time.Time
	social Social // the installation's own clients at Google and GitHub

	mu   sync.Mutex
	keys map[string]*keySet // by the address of the keys
}

// NewProviders makes one that reaches providers by a client which cannot be turned inward.
func NewProviders(client *outbound.Client, now func() time.Time) *Providers {
	return &Providers{client: client, now: now, keys: map[string]*keySet{}}
}

// With gives one that has clients at Google and GitHub, with which anybody may sign in.
func (p *Providers) With(s Social) *Providers { p.social = s; return p }

// party is what a provider knows us by.
type party struct {
	issuer, clientID, secret, redirect string
	social                             string    // the provider that anybody may sign in with that it is; empty: it is the organization's own
	github                             *gitHub   // it is GitHub; nil: it speaks OpenID Connect
	saml                               *samlPeer // of a provider that speaks SAML, and nothing of the secret and the redirect URI
}

// claims are what a provider says of a person, after all was proved.
type claims struct {
	Subject  string `json:"sub"`
	Email    string `json:"email"`
	Verified *bool  `json:"email_verified"`
	Name     string `json:"name"`
	Hosted   string `json:"hd"` // Google: the Workspace's domain

	Party    string `json:"azp"`
	IssuedAt any    `json:"iat"`
	raw      map[string]any

	at           atProvider // to sign out there
	refused      string     // GitHub: why the membership that is asked for is not there
	Organization string     `json:"-"` // GitHub: the number of the account whose member it is
}

// discover reads what a provider says of itself. It has to be the issuer that was asked for.
func (p *Providers) discover(ctx context.Context, issuer string) (context.Context, *oidc.Provider, error) {
	ctx = oidc.ClientContext(ctx, p.client)
	found, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return ctx, nil, fmt.Errorf("the provider's configuration: %w", err)
	}
	if e := found.Endpoint(); !secureURL(e.AuthURL) || !secureURL(e.TokenURL) {
		return ctx, nil, errors.New("the provider's configuration names an address that is not https")
	}
	return ctx, found, nil
}

func secureURL(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
}

func (who party) config(p *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{ClientID: who.clientID, ClientSecret: who.secret, Endpoint: p.Endpoint(), RedirectURL: who.redirect, Scopes: []string{"openid", "email", "profile"}}
}

// authorize is where a browser begins to sign in. PKCE is always asked for, by S256. T-057
func (p *Providers) authorize(ctx context.Context, who party, state, nonce, verifier, hint string) (string, error) {
	who, err := p.filled(who)
	if err != nil {
		return "", err
	}
	if who.github != nil {
		return who.authorizeGitHub(state, verifier, hint), nil
	}
	_, found, err := p.discover(ctx, who.issuer)
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)}
	if hint != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", hint))
	}
	return who.config(found).AuthCodeURL(state, options...), nil
}

// answer is what a browser brought back from a provider.
type answer struct{ code, issuer, nonce, verifier string }

// exchange turns an answer into what the provider says of the person, or says why it cannot be believed.
func (p *Providers) exchange(ctx context.Context, who party, a answer) (claims, error) {
	who, err := p.filled(who)
	if err != nil {
		return claims{}, err
	}
	if who.github != nil {
		return p.exchangeGitHub(ctx, who, a)
	}
	ctx, found, err := p.discover(ctx, who.issuer)
	if err != nil {
		return claims{}, err
	}
	if err := issuedBy(found, who.issuer, a.issuer); err != nil {
		return claims{}, err
	}
	token, err := who.config(found).Exchange(ctx, a.code, oauth2.VerifierOption(a.verifier))
	if err != nil {
		return claims{}, fmt.Errorf("the provider takes the code for no token: %w", short(err))
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return claims{}, errors.New("the provider gave no ID token")
	}
	said, err := p.verify(ctx, found, who, raw, a.nonce, token.AccessToken)
	said.at = atProvider{name: said.Subject, session: said.session(), token: raw, logout: endSession(found)}
	if err != nil || said.Email != "" || found.UserInfoEndpoint() == "" {
		return said, err
	}
	return p.complete(ctx, found.UserInfoEndpoint(), said, token.AccessToken)
}

// session is what the provider calls the person's session there; empty: it does not say.
func (c claims) session() string {
	sid, _ := c.raw["sid"].(string)
	if len(sid) > longestSubject {
		return ""
	}
	return sid
}

// endSession is where a provider signs people out, if it says so (OpenID Connect RP-Initiated Logout 1.0, section 2.1).
func endSession(found *oidc.Provider) string {
	var about struct {
		End string `json:"end_session_endpoint"`
	}
	if err := found.Claims(&about); err != nil || !secureURL(about.End) || len(about.End) > 1024 || strings.Contains(about.End, "#") {
		return ""
	}
	return about.End
}

// complete adds what a provider says of the person elsewhere, where its ID token says no address: it has to be of the same
// person (OpenID Connect Core 1.0, section 5.3.2). What the token says counts before it.
func (p *Providers) complete(ctx context.Context, address string, said claims, access string) (claims, error) {
	raw, err := outbound.Get(ctx, p.client, address, access)
	if err != nil {
		return said, fmt.Errorf("the provider's userinfo: %w", err)
	}
	var more claims
	if err := errors.Join(json.Unmarshal(raw, &more), json.Unmarshal(raw, &more.raw)); err != nil {
		return said, errors.New("the provider's userinfo is no JSON object")
	}
	if more.Subject != said.Subject {
		return said, errors.New("the provider's userinfo is of somebody else than its ID token")
	}
	said.Email, said.Verified, said.Name = more.Email, more.Verified, cmp.Or(said.Name, more.Name)
	for name, value := range more.raw {
		if _, there := said.raw[name]; !there {
			said.raw[name] = value
		}
	}
	return said, nil
}

// short keeps the answer of somebody else out of what is shown and logged, but for its code.
func short(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		return fmt.Errorf("it answers %d %.60q", refused.Response.StatusCode, refused.ErrorCode)
	}
	return err
}

// issuedBy refuses an answer that another provider gave (RFC 9207). Who says that it names itself has to. T-058
func issuedBy(p *oidc.Provider, issuer, said string) error {
	var about struct {
		NamesItself bool `json:"authorization_response_iss_parameter_supported"`
	}
	if err := p.Claims(&about); err != nil {
		return err
	}
	if said != "" && said != issuer || said == "" && about.NamesItself {
		return fmt.Errorf("the answer is of %.200q, and %q was asked", said, issuer)
	}
	return nil
}

// verify believes an ID token, or says why not. T-059
func (p *Providers) verify(ctx context.Context, found *oidc.Provider, who party, raw, nonce, access string) (claims, error) {
	var about struct {
		Keys string `json:"jwks_uri"`
	}
	if err := found.Claims(&about); err != nil {
		return claims{}, err
	}
	verifier := oidc.NewVerifier(who.issuer, p.keysAt(about.Keys), &oidc.Config{ClientID: who.clientID, SupportedSigningAlgs: algorithms, Now: p.now})
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		return claims{}, fmt.Errorf("the ID token: %w", err)
	}
	var c claims
	if err := errors.Join(token.Claims(&c), token.Claims(&c.raw)); err != nil {
		return claims{}, fmt.Errorf("the ID token: %w", err)
	}
	c.Subject = token.Subject
	if nonce == "" || subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1 {
		return claims{}, errors.New("the ID token is not for this sign-in: its nonce is another one")
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(access); err != nil {
			return claims{}, fmt.Errorf("the ID token: %w", err)
		}
	}
	return c, c.sound(token, who.clientID, p.now())
}

// sound checks what the library leaves to us (OpenID Connect Core 1.0, section 3.1.3.7).
func (c claims) sound(token *oidc.IDToken, client string, now time.Time) error {
	switch {
	case c.Subject == "" || len(c.Subject) > longestSubject:
		return errors.New("the ID token names nobody")
	case c.Party != "" && c.Party != client, len(token.Audience) > 1 && c.Party == "":
		return fmt.Errorf("the ID token was issued to %.200q", c.Party)
	case c.IssuedAt == nil || token.IssuedAt.After(now.Add(skew)) || token.IssuedAt.Before(now.Add(-oldest)):
		return errors.New("the ID token is from another time")
	}
	return nil
}

// keysAt are the keys at an address.
func (p *Providers) keysAt(address string) *keySet {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, ok := p.keys[address]
	if !ok {
		k = &keySet{client: p.client, address: address, now: p.now}
		p.keys[address] = k
	}
	return k
}

// keySet are a provider's public keys.
type keySet struct {
	client  *outbound.Client
	address string
	now     func() time.Time

	mu     sync.Mutex
	loaded time.Time
	keys   []jose.JSONWebKey
}

// VerifySignature is oidc.KeySet's. A token says only by which of the provider's keys it is signed: never where keys are, nor
// the key itself.
func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	var allowed []jose.SignatureAlgorithm
	for _, a := range algorithms {
		allowed = append(allowed, jose.SignatureAlgorithm(a))
	}
	signed, err := jose.ParseSigned(jwt, allowed)
	if err != nil || len(signed.Signatures) != 1 {
		return nil, errors.New("it is not signed as it has to be")
	}
	head := signed.Signatures[0].Protected
	for _, name := range []string{"jku", "x5u", "x5c", "crit"} {
		if _, there := head.ExtraHeaders[jose.HeaderKey(name)]; there || head.JSONWebKey != nil {
			return nil, errors.New("it brings a key of its own")
		}
	}
	for _, reload := range []bool{false, true} {
		keys, err := k.load(ctx, reload)
		if err != nil {
			return nil, err
		}
		keys = slices.DeleteFunc(slices.Clone(keys), func(key jose.JSONWebKey) bool { return !mayHaveSigned(key, head) })
		if head.KeyID == "" && len(keys) > 1 {
			return nil, errors.New("it does not say by which of the provider's keys it is signed")
		}
		for _, key := range keys {
			if payload, err := signed.Verify(key); err == nil {
				return payload, nil
			}
		}
	}
	return nil, errors.New("none of the provider's keys has signed it")
}

// mayHaveSigned reports whether a token says that it is signed by a key, or by one of its kind.
func mayHaveSigned(key jose.JSONWebKey, head jose.Header) bool {
	return (head.KeyID == "" || key.KeyID == head.KeyID) && (key.Algorithm == "" || key.Algorithm == head.Algorithm)
}

// load gives the keys; with reload those of now, unless they were read within the last minute. T-060
func (k *keySet) load(ctx context.Context, reload bool) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if age := k.now().Sub(k.loaded); age < reloadKeys || !reload && age < keepKeys {
		return k.keys, nil
	}
	k.loaded, k.keys = k.now(), nil // a failure counts, too
	raw, err := outbound.Get(ctx, k.client, k.address, "")
	if err != nil {
		return nil, fmt.Errorf("the provider's keys: %w", err)
	}
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, errors.New("the provider's keys are no JSON Web Key Set")
	}
	for _, one := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(one) == nil && key.IsPublic() && key.Valid() && slices.Contains([]string{"", "sig"}, strings.ToLower(key.Use)) {
			k.keys = append(k.keys, key) // a shared secret is not public, and so never among them
		}
	}
	return k.keys, nil
}
