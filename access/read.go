package access

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/replica"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// begin takes a ticket for a reading.
func (a *Access) begin() ticket {
	l := a.lease()
	t := a.fences.ticket()
	t.lease = l
	a.hooks.afterTicket()
	return t
}

// lease is that of this server among others. It is taken before an entry, and asked after (see replica.Lease).
func (a *Access) lease() *replica.Lease {
	if a.config.Peers == nil {
		return nil
	}
	return a.config.Peers.Lease()
}

// alive reports whether what was found in memory may be answered, by the lease that was taken before.
func (a *Access) alive(l *replica.Lease) bool { return a.config.Peers == nil || l.Live() }

// read runs fn on what is committed now. An error is errNoDatabase, or that there is no such thing. Afterwards about, if it
// is not nil, gives the principals that the result dies with, and the ticket says whether it may be remembered.
func (a *Access) read(ctx context.Context, t *ticket, about func() []op.Fence, fn func(r *op.Reader) error) error {
	s := a.service.Load()
	if s == nil {
		return errNotReady
	}
	a.readings.Add(1)
	var err error
	if peers := a.config.Peers; peers == nil || peers.Strict() {
		err = s.Snapshot(ctx, fn)
	} else {
		err = a.readAmongPeers(ctx, s, t, about, fn)
	}
	if isAnswer(err) {
		if err == nil && about != nil {
			t.about = about()
		}
		return err
	}
	return a.unavailable(ctx, err)
}

// isAnswer reports whether a reading says something of what is there.
func isAnswer(err error) bool {
	return err == nil || errors.Is(err, sql.ErrNoRows) || errors.Is(err, op.ErrNotFound) || errors.Is(err, op.ErrUnauthenticated)
}

// readAmongPeers reads where other servers may change what is read. Whose locks a result has to be read under is known only
// when it was read: so it is read, shares the locks, and is read again by statements that come after (I4 of package
// replica). Without a lease on the database's own history no answer counts (I11).
func (a *Access) readAmongPeers(ctx context.Context, s *op.Service, t *ticket, about func() []op.Fence, fn func(r *op.Reader) error) error {
	l, err := a.config.Peers.Hold(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.config.Peers.Patience()) // a database that is silent for longer gives no answer that counts
	defer cancel()
	t.lease = l
	return s.Committed(ctx, func(r *op.Reader) error {
		err := fn(r)
		if !isAnswer(err) {
			return err
		}
		var first []op.Fence
		if err == nil && about != nil {
			first = about()
		}
		shared, timeline, failed := r.Share(ctx, first)
		if failed != nil {
			return failed
		}
		if shared {
			err = fn(r)
			t.shared = err == nil && slices.Equal(first, about())
		}
		if isAnswer(err) && !l.Covers(timeline) {
			return replica.ErrNoLease
		}
		return err
	})
}

// readSeat reads what a user is in an organization, and remembers it.
func (a *Access) readSeat(ctx context.Context, key seatKey, named, user string, s *member) (*more, error) {
	organization, known, err := a.organization(ctx, named)
	if err != nil {
		return nil, err
	}
	t := a.begin()
	var found directory.Seat
	about := func() []op.Fence {
		return []op.Fence{{Kind: op.FenceUser, ID: found.User}, {Kind: op.FenceOrganization, ID: organization}}
	}
	err = a.read(ctx, &t, about, func(r *op.Reader) (err error) {
		found, err = directory.SeatOf(ctx, r, organization, user)
		return err
	})
	if errors.Is(err, op.ErrNotFound) {
		return nil, errUnknown
	}
	if err != nil {
		return nil, err
	}
	a.hooks.afterRead()
	s.login = found.Login
	var m *more
	if found.Networks != "" {
		m = &more{networks: found.Networks}
	}
	if err := a.fill(ctx, &s.seat, &found.Principal, placeOf(&found)); err != nil || !known { // a slug that nobody has may be given to somebody
		return m, err
	}
	keep(a, ofSeats, a.seats, key, s, m, t)
	return m, nil
}

// organization gives the id of an organization that is named by id or slug. Of a slug that nobody has it is empty, and
// not known.
func (a *Access) organization(ctx context.Context, named string) (organization string, known bool, err error) {
	if named == "" || id.Valid("org", named) {
		return named, true, nil
	}
	var s slug
	err = a.slug(ctx, named, &s, new(bool))
	return s.organization.String(), !s.organization.Empty(), err
}

// place is what answers say of an organization: its plan, and the regions of its residency with spaces between, the
// default one first.
type place struct{ plan, regions string }

func placeOf(s *directory.Seat) place { return place{s.Plan, s.Regions} }

// fill makes the seat of a principal.
func (a *Access) fill(ctx context.Context, s *seat, p *decide.Principal, where place) error {
	plan, err := a.plans.number(where.plan)
	if err != nil {
		return a.unavailable(ctx, err)
	}
	region, err := a.regions.number(where.regions)
	if err != nil {
		return a.unavailable(ctx, err)
	}
	*s = seat{holds: p.Holds, beyond: p.Beyond, endsAt: p.EndsAt, standing: p.Standing, closed: p.Closed, plan: plan, region: region,
		user: check.MakeID(p.User), member: check.MakeID(p.Member), organization: check.MakeID(p.Organization), role: check.MakeID(string(p.Role))}
	return nil
}

// readBearer reads a key or token with whoever stands behind it, in one statement, and remembers it. One that is unknown
// or dead never becomes valid again.
func (a *Access) readBearer(ctx context.Context, c *presented, now int64, b *bearer) (*more, error) {
	if a.unknown(c) {
		return nil, errUnknown
	}
	t := a.begin()
	var read directory.Bearer
	err := a.read(ctx, &t, func() []op.Fence { return aboutBearer(&read) }, func(r *op.Reader) (err error) {
		read, err = directory.LoadBearer(ctx, r, c.hash, c.kind, false)
		return err
	})
	a.hooks.afterRead()
	if errors.Is(err, op.ErrUnauthenticated) || err == nil && read.Dead {
		life := life{used: read.LastUsed, idle: read.Idle}
		if !life.idled(now) || life.lapsed(now) {
			keepForGood(a, a.dead, c.key, &dead{}, t)
		}
		return nil, errUnknown
	}
	if err != nil {
		return nil, err
	}
	*b = bearer{life: life{used: read.LastUsed, expires: read.ExpiresAt, idle: read.Idle}, credential: check.MakeID(read.ID),
		token: read.Kind == op.TokenActor, bar: read.Principal.Bar}
	if err := a.fill(ctx, &b.seat, &read.Principal, place{read.Plan, read.Residency}); err != nil {
		return nil, err
	}
	b.organization = check.MakeID(read.Organization)
	m := moreOf(&read)
	keep(a, ofBearers, a.bearers, c.key, b, m, t)
	return m, nil
}

// moreOf is what a key or token has that few have; nil for nothing.
func moreOf(b *directory.Bearer) *more {
	if b.Principal.Limits == "" && b.Networks == "" && len(b.Budgets) == 0 {
		return nil
	}
	return &more{limits: b.Principal.Limits, networks: b.Networks, budgets: b.Budgets}
}

// aboutBearer are the principals that a key or token dies with: itself, its root, the person behind it, and the
// organization.
func aboutBearer(b *directory.Bearer) []op.Fence {
	about := []op.Fence{b.Root, {Kind: op.FenceOrganization, ID: b.Organization}}
	if b.Kind == op.TokenActor {
		about = append(about, op.Fence{Kind: op.FenceToken, ID: b.ID})
	}
	if b.User != "" {
		about = append(about, op.Fence{Kind: op.FenceUser, ID: b.User})
	}
	return about
}

// readSession reads a session or service key, and remembers it. One that is unknown or ended never becomes valid again.
func (a *Access) readSession(ctx context.Context, c *presented, now int64, s *session) (*more, error) {
	if a.unknown(c) {
		return nil, errUnknown
	}
	t := a.begin()
	var ended int64
	var m *more
	var read session // a copy, so that s stays on the stack of whoever has nothing to read
	err := a.read(ctx, &t, func() []op.Fence { return aboutSession(&read) }, func(r *op.Reader) (err error) {
		if c.kind == credential.ServiceKeyKind {
			m, ended, err = scanServiceKey(ctx, r, c.hash, &read)
			return err
		}
		ended, err = scanSession(ctx, r, c.hash, &read)
		return err
	})
	a.hooks.afterRead()
	*s = read
	if errors.Is(err, sql.ErrNoRows) || err == nil && (ended != 0 || s.lapsed(now)) {
		keepForGood(a, a.dead, c.key, &dead{}, t)
		return nil, errUnknown
	}
	if err != nil {
		return nil, err
	}
	keep(a, ofSessions, a.sessions, c.key, s, m, t)
	return m, nil
}

// aboutSession are the principals that a session or service key dies with: itself, and the person.
func aboutSession(s *session) []op.Fence {
	if s.service {
		return []op.Fence{{Kind: op.FenceServiceKey, ID: s.id.String()}}
	}
	return []op.Fence{{Kind: op.FenceSession, ID: s.id.String()}, {Kind: op.FenceUser, ID: s.user.String()}}
}

// lapsed reports whether the credential expired, or is idle for so much longer than it may be that no use of it can be
// waiting to be written.
func (l *life) lapsed(now int64) bool {
	return l.expired(now) || l.idled(now-time.Hour.Microseconds())
}

func scanSession(ctx context.Context, r *op.Reader, hash secret.Hash, s *session) (ended int64, err error) {
	var found, user, begun string
	var created, way int64
	err = r.QueryRow(ctx, `SELECT s.id, s.user_id, s.expires_at, s.idle_limit, s.last_used_at, s.ended_at,
			s.created_at, s.way, s.second_factor, s.organization FROM sessions s
		JOIN instance i ON i.recovery_epoch = s.recovery_epoch WHERE s.hash = $1`, hash[:]).Scan(
		&found, &user, &s.expires, &s.idle, &s.used, &ended, &created, &way, &s.second, &begun)
	s.id, s.user, s.begun, s.way, s.lasts = check.MakeID(found), nameOf(user), check.MakeID(begun), decide.Way(way), s.expires-created
	return ended, err
}

func scanServiceKey(ctx context.Context, r *op.Reader, hash secret.Hash, s *session) (m *more, ended int64, err error) {
	var k op.Credential
	s.service = true
	err = r.QueryRow(ctx, `SELECT k.id, k.revoked_at, k.expires_at, k.scopes FROM service_keys k
		JOIN instance i ON i.recovery_epoch = k.recovery_epoch WHERE k.hash = $1`, hash[:]).Scan(
		&k.ID, &ended, &s.expires, &k.Operations)
	k.ExpiresAt = s.expires
	s.id = check.MakeID(k.ID)
	return &more{service: k}, ended, err
}

// useSession notes that a session or service key was used: to the second for what idles, and to the minute for whoever
// wants to know.
func (a *Access) useSession(c *presented, s *session, now time.Time) {
	micros := now.UnixMicro()
	if s.idle != 0 && micros >= s.used+time.Second.Microseconds() {
		a.fences.Lock()
		a.sessions.swap(c.key, usedWord, micros)
		a.fences.Unlock()
	}
	if a.config.Seen == nil || !due(&s.life, micros) || !mayTell(a, a.sessions, c.key, &s.life, micros) {
		return
	}
	actor := op.Actor{Kind: op.UserActor, Credential: op.Credential{ID: s.id.String()}}
	if actor.User = s.user.String(); s.service {
		actor.Kind = op.ServiceActor
	}
	actor.ID = actor.User
	a.config.Seen(&actor, op.Caller{Address: c.address}, now)
}

// seen tells that a key or token was used. Whoever stands behind it has not been active.
func (a *Access) seen(b *bearer, address string, now time.Time) {
	actor := op.Actor{Kind: op.KeyActor, ID: b.credential.String(), User: b.user.String(),
		Principal: decide.Principal{Organization: b.organization.String()}}
	if b.token {
		actor.Kind = op.TokenActor
	}
	actor.Credential.ID = actor.ID
	a.config.Seen(&actor, op.Caller{Address: address}, now)
}

// due reports whether it is time to tell of a use again.
func due(l *life, now int64) bool { return now >= l.told+time.Minute.Microseconds() }

// mayTell reports whether it falls to whoever asks to tell of a use: of several at once, to one.
func mayTell[V any](a *Access, in *table[hashKey, V], key hashKey, l *life, now int64) bool {
	a.fences.Lock()
	defer a.fences.Unlock()
	was, found := in.swap(key, toldWord, now)
	return !found || was == l.told
}
