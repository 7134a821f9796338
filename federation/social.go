package federation

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// Google and GitHub are the providers that anybody may sign in with, where the installation has a client there.
const (
	Google = "google"
	GitHub = "github"
)

// googleIssuer is how Google calls itself.
const googleIssuer = "https://accounts.google.com"

// socialNames are what people call the providers.
var socialNames = map[string]string{Google: "Google", GitHub: "GitHub"}

// Social are the installation's own clients at the providers that anybody may sign in with.
type Social struct {
	Google, GitHub SocialClient
}

// SocialClient is a client at one of them.
type SocialClient struct {
	ID     string // empty: nobody signs in there
	Secret secret.Text
	URL    string // Google's issuer, or where GitHub is; empty: the public one
}

// Names are the providers that have a client.
func (s Social) Names() (names []string) {
	for _, name := range []string{Google, GitHub} {
		if s.client(name).ID != "" {
			names = append(names, name)
		}
	}
	return names
}

func (s Social) client(provider string) SocialClient {
	switch provider {
	case Google:
		return s.Google
	case GitHub:
		return s.GitHub
	}
	return SocialClient{}
}

// party is what a provider that anybody may sign in with knows us by. Without a client it is not found.
func (s Social) party(provider, redirect string) (party, error) {
	c := s.client(provider)
	who := party{issuer: s.issuer(provider), clientID: c.ID, secret: c.Secret.Reveal(), redirect: redirect}
	if c.ID == "" {
		return who, op.ErrNotFound
	}
	if provider == GitHub {
		who.github = &gitHub{}
	}
	return who, nil
}

// issuer is how a provider is called in what is stored of people.
func (s Social) issuer(provider string) string {
	if provider == GitHub {
		return cmp.Or(s.GitHub.URL, gitHubURL)
	}
	return cmp.Or(s.Google.URL, googleIssuer)
}

// ListProvidersInput has no fields.
type ListProvidersInput struct{}

// SignInProvider is a provider that anybody may sign in with.
type SignInProvider struct {
	Provider string `json:"provider" doc:"How signin.social_begin knows it" enum:"google,github" example:"google"`
	Name     string `json:"name" doc:"What people call it" example:"Google"`
}

// SignInProviders are those that this installation has a client at.
type SignInProviders struct {
	Data []SignInProvider `json:"data" doc:"The providers"`
}

// ListProviders lists the providers that anybody may sign in with.
var ListProviders = &op.Op[ListProvidersInput, SignInProviders]{
	Name:    "signin.providers",
	Route:   "GET /v1/signin/providers",
	Summary: "List the providers that anybody may sign in with: Google and GitHub, where they are configured",
	Scope:   op.Public,
	Allow:   op.Anyone,
	Do: func(_ context.Context, tx *op.Tx, _ ListProvidersInput) (SignInProviders, error) {
		out := SignInProviders{Data: []SignInProvider{}}
		for _, name := range tx.Settings.SignInWith {
			out.Data = append(out.Data, SignInProvider{Provider: name, Name: socialNames[name]})
		}
		return out, nil
	},
}

// SocialInput names a provider.
type SocialInput struct {
	Provider string `json:"provider" doc:"The provider" enum:"google,github" example:"google"`
}

// target is the provider, where the installation has a client at it.
func (in SocialInput) target(r *op.Reader, stream string) (op.Target, error) {
	if !slices.Contains(r.Settings.SignInWith, in.Provider) {
		return op.Target{}, op.ErrNotFound
	}
	return op.Target{Type: "provider", ID: in.Provider, Name: socialNames[in.Provider], Stream: stream, User: r.Actor.User}, nil
}

// socialAttempt is a way to a provider.
type socialAttempt struct {
	provider, user, returnTo, url string
	state, browser, nonce         secret.Text
	verifier                      string
}

// goes makes the way to a provider, and asks it where that begins.
func (reach Reach) goes(ctx context.Context, a *socialAttempt) error {
	random := func() secret.Text { return secret.Hide(secret.NewLink().Reveal()) }
	a.state, a.browser, a.nonce, a.verifier = random(), random(), random(), oauth2.GenerateVerifier()
	var who party
	err := reach.Read(ctx, func(r *op.Reader) (err error) {
		who, err = reach.Providers.social.party(a.provider, redirectOf(r, a.provider))
		return err
	})
	if err != nil {
		return err
	}
	a.url, err = reach.Providers.authorize(ctx, who, a.state.Reveal(), a.nonce.Reveal(), a.verifier, "")
	if err != nil {
		return &op.Error{Kind: op.Unavailable, Code: "provider_failed", Text: "at the moment " + socialNames[a.provider] + " cannot be asked: " + err.Error(), RetryAfter: time.Minute}
	}
	return nil
}

func (a *socialAttempt) store(ctx context.Context, tx *op.Tx) error {
	state, browser := a.state.Hash(), a.browser.Hash()
	_, err := tx.Exec(ctx, `INSERT INTO social_attempts (id, provider, user_id, state_hash, browser_hash, nonce, verifier, return_to, expires_at, used_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10)`, tx.NewID("sat"), a.provider, a.user, state[:], browser[:], a.nonce.Reveal(),
		tx.Secrets.Seal("social verifier", []byte(a.verifier)), a.returnTo, tx.Now.Add(attemptLife).UnixMicro(), tx.Micros())
	return err
}

// SocialBegun is where to send a browser, and what it has to bring back.
type SocialBegun struct {
	Provider    string    `json:"provider" doc:"The provider" example:"google"`
	Name        string    `json:"name" doc:"What people call it" example:"Google"`
	URL         string    `json:"url" doc:"Where to send the browser. It comes back to /login/callback/google or /login/callback/github"`
	Browser     string    `json:"browser,omitempty" doc:"A secret that the same browser sends with the answer: keep it in a cookie"`
	SecretShown bool      `json:"secret_shown" doc:"Whether browser is here"`
	ExpiresAt   time.Time `json:"expires_at" doc:"Until when it has to come back"`
}

// WithoutSecret is what a repeat of the request is answered.
func (b SocialBegun) WithoutSecret() any { b.Browser, b.SecretShown = "", false; return b }

func (a *socialAttempt) begun(now time.Time) SocialBegun {
	return SocialBegun{Provider: a.provider, Name: socialNames[a.provider], URL: a.url, Browser: a.browser.Reveal(), SecretShown: true, ExpiresAt: now.Add(attemptLife)}
}

// SocialAnswer is what a browser brought back from a provider.
type SocialAnswer struct {
	SocialInput
	State   string `json:"state" doc:"The answer's state" maxLength:"64" example:"000000000000000000000000000"`
	Browser string `json:"browser" doc:"The secret that the way began with, from the same browser" maxLength:"64" example:"000000000000000000000000000"`
	Code    string `json:"code,omitzero" doc:"The answer's code" maxLength:"4096" required:"false"`
	Issuer  string `json:"iss,omitzero" doc:"The answer's issuer (RFC 9207), where it says one" maxLength:"1024" required:"false"`
	Error   string `json:"error,omitzero" doc:"The answer's error instead of a code" maxLength:"200" required:"false"`

	said   claims
	issuer string
	failed error
}

var exampleAnswer = SocialAnswer{SocialInput: SocialInput{Provider: Google}, State: "000000000000000000000000000", Browser: "000000000000000000000000000", Code: "x"}

// socialPending is a way to a provider that is answered.
type socialPending struct {
	id, nonce, returnTo string
	verifier            []byte
}

// pending finds the way of an answer's state, for the provider, browser and person that it was begun for; an empty user is
// somebody who signs in. T-056
func (in SocialAnswer) pending(ctx context.Context, r *op.Reader, user string) (socialPending, error) {
	var a socialPending
	var expires, used int64
	state, browser := secret.HashOf(in.State), secret.HashOf(in.Browser)
	err := r.QueryRow(ctx, `SELECT id, nonce, return_to, verifier, expires_at, used_at FROM social_attempts
		WHERE state_hash = $1 AND browser_hash = $2 AND provider = $3 AND user_id = $4`, state[:], browser[:], in.Provider, user).
		Scan(&a.id, &a.nonce, &a.returnTo, &a.verifier, &expires, &used)
	if err == nil && (used != 0 || r.Micros() >= expires) {
		err = errAttemptOver
	}
	return a, missing(err)
}

// beganBy is the person who began the way of an answer's state, in this browser.
func (in SocialAnswer) beganBy(ctx context.Context, r *op.Reader) (user string, err error) {
	state, browser := secret.HashOf(in.State), secret.HashOf(in.Browser)
	err = r.QueryRow(ctx, "SELECT user_id FROM social_attempts WHERE state_hash = $1 AND browser_hash = $2", state[:], browser[:]).Scan(&user)
	return user, missing(err)
}

// exchanged asks the provider what an answer stands for. A failure is kept for the transaction, which uses the way up.
func (in SocialAnswer) exchanged(ctx context.Context, user string) (SocialAnswer, error) {
	reach, err := reachOf(ctx)
	if err != nil {
		return in, err
	}
	var who party
	a := answer{code: in.Code, issuer: in.Issuer}
	err = reach.Read(ctx, func(r *op.Reader) error {
		p, err := in.pending(ctx, r, user)
		if err != nil {
			return err
		}
		verifier, err := r.Secrets.Open("social verifier", p.verifier)
		if err != nil {
			return err
		}
		a.nonce, a.verifier = p.nonce, string(verifier)
		who, err = reach.Providers.social.party(in.Provider, redirectOf(r, in.Provider))
		return err
	})
	if err != nil {
		return in, err
	}
	in.issuer = who.issuer
	if in.Error != "" || in.Code == "" {
		in.failed = errors.New("it refused, or you did not agree there")
		return in, nil
	}
	in.said, in.failed = reach.Providers.exchange(ctx, who, a)
	return in, nil
}

// use uses a way up, whatever comes of it: of two calls with one answer, one wins.
func (in SocialAnswer) use(ctx context.Context, tx *op.Tx) error {
	n, err := tx.Exec(ctx, "UPDATE social_attempts SET used_at = $2 WHERE id = $1 AND used_at = 0", tx.Target().Value.(socialPending).id, tx.Micros())
	switch {
	case err != nil:
		return err
	case n != 1:
		return errAttemptOver
	case in.failed != nil:
		return op.Keep(op.Errorf(op.Denied, "not_believed", "the answer of %s is not believed: %v", socialNames[in.Provider], in.failed))
	}
	return nil
}
