package federation_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/internal/testoidc"
)

// The tests of the OpenID Foundation's suite for relying parties, by their names there, as far as they apply: refresh tokens,
// back-channel logout and logout at the provider are not used, so theirs have nothing to refuse. T-059, T-060
func TestOfTheOpenIDFoundation(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	withProvider(t, func(i *idp) {
		said := func(change func(map[string]any)) func() { return func() { i.Changes = change } }
		without := func(name string) func() { return said(func(c map[string]any) { c[name] = nil }) }
		is := func(name string, value any) func() { return said(func(c map[string]any) { c[name] = value }) }
		by := func(sign func(raw []byte) string) func() { return func() { i.Sign = sign } }
		now := i.Now()
		keys := func(all ...jose.JSONWebKey) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: all})
			}
		}
		key := func(public any, kid, alg string) jose.JSONWebKey {
			return jose.JSONWebKey{Key: public, KeyID: kid, Algorithm: alg, Use: "sig"}
		}
		flipped := func(token string) string {
			at := strings.LastIndex(token, ".") + 10
			c := byte('A')
			if token[at] == c {
				c = 'B'
			}
			return token[:at] + string(c) + token[at+1:]
		}
		info := func(change func(map[string]any)) func() {
			return func() {
				i.About = func(c map[string]any) { c["userinfo_endpoint"] = i.URL + "/userinfo" }
				i.Changes = func(c map[string]any) { c["email"], c["email_verified"] = nil, nil }
				i.Info = change
			}
		}
		for _, c := range []struct {
			name   string
			change func()
			code   string // empty: it is believed
		}{
			{"ClientTest", func() {}, ""},
			{"ClientTestIdTokenSigAlgNone", by(func(raw []byte) string { return unsigned(`{"alg":"none"}`, raw) }), "not_believed"},
			{"ClientTestInvalidAud", is("aud", testoidc.ClientID+"1"), "not_believed"},
			{"ClientTestMissingAud", without("aud"), "not_believed"},
			{"ClientTestInvalidIssuer", is("iss", i.URL+"1"), "not_believed"},
			{"ClientTestMissingIssuer", without("iss"), "not_believed"},
			{"ClientTestMissingIat", without("iat"), "not_believed"},
			{"ClientTestMissingSub", without("sub"), "not_believed"},
			{"ClientTestMissingExp", without("exp"), "not_believed"},
			{"ClientTestExpired", is("exp", now.Add(-10*time.Minute).Unix()), "not_believed"},
			{"ClientTestIatInTheFuture", is("iat", now.Add(time.Hour).Unix()), "not_believed"},
			{"ClientTestNonceInvalid", is("nonce", "wrong"), "not_believed"},
			{"ClientTestNonceMissing", without("nonce"), "not_believed"},
			{"ClientTestInvalidAzp", is("azp", "somebody-else"), "not_believed"},
			{"ClientTestMissingAzpOfSeveralAud", is("aud", []string{testoidc.ClientID, "x"}), "not_believed"},
			{"ClientTestInvalidAtHash", is("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), "not_believed"},
			{"ClientTestInvalidSignatureES256", by(func(raw []byte) string { return flipped(testoidc.Signed(i.Key, i.Kid, raw, nil)) }), "not_believed"},
			{"ClientTestInvalidSignatureRS256", func() {
				i.Keys = keys(key(rsaKey.Public(), "rsa", "RS256"))
				i.Sign = func(raw []byte) string { return flipped(testoidc.Signed(rsaKey, "rsa", raw, nil)) }
			}, "not_believed"},
			{"ClientTestIdTokenSignedUsingRS256", func() {
				i.Keys = keys(key(rsaKey.Public(), "rsa", "RS256"))
				i.Sign = func(raw []byte) string { return testoidc.Signed(rsaKey, "rsa", raw, nil) }
			}, ""},
			{"ClientTestInvalidSignatureHS256", by(func(raw []byte) string {
				return testoidc.Signed([]byte(strings.Repeat(testoidc.ClientSecret, 8)), "", raw, nil)
			}), "not_believed"},
			{"ClientTestSigningKeyOfAnotherAlgorithm", func() {
				i.Keys = keys(key(other.Public(), "one", "ES384"))
				i.Sign = func(raw []byte) string { return testoidc.Signed(other, "one", raw, nil) }
			}, "not_believed"},
			{"ClientTestKidAbsentSingleJwks", by(func(raw []byte) string { return testoidc.Signed(i.Key, "", raw, nil) }), ""},
			{"ClientTestKidAbsentMultipleMatchingKeys", func() {
				i.Keys = keys(key(i.Key.Public(), "first", "ES256"), key(other.Public(), "second", "ES256"))
				i.Sign = func(raw []byte) string { return testoidc.Signed(i.Key, "", raw, nil) }
			}, "not_believed"},
			{"ClientTestKidAbsentMultipleJwks", func() { // of which one alone can be it
				i.Keys = keys(key(i.Key.Public(), "first", "ES256"), key(rsaKey.Public(), "second", "RS256"))
				i.Sign = func(raw []byte) string { return testoidc.Signed(i.Key, "", raw, nil) }
			}, ""},
			{"ClientTestKeyForEncryption", func() {
				i.Keys = keys(jose.JSONWebKey{Key: i.Key.Public(), KeyID: i.Kid, Use: "enc"})
			}, "not_believed"},
			{"ClientTestSigningKeyRotationJustBeforeSigning", func() {
				i.Keys = keys(key(other.Public(), "new", "ES256"))
				i.Sign = func(raw []byte) string { return testoidc.Signed(other, "new", raw, nil) }
			}, ""},
			{"ClientTestDiscoveryIssuerMismatch", func() { i.About = func(c map[string]any) { c["issuer"] = i.URL + "/other" } }, "not_believed"},
			{"ClientTestDiscoveryJwksUriKeys", func() { i.Keys = keys() }, "not_believed"},
			{"ClientTestUserinfo", info(nil), ""},
			{"ClientTestInvalidSubInUserinfo", info(func(c map[string]any) { c["sub"] = "sub-1x" }), "not_believed"},
			{"ClientTestMissingSubInUserinfo", info(func(c map[string]any) { c["sub"] = nil }), "not_believed"},
			{"ClientTestUserinfoAddressNotVerified", info(func(c map[string]any) { c["email_verified"] = false }), "foreign_address"},
		} {
			begun := i.begins("zoe@acme.test")
			q := i.Authorizes(i.T, begun.URL)
			i.hall.providers = federation.NewProviders(i.Client(), i.hall.Now) // which knows no keys yet
			i.Set(c.change)
			_, err := i.answers(i.Nobody(), begun, q)
			i.Set(func() { i.Changes, i.Sign, i.About, i.Keys, i.Info = nil, nil, nil, nil, nil })
			if c.code != "" {
				i.Refused(c.name, err, c.code)
			} else if err != nil {
				i.T.Errorf("%s: %v", c.name, err)
			}
		}
	})
}
