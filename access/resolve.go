package access

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
	"time"

	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// errUnknown says that there is no such subject.
var errUnknown = errors.New("unknown subject")

// subject finds the user who asks.
func (a *Access) subject(ctx context.Context, s check.Subject, now time.Time) (string, error) {
	switch s.Type {
	case check.User:
		return a.user(ctx, s.ID)
	case check.Credential:
		found, err := a.identify(ctx, s.ID, now)
		if err != nil {
			return "", err
		}
		return found.User, nil
	}
	return "", errUnknown
}

// maxName is how long an id, an external id or a slug may be; nothing longer is looked for.
const maxName = 256

// user finds a user by Guildhall's id or by the product's external id.
func (a *Access) user(ctx context.Context, name string) (string, error) {
	if name == "" || len(name) > maxName {
		return "", errUnknown
	}
	if found, ok := a.users.get(userKey{name}); ok {
		return found, nil
	}
	found, err := a.readUser(ctx, name)
	if err != nil {
		return "", err
	}
	// Whom to ask about is known only now: what is kept is read again, under a ticket.
	t := a.begin(scopes{{Kind: op.FenceUser, ID: found}})
	again, err := a.readUser(ctx, name)
	if err != nil {
		return "", err
	}
	if a.hooks.afterRead(); again == found {
		keep(a, a.users, t, userKey{name}, again)
	}
	return again, nil
}

func (a *Access) readUser(ctx context.Context, name string) (found string, err error) {
	column := "external_id"
	if id.Valid("usr", name) {
		column = "id"
	}
	err = a.read(ctx, func(r *op.Reader) error {
		return r.QueryRow(ctx, "SELECT id FROM users WHERE "+column+" = $1", name).Scan(&found)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return "", errUnknown
	}
	return found, err
}

// principal finds what a user is in an organization, which is named by its id or by a slug. In one that does not exist
// everybody is a stranger.
func (a *Access) principal(ctx context.Context, organization, user string) (decide.Principal, error) {
	stranger := decide.Principal{User: user}
	organization, err := a.organization(ctx, organization)
	if err != nil || organization == "" || user == "" {
		return stranger, err
	}
	key := memberKey{organization, user}
	if p, ok := a.members.get(key); ok {
		return p, nil
	}
	t := a.begin(scopes{{Kind: op.FenceUser, ID: user}, {Kind: op.FenceOrganization, ID: organization}})
	var p decide.Principal
	err = a.read(ctx, func(r *op.Reader) (err error) {
		p, err = directory.PrincipalOf(ctx, r, organization, user)
		return err
	})
	if errors.Is(err, op.ErrNotFound) || err == nil && p.User != user {
		return stranger, nil
	}
	if err != nil {
		return stranger, err
	}
	a.hooks.afterRead()
	keep(a, a.members, t, key, p)
	return p, nil
}

// organization gives the id of an organization that is named by id or slug; empty for an unknown slug.
func (a *Access) organization(ctx context.Context, named string) (string, error) {
	if named == "" || len(named) > maxName || id.Valid("org", named) {
		return named, nil
	}
	if found, ok := a.slugs.get(slugKey{named}); ok {
		return found, nil
	}
	var found string
	err := a.read(ctx, func(r *op.Reader) error {
		return r.QueryRow(ctx, "SELECT organization FROM slugs WHERE slug = $1", named).Scan(&found)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	a.slugs.put(slugKey{named}, entry[string]{value: found}, func(slugKey, scopes) {})
	return found, nil
}

// Identity is who stands behind a living credential.
type Identity struct {
	Kind op.ActorKind // UserActor or ServiceActor
	ID   string       // of the session or service key
	User string       // the user of a session
}

// identity is an Identity with what ends it.
type identity struct {
	Identity
	expires int64 // Unix microseconds; 0 means never
	idle    int64 // microseconds without use after which it is over; 0 means any
	used    atomic.Int64
	told    atomic.Int64 // when Seen was last told
}

// expired reports whether the credential is over for good. At the limit itself it is.
func (i *identity) expired(now int64) bool { return i.expires != 0 && now >= i.expires }

// idled reports whether nobody has used it for too long, as far as this process knows.
func (i *identity) idled(now int64) bool { return i.idle != 0 && now >= i.used.Load()+i.idle }

// Authenticate finds who stands behind a credential. For one that is malformed, unknown, ended or expired it returns
// op.ErrUnauthenticated.
func (a *Access) Authenticate(ctx context.Context, text string) (Identity, error) {
	found, err := a.identify(ctx, text, a.config.Now())
	if err == errUnknown {
		return Identity{}, op.ErrUnauthenticated
	}
	if err != nil {
		return Identity{}, err
	}
	return found.Identity, nil
}

// identify finds a credential that is alive at this moment.
func (a *Access) identify(ctx context.Context, text string, now time.Time) (*identity, error) {
	token, err := secret.Parse(text)
	if err != nil || token.Kind() != credential.SessionKind && token.Kind() != credential.ServiceKeyKind {
		return nil, errUnknown
	}
	hash, micros := token.Hash(), now.UnixMicro()
	if _, gone := a.dead.get(hash); gone {
		return nil, errUnknown
	}
	found, ok := a.credentials.get(hash)
	if !ok || found.idled(micros) && !found.expired(micros) { // an operation may have used it meanwhile
		if found, err = a.readCredential(ctx, hash, token.Kind()); err != nil {
			return nil, err
		}
	}
	if found.expired(micros) || found.idled(micros) {
		return nil, errUnknown
	}
	a.use(found, now)
	return found, nil
}

// use notes that a credential was used.
func (a *Access) use(i *identity, now time.Time) {
	micros := now.UnixMicro()
	if i.used.Load() < micros {
		i.used.Store(micros)
	}
	told := i.told.Load()
	if a.config.Seen == nil || micros < told+time.Minute.Microseconds() || !i.told.CompareAndSwap(told, micros) {
		return
	}
	a.config.Seen(&op.Actor{Kind: i.Kind, ID: i.User, User: i.User, Credential: op.Credential{ID: i.ID}}, op.Caller{}, now)
}

// readCredential reads a credential and remembers it. One that is unknown or ended never becomes valid again.
func (a *Access) readCredential(ctx context.Context, hash secret.Hash, kind string) (*identity, error) {
	first, err := a.readIdentity(ctx, hash, kind)
	if err != nil {
		return nil, err
	}
	// What it belongs to is known only now: what is kept is read again, under a ticket.
	t := a.begin(first.scopes())
	found, err := a.readIdentity(ctx, hash, kind)
	if err != nil {
		return nil, err
	}
	a.hooks.afterRead()
	keep(a, a.credentials, t, hash, found)
	return found, nil
}

// scopes are the principals that the credential dies with.
func (i *identity) scopes() scopes {
	if i.Kind == op.ServiceActor {
		return scopes{{Kind: op.FenceServiceKey, ID: i.ID}, {Kind: op.FenceServiceKey, ID: i.ID}}
	}
	return scopes{{Kind: op.FenceSession, ID: i.ID}, {Kind: op.FenceUser, ID: i.User}}
}

// readIdentity reads what stands behind a hash, and remembers one that is dead.
func (a *Access) readIdentity(ctx context.Context, hash secret.Hash, kind string) (*identity, error) {
	var i *identity
	var ended int64
	err := a.read(ctx, func(r *op.Reader) (err error) {
		i, ended, err = scanIdentity(ctx, r, hash, kind)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) || err == nil && ended != 0 {
		a.dead.put(hash, entry[struct{}]{}, func(secret.Hash, scopes) {})
		return nil, errUnknown
	}
	return i, err
}

func scanIdentity(ctx context.Context, r *op.Reader, hash secret.Hash, kind string) (i *identity, ended int64, err error) {
	i = &identity{}
	if kind == credential.ServiceKeyKind {
		i.Kind = op.ServiceActor
		err = r.QueryRow(ctx, `SELECT k.id, k.revoked_at FROM service_keys k
			JOIN instance i ON i.recovery_epoch = k.recovery_epoch WHERE k.hash = $1`, hash[:]).Scan(&i.ID, &ended)
		return i, ended, err
	}
	var used int64
	i.Kind = op.UserActor
	err = r.QueryRow(ctx, `SELECT s.id, s.user_id, s.expires_at, s.idle_limit, s.last_used_at, s.ended_at FROM sessions s
		JOIN instance i ON i.recovery_epoch = s.recovery_epoch WHERE s.hash = $1`, hash[:]).Scan(
		&i.ID, &i.User, &i.expires, &i.idle, &used, &ended)
	i.used.Store(used)
	return i, ended, err
}

// begin takes a ticket for a reading about principals. A single one stands for both.
func (a *Access) begin(about scopes) ticket {
	if about[1] == (op.Fence{}) {
		about[1] = about[0]
	}
	t := a.fences.ticket(about)
	a.hooks.afterTicket()
	return t
}

// read runs fn on a snapshot of its own. An error is errNoDatabase, or that there is no row.
func (a *Access) read(ctx context.Context, fn func(r *op.Reader) error) error {
	s := a.service.Load()
	if s == nil {
		return errNotReady
	}
	err := s.Snapshot(ctx, fn)
	if err == nil || errors.Is(err, sql.ErrNoRows) || errors.Is(err, op.ErrNotFound) {
		return err
	}
	return a.unavailable(ctx, err)
}
