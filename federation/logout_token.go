package federation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// logoutEvent is what a logout token is about.
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
	// logoutLife is how long ago a logout token may have been made: sessions that began since are not meant.
	logoutLife = 10 * time.Minute
)

// logoutToken is what a provider says of a logout.
type logoutToken struct {
	ID      string                    `json:"jti"`
	Subject string                    `json:"sub"`
	Session string                    `json:"sid"`
	Nonce   jsontext.Value            `json:"nonce"`
	Events  map[string]jsontext.Value `json:"events"`
	Issued  any                       `json:"iat"`
}

// verifyLogout believes a logout token, or says why not (OpenID Connect Back-Channel Logout 1.0, section 2.6).
func (p *Providers) verifyLogout(ctx context.Context, who party, raw string) (said logoutToken, err error) {
	ctx, found, err := p.discover(ctx, who.issuer)
	if err != nil {
		return said, err
	}
	var about struct {
		Keys string `json:"jwks_uri"`
	}
	if err := found.Claims(&about); err != nil {
		return said, err
	}
	verifier := oidc.NewVerifier(who.issuer, p.keysAt(about.Keys), &oidc.Config{ClientID: who.clientID, SupportedSigningAlgs: algorithms, Now: p.now})
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		return said, fmt.Errorf("the logout token: %w", err)
	}
	if err := token.Claims(&said); err != nil {
		return said, fmt.Errorf("the logout token: %w", err)
	}
	return said, said.sound(token.IssuedAt, p.now())
}

// sound checks what makes a logout token one, so that no other token is taken for it.
func (t logoutToken) sound(issued, now time.Time) error {
	event, there := t.Events[logoutEvent]
	switch {
	case !there || event.Kind() != '{':
		return errors.New("the logout token is not about a logout")
	case len(t.Nonce) > 0:
		return errors.New("the logout token has a nonce, as only ID tokens have")
	case t.Subject == "" && t.Session == "":
		return errors.New("the logout token names neither a person nor a session")
	case t.ID == "" || len(t.ID) > longestSubject || len(t.Subject) > longestSubject || len(t.Session) > longestSubject:
		return errors.New("the logout token has no jti, or one of its names is too long")
	case t.Issued == nil || issued.After(now.Add(skew)) || issued.Before(now.Add(-logoutLife)):
		return errors.New("the logout token is from another time")
	}
	return nil
}
