package signin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// handOffLife is how long the product has to exchange a code.
const handOffLife = time.Minute

// handOffMethod is the method of a session that a product was handed.
const handOffMethod = "handoff"

// HandOffInput says where a signed-in person goes on to.
type HandOffInput struct {
	ReturnTo string `json:"return_to" doc:"The product's address, as the configuration lists it under return_to, letter by letter" example:"https://app.acme.test/signed-in" minLength:"1" maxLength:"1024"`
	State    string `json:"state" doc:"What the product sent along to know its own browser by; it comes back unchanged" example:"3q2-7wAAAAB" minLength:"1" maxLength:"256"`
}

// Validate refuses a state that would not come back as it was sent.
func (in HandOffInput) Validate() []op.FieldError { return checkState(in.State) }

func checkState(state string) []op.FieldError {
	if !plainASCII(state) {
		return []op.FieldError{{Pointer: "/state", Code: "invalid", Detail: "state has to be visible ASCII without spaces"}}
	}
	return nil
}

// HandedOff is where the browser goes now.
type HandedOff struct {
	RedirectTo  string    `json:"redirect_to,omitempty" doc:"return_to with code and state in its query. The code is good once"`
	SecretShown bool      `json:"secret_shown" doc:"Whether redirect_to is here. A repeat of the same request does not show it again: hand off again"`
	ExpiresAt   time.Time `json:"expires_at" doc:"When the code ends: after a minute"`
}

// WithoutSecret is what a repeat of the request is answered.
func (h HandedOff) WithoutSecret() any {
	h.RedirectTo, h.SecretShown = "", false
	return h
}

// HandOff gives a signed-in person a code to bring to the product, whose back end exchanges it for who they are.
var HandOff = &op.Op[HandOffInput, HandedOff]{
	Name:    "sessions.handoff",
	Route:   "POST /v1/sessions/handoff",
	Summary: "Go on to the product, signed in: its back end exchanges the code that you bring",
	Kind:    op.Write,
	Scope:   op.Self,
	Allow:   op.SignedIn,
	Limit:   op.RateLimit{Times: 120, Per: time.Hour},
	Target:  handOffTarget,
	Do:      handOff,
	Example: HandOffInput{ReturnTo: "https://app.acme.test/signed-in", State: "3q2-7wAAAAB"},
}

// handOffTarget is the session that hands off.
func handOffTarget(ctx context.Context, r *op.Reader, in HandOffInput) (op.Target, error) {
	var method string
	err := r.QueryRow(ctx, "SELECT method FROM sessions WHERE id = $1 AND user_id = $2", r.Actor.Credential.ID, r.Actor.User).Scan(&method)
	if errors.Is(err, sql.ErrNoRows) {
		return op.Target{}, op.ErrNotFound
	}
	return op.Target{Type: "session", ID: r.Actor.Credential.ID, Name: credential.Device(r.Caller.Agent), User: r.Actor.User, Value: method}, err
}

func handOff(ctx context.Context, tx *op.Tx, in HandOffInput) (HandedOff, error) {
	if !Listed(tx.Settings, in.ReturnTo) {
		return HandedOff{}, op.InvalidField("return_to", "not_listed", "return_to is not an address that the configuration of this installation lists")
	}
	if method, _ := tx.Target().Value.(string); method == handOffMethod {
		return HandedOff{}, op.Errorf(op.Denied, "handed_off", "this session was handed to a product itself, and hands nobody on")
	}
	code, until := secret.NewLink(), tx.Now.Add(handOffLife)
	hash := code.Hash()
	_, err := tx.Exec(ctx, `INSERT INTO handoffs (id, code_hash, user_id, session, return_to, state, exchanged, created_at, expires_at, used_at)
		VALUES ($1, $2, $3, $4, $5, $6, '', $7, $8, 0)`,
		tx.NewID("hnd"), hash[:], tx.Actor.User, tx.Target().ID, in.ReturnTo, in.State, tx.Micros(), until.UnixMicro())
	if err != nil {
		return HandedOff{}, err
	}
	tx.Changed("return_to", nil, in.ReturnTo)
	return HandedOff{RedirectTo: withQuery(in.ReturnTo, url.Values{"code": {code.Reveal()}, "state": {in.State}}), SecretShown: true, ExpiresAt: until}, nil
}

// withQuery adds to the query of an address that has no fragment.
func withQuery(address string, query url.Values) string {
	if strings.Contains(address, "?") {
		return address + "&" + query.Encode()
	}
	return address + "?" + query.Encode()
}

// ExchangeInput is what a person brought back to the product.
type ExchangeInput struct {
	Code     string `json:"code" doc:"The code from the query of return_to" minLength:"1" maxLength:"64"`
	State    string `json:"state" doc:"The state that the product keeps for this very browser, and not what came with the code" minLength:"1" maxLength:"256"`
	ReturnTo string `json:"return_to,omitzero" doc:"The address that the person came back to; said, it has to be the one that they were sent with" example:"https://app.acme.test/signed-in" maxLength:"1024"`
}

// Exchanged is who came back, and a session of theirs for the product to keep.
type Exchanged struct {
	User          directory.User        `json:"user" doc:"Who signed in"`
	Organizations []directory.Belonging `json:"organizations" doc:"The organizations that the person belongs to, by name"`
	Session       string                `json:"session" doc:"The session's id" example:"ses_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	ExpiresAt     time.Time             `json:"expires_at" doc:"When the session ends unless it is used before"`
	Secret        string                `json:"secret,omitempty" doc:"The session's token, to be kept by the back end and sent as a credential in checks. Only its hash is kept here"`
	SecretShown   bool                  `json:"secret_shown" doc:"Whether secret is here. A repeat of the same request does not show it again: hand off again"`
}

// WithoutSecret is what a repeat of the request is answered.
func (e Exchanged) WithoutSecret() any {
	e.Secret, e.SecretShown = "", false
	return e
}

// Exchange turns the code of a hand-off into the person and a new session of theirs. A code that comes a second time was
// seen by somebody else: it ends the session that the first one began.
var Exchange = &op.Op[ExchangeInput, Exchanged]{
	Name:    "sessions.exchange",
	Route:   "POST /v1/sessions/exchange",
	Summary: "Turn the code that a person brought into who they are, and a session of theirs",
	Kind:    op.Write,
	Scope:   op.Instance,
	Allow:   op.ByService,
	Target:  exchangeTarget,
	Do:      exchange,
	Example: ExchangeInput{Code: "4T9cQ0Zb7Kp2Vx8Lr5Ns1WyHd3F", State: "3q2-7wAAAAB"},
}

// handedOff is a hand-off as it is stored, and whose it is.
type handedOff struct {
	id, returnTo, state, exchanged string
	expires, used                  int64
	over                           bool // the session that it came from has ended
	user                           directory.User
	way                            int64
	by                             credential.SignIn // how the session began that it came from
}

// exchangeTarget finds the hand-off of a code. What becomes of it is written to its person's own stream.
func exchangeTarget(ctx context.Context, r *op.Reader, in ExchangeInput) (op.Target, error) {
	if !secret.ValidLink(in.Code) {
		return op.Target{}, op.ErrNotFound
	}
	var h handedOff
	var created int64
	u, hash := &h.user, secret.HashOf(in.Code)
	err := r.QueryRow(ctx, `SELECT h.id, h.return_to, h.state, h.exchanged, h.expires_at, h.used_at,
			s.ended_at <> 0 OR s.expires_at <= $2 OR u.deleted_at <> 0, s.way, s.second_factor, s.organization, s.connection,
			u.id, COALESCE(u.external_id, ''), u.email, u.name, u.time_zone, u.version, u.created_at
		FROM handoffs h JOIN users u ON u.id = h.user_id JOIN sessions s ON s.id = h.session
		WHERE h.code_hash = $1`, hash[:], r.Micros()).
		Scan(&h.id, &h.returnTo, &h.state, &h.exchanged, &h.expires, &h.used, &h.over, &h.way, &h.by.Second, &h.by.Organization, &h.by.Connection,
			&u.ID, &u.ExternalID, &u.Email, &u.Name, &u.TimeZone, &u.Version, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return op.Target{}, op.ErrNotFound
	}
	u.CreatedAt = time.UnixMicro(created).UTC()
	return op.Target{Type: "user", ID: u.ID, Name: u.Label(), Stream: u.ID, Value: h}, err
}

func exchange(ctx context.Context, tx *op.Tx, in ExchangeInput) (Exchanged, error) {
	h, _ := tx.Target().Value.(handedOff)
	switch {
	case h.used != 0:
		return Exchanged{}, h.again(ctx, tx)
	case h.over || tx.Micros() >= h.expires:
		return Exchanged{}, op.Errorf(op.Gone, "code_expired", "this code has ended: send the person to sign in again")
	case in.State != h.state || in.ReturnTo != "" && in.ReturnTo != h.returnTo:
		return Exchanged{}, h.mistaken(ctx, tx)
	}
	s, err := h.begin(ctx, tx)
	if err != nil {
		return Exchanged{}, err
	}
	if err := h.use(ctx, tx, s.ID); err != nil {
		return Exchanged{}, err
	}
	tx.Also("session", s.ID, s.Device)
	tx.Changed("method", nil, handOffMethod)
	out := Exchanged{User: h.user, Session: s.ID, ExpiresAt: s.ExpiresAt, Secret: s.Secret.Reveal(), SecretShown: true}
	out.Organizations, err = directory.BelongingsOf(ctx, tx.Reader, h.user.ID, h.by.Organization)
	return out, err
}

// begin begins the product's session, which counts for what the one counts that it came from. Among its person's sessions it is shown with the product's host, whatever the back
// end says of itself.
func (h handedOff) begin(ctx context.Context, tx *op.Tx) (credential.Session, error) {
	reader := *tx.Reader
	if u, err := url.Parse(h.returnTo); err == nil {
		reader.Caller.Agent = u.Host
	}
	product := *tx
	product.Reader = &reader
	h.by.Method, h.by.Way = handOffMethod, decide.Way(h.way)
	return credential.BeginSession(ctx, &product, h.user.ID, h.by)
}

// use uses the code up. Its person's stream is locked, so nobody else does at the same time.
func (h handedOff) use(ctx context.Context, tx *op.Tx, session string) error {
	n, err := tx.Exec(ctx, "UPDATE handoffs SET used_at = $2, exchanged = $3 WHERE id = $1 AND used_at = 0", h.id, tx.Micros(), session)
	if err == nil && n != 1 {
		err = fmt.Errorf("hand-off %s was used under its lock", h.id)
	}
	return err
}

// again answers a code's second use: it ends the session that the first one began.
func (h handedOff) again(ctx context.Context, tx *op.Tx) error {
	if h.exchanged != "" {
		tx.Fence(op.Fence{Kind: op.FenceSession, ID: h.exchanged})
		tx.Also("session", h.exchanged, "")
		if err := credential.EndSession(ctx, tx, h.exchanged); err != nil {
			return err
		}
	}
	return op.Keep(op.Errorf(op.Gone, "code_used", "this code was used before: the session that it began has ended; send the person to sign in again"))
}

// mistaken answers a code that another browser, or another product, brings. It is used up.
func (h handedOff) mistaken(ctx context.Context, tx *op.Tx) error {
	if err := h.use(ctx, tx, ""); err != nil {
		return err
	}
	return op.Keep(op.Errorf(op.Gone, "code_mismatch", "this code was given for another state or return_to, and has ended: send the person to sign in again"))
}
