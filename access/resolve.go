package access

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// errUnknown says that there is no such subject.
var errUnknown = errors.New("unknown subject")

// maxName is how long an id, an external id or a slug may be; nothing longer is looked for.
const maxName = 256

// resolve finds what the subject of a question is in its organization.
func (a *Access) resolve(ctx context.Context, q *check.Request, now time.Time, p *party) error {
	switch q.Subject.Type {
	case check.User:
		p.kind = op.UserActor
		if q.Subject.ID == "" || len(q.Subject.ID) > maxName {
			return errUnknown
		}
		var m member // the product signed them in, and asks of that what it likes
		_, err := a.seat(ctx, organizationOf(q), nameOf(q.Subject.ID), q.Subject.ID, &m, &p.read)
		p.seat = m.seat
		return err
	case check.Credential:
		c, err := sentAs(q.Subject.ID, q.Address)
		if err != nil {
			return err
		}
		var s session
		if err := a.find(ctx, &c, now, &s, p); err != nil {
			return err
		}
		return a.in(ctx, organizationOf(q), &s, p)
	}
	return errUnknown
}

// organizationOf is the organization that a question names, by id or slug; empty where it names none.
func organizationOf(q *check.Request) string {
	if q.Resource.Type == check.Organization {
		return q.Resource.ID
	}
	return q.Resource.Organization
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

// within is a key or token in the organization that the question names, or in its own where it names none. In another
// one it is a stranger.
func (a *Access) within(ctx context.Context, organization string, p *party) error {
	if organization == "" || check.MakeID(organization) == p.organization {
		return nil
	}
	var found slug
	if err := a.slug(ctx, organization, &found, &p.read); err != nil {
		return err
	}
	if found.organization != p.organization {
		p.seat, p.more = seat{}, nil
	}
	return nil
}

// bearer finds a key or token that is alive at this moment, and what else is kept with it. Read becomes true where the
// database is asked, as in session, slug and seat.
func (a *Access) bearer(ctx context.Context, c *presented, now time.Time, b *bearer, read *bool) (*more, error) {
	micros := now.UnixMicro()
	l := a.lease()
	m, ok := a.bearers.get(c.key, b)
	if !ok || !a.alive(l) || b.idled(micros) && !b.expired(micros) { // the session that it hangs on may have been used meanwhile
		*read = true
		var err error
		if m, err = a.readBearer(ctx, c, micros, b); err != nil {
			return nil, err
		}
	}
	if b.expired(micros) || b.idled(micros) {
		return nil, errUnknown
	}
	if a.config.Seen != nil && due(&b.life, micros) && mayTell(a, a.bearers, c.key, &b.life, micros) {
		a.seen(b, c.address, now)
	}
	return m, nil
}

// session finds a session or service key that is alive at this moment, and what else is kept with it.
func (a *Access) session(ctx context.Context, c *presented, now time.Time, s *session, read *bool) (*more, error) {
	micros := now.UnixMicro()
	l := a.lease()
	m, ok := a.sessions.get(c.key, s)
	if !ok || !a.alive(l) || s.idled(micros) && !s.expired(micros) { // an operation may have used it meanwhile
		*read = true
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
func (a *Access) slug(ctx context.Context, named string, s *slug, read *bool) error {
	if len(named) > maxName {
		return nil
	}
	key := nameOf(named)
	if _, ok := a.slugs.get(key, s); ok {
		return nil
	}
	*read = true
	t := a.begin()
	var found string
	err := a.read(ctx, &t, nil, func(r *op.Reader) error {
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
func (a *Access) seat(ctx context.Context, organization string, user name, text string, s *member, read *bool) (*more, error) {
	if len(organization) > maxName {
		organization = ""
	}
	key := seatKeyOf(nameOf(organization), user)
	l := a.lease()
	if m, ok := a.seats.get(key, s); ok && a.alive(l) {
		return m, nil
	}
	*read = true
	if text == "" {
		text = user.String()
	}
	return a.readSeat(ctx, key, organization, text, s)
}
