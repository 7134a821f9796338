package access

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// errUnknown says that there is no such subject.
var errUnknown = errors.New("unknown subject")

// maxName is how long an id, an external id or a slug may be; nothing longer is looked for.
const maxName = 256

// resolve finds what the subject of a question is in its organization.
func (a *Access) resolve(ctx context.Context, q *check.Request, now time.Time, p *party) error {
	organization := q.Resource.Organization
	if q.Resource.Type == check.Organization {
		organization = q.Resource.ID
	}
	switch q.Subject.Type {
	case check.User:
		p.kind = op.UserActor
		if q.Subject.ID == "" || len(q.Subject.ID) > maxName {
			return errUnknown
		}
		return a.seat(ctx, organization, nameOf(q.Subject.ID), q.Subject.ID, &p.seat)
	case check.Credential:
		return a.sender(ctx, q, organization, now, p)
	}
	return errUnknown
}

// sender finds who sent a credential.
func (a *Access) sender(ctx context.Context, q *check.Request, organization string, now time.Time, p *party) error {
	c, err := sentAs(q.Subject.ID, q.Address)
	if err != nil {
		return err
	}
	switch c.kind {
	case credential.KeyKind, credential.TokenKind:
		return a.bearerIn(ctx, c, organization, now, p)
	case credential.SessionKind, credential.ServiceKeyKind:
		var s session
		if _, err := a.session(ctx, c, now, &s); err != nil {
			return err
		}
		if s.service { // is no member anywhere
			return nil
		}
		p.kind, p.credential = op.UserActor, s.id
		return a.seat(ctx, organization, s.user, "", &p.seat)
	}
	return errUnknown
}

// presented is a credential as a request carried it.
type presented struct {
	text    string
	kind    string
	hash    secret.Hash
	key     hashKey
	address string // where the request came from
}

// maxCredential is how long a credential can be; nothing longer is hashed.
const maxCredential = 128

// sentAs reads a credential's kind and hash. Its form is looked at before it is looked for in the database: one whose
// hash is remembered has the form that it was made with.
func sentAs(text, address string) (presented, error) {
	_, rest, _ := strings.Cut(text, "_")
	kind, _, found := strings.Cut(rest, "_")
	if !found || len(text) > maxCredential {
		return presented{}, errUnknown
	}
	c := presented{text: text, kind: kind, hash: secret.HashOf(text), address: address}
	c.key = hashKeyOf(c.hash)
	return c, nil
}

// unknown reports whether a credential that is not remembered as living need not be looked for: it is malformed, or known
// to be dead.
func (a *Access) unknown(c *presented) bool {
	if _, err := secret.ParseHash(c.text); err != nil {
		return true
	}
	_, gone := a.dead.get(c.key, &dead{})
	return gone
}

// bearerIn finds a key or token in the organization that the question names, or in its own where it names none. In
// another one it is a stranger.
func (a *Access) bearerIn(ctx context.Context, c presented, organization string, now time.Time, p *party) (err error) {
	if p.more, err = a.bearer(ctx, c, now, &p.bearer); err != nil {
		return err
	}
	p.kind = op.KeyActor
	if p.token {
		p.kind = op.TokenActor
	}
	if organization == "" || check.MakeID(organization) == p.organization {
		return nil
	}
	var s slug
	if err := a.slug(ctx, organization, &s); err != nil {
		return err
	}
	if s.organization != p.organization {
		p.seat, p.more = seat{}, nil
	}
	return nil
}

// bearer finds a key or token that is alive at this moment, and what else is kept with it.
func (a *Access) bearer(ctx context.Context, c presented, now time.Time, b *bearer) (*more, error) {
	micros := now.UnixMicro()
	m, ok := a.bearers.get(c.key, b)
	if !ok || b.idled(micros) && !b.expired(micros) { // the session that it hangs on may have been used meanwhile
		var err error
		if m, err = a.readBearer(ctx, c, micros, b); err != nil {
			return nil, err
		}
	}
	if b.expired(micros) || b.idled(micros) {
		return nil, errUnknown
	}
	if a.config.Seen != nil && due(&b.life, micros) && tell(a, a.bearers, c.key, &b.life, micros) {
		a.seen(b, c.address, now)
	}
	return m, nil
}

// session finds a session or service key that is alive at this moment, and what else is kept with it.
func (a *Access) session(ctx context.Context, c presented, now time.Time, s *session) (*more, error) {
	micros := now.UnixMicro()
	m, ok := a.sessions.get(c.key, s)
	if !ok || s.idled(micros) && !s.expired(micros) { // an operation may have used it meanwhile
		var err error
		if m, err = a.readSession(ctx, c, micros, s); err != nil {
			return nil, err
		}
	}
	if s.expired(micros) || s.idled(micros) {
		return nil, errUnknown
	}
	a.useSession(c, s, now)
	return m, nil
}

// slug finds whose a slug, or an id, is. One that is nobody's has no organization.
func (a *Access) slug(ctx context.Context, named string, s *slug) error {
	if len(named) > maxName {
		return nil
	}
	key := nameOf(named)
	if _, ok := a.slugs.get(key, s); ok {
		return nil
	}
	t := a.begin()
	var found string
	err := a.read(ctx, func(r *op.Reader) error {
		return r.QueryRow(ctx, "SELECT organization FROM slugs WHERE slug = $1", named).Scan(&found)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	a.hooks.afterRead()
	s.organization = check.MakeID(found)
	keepForGood(a, a.slugs, key, s, t)
	return nil
}

// seat finds what a user is in an organization, which is named by its id or by a slug. In one that does not exist
// everybody is a stranger. The user is named by our id or the product's; the text may be left out where the name is an
// id.
func (a *Access) seat(ctx context.Context, organization string, user name, text string, s *seat) error {
	if len(organization) > maxName {
		organization = ""
	}
	key := seatKeyOf(nameOf(organization), user)
	if _, ok := a.seats.get(key, s); ok {
		return nil
	}
	if text == "" {
		text = user.String()
	}
	return a.readSeat(ctx, key, organization, text, s)
}

// Identity is who stands behind a living credential.
type Identity struct {
	Kind         op.ActorKind // UserActor, KeyActor, TokenActor or ServiceActor
	ID           string       // of the session, key, token or service key
	User         string       // the user of a session, or on whose behalf a key or token acts
	Organization string       // of a key or token
	Credential   op.Credential
}

// Authenticate finds who stands behind a credential. For one that is malformed, unknown, ended or expired, or whose
// creator has no access now, it returns op.ErrUnauthenticated. A key or token may be limited to networks: ask Check.
func (a *Access) Authenticate(ctx context.Context, text string) (Identity, error) {
	found, err := a.authenticate(ctx, text, a.config.Now())
	if err == errUnknown {
		return Identity{}, op.ErrUnauthenticated
	}
	return found, err
}

func (a *Access) authenticate(ctx context.Context, text string, now time.Time) (Identity, error) {
	c, err := sentAs(text, "")
	if err != nil {
		return Identity{}, err
	}
	if c.kind == credential.KeyKind || c.kind == credential.TokenKind {
		return a.authenticateBearer(ctx, c, now)
	}
	if c.kind != credential.SessionKind && c.kind != credential.ServiceKeyKind {
		return Identity{}, errUnknown
	}
	var s session
	m, err := a.session(ctx, c, now, &s)
	if err != nil {
		return Identity{}, err
	}
	if m != nil {
		return m.identity, nil
	}
	id := s.id.String()
	return Identity{Kind: op.UserActor, ID: id, User: s.user.String(), Credential: op.Credential{ID: id, ExpiresAt: s.expires}}, nil
}

func (a *Access) authenticateBearer(ctx context.Context, c presented, now time.Time) (Identity, error) {
	var b bearer
	m, err := a.bearer(ctx, c, now, &b)
	if err != nil {
		return Identity{}, err
	}
	p := decide.Principal{Standing: b.standing, EndsAt: b.endsAt}
	if _, ok := p.Access(now.UnixMicro()); !ok || b.closed {
		return Identity{}, errUnknown
	}
	i := Identity{Kind: op.KeyActor, ID: b.credential.String(), User: b.user.String(), Organization: b.organization.String()}
	if b.token {
		i.Kind = op.TokenActor
	}
	i.Credential = op.Credential{ID: i.ID, ExpiresAt: b.expires}
	if m != nil {
		i.Credential.Budgets = m.budgets
	}
	return i, nil
}
