// Package access answers questions of access from memory: may this person, or whoever sent this credential, do that in
// this organization? It decides with decide.Decide alone, as the operations do, and forgets what it knows about
// somebody before a change of their rights is committed (Fence), so no answer outlives a revocation. The operations on
// top say why somebody may or may not, and who may.
package access

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// Config is what an Access is made of.
type Config struct {
	Charter *charter.Charter
	Now     func() time.Time // nil: time.Now
	// Size is about how many entries of each kind are remembered: credentials, memberships, names of users, slugs, and
	// credentials that are dead. 0 means 100,000.
	Size int
	// Seen is told that somebody asked about a credential, at most once a minute for each; it must not block. Nil: nobody
	// is.
	Seen func(a *op.Actor, c op.Caller, at time.Time)
	Log  *slog.Logger // nil: slog.Default
}

// Access answers questions. It is safe for concurrent use.
type Access struct {
	config  Config
	service atomic.Pointer[op.Service]
	fences  fences
	hooks   hooks

	credentials *cache[secret.Hash, *identity]
	members     *cache[memberKey, decide.Principal]
	users       *cache[userKey, string]       // the user's id by that, or by the product's external id
	slugs       *cache[slugKey, string]       // organization ids; a slug never changes hands
	dead        *cache[secret.Hash, struct{}] // never valid again
}

// The keys of the caches.
type (
	memberKey struct{ organization, user string }
	userKey   struct{ name string }
	slugKey   struct{ slug string }
)

// hooks are called at the points of a fill where something may come in between; tests set them.
type hooks struct {
	afterTicket func()
	afterRead   func()
	beforeKeep  func(*ticket)
}

// New makes an Access. Its Fence is for the configuration of the service, which Attach gives it once that is made.
func New(c Config) *Access {
	if c.Size == 0 {
		c.Size = 100_000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Access{
		config:      c,
		fences:      fences{seed: maphash.MakeSeed(), dependents: map[op.Fence]map[any]struct{}{}},
		hooks:       hooks{afterTicket: func() {}, afterRead: func() {}, beforeKeep: func(*ticket) {}},
		credentials: newCache[secret.Hash, *identity](c.Size),
		members:     newCache[memberKey, decide.Principal](c.Size),
		users:       newCache[userKey, string](c.Size),
		slugs:       newCache[slugKey, string](c.Size),
		dead:        newCache[secret.Hash, struct{}](c.Size),
	}
}

// Attach gives the service whose data the answers are about. Until then there are none.
func (a *Access) Attach(s *op.Service) { a.service.Store(s) }

// Reset forgets everything: after an import or a restore, even a dead credential may be alive.
func (a *Access) Reset() {
	f := &a.fences
	f.Lock()
	defer f.Unlock()
	for i := range f.counts {
		f.counts[i].seq++
	}
	clear(f.dependents)
	a.credentials.clear()
	a.members.clear()
	a.users.clear()
	a.slugs.clear()
	a.dead.clear()
}

var (
	errNotReady   = &op.Error{Kind: op.Unavailable, Text: "the server is starting", RetryAfter: time.Second}
	errNoDatabase = &op.Error{Kind: op.Unavailable, Text: "the database does not answer: nothing is allowed; try again", RetryAfter: time.Second}
)

// Check answers one question. What is unknown is answered no, with the reason; an error is no answer, and means no.
func (a *Access) Check(ctx context.Context, q check.Request) (check.Decision, error) {
	return a.answer(ctx, q, a.config.Now())
}

// CheckAll answers questions in their order, all at one moment of the clock, until one is answered for which stop (nil:
// none) returns true.
func (a *Access) CheckAll(ctx context.Context, questions []check.Request, stop func(check.Decision) bool) ([]check.Decision, error) {
	now := a.config.Now()
	answers := make([]check.Decision, 0, len(questions))
	for _, q := range questions {
		d, err := a.answer(ctx, q, now)
		if err != nil {
			return nil, err
		}
		if answers = append(answers, d); stop != nil && stop(d) {
			break
		}
	}
	return answers, nil
}

// answer resolves subject and organization, from memory where they are known, and decides.
func (a *Access) answer(ctx context.Context, q check.Request, now time.Time) (check.Decision, error) {
	c := a.config.Charter
	if reason := misasked(c, q.Permission, q.Resource.Type); reason != "" {
		return check.Decision{Reason: reason, Needs: q.Permission}, nil
	}
	user, err := a.subject(ctx, q.Subject, now)
	if err == errUnknown {
		return check.Decision{Reason: decide.UnknownSubject, Needs: q.Permission}, nil
	}
	if err != nil {
		return check.Decision{}, err
	}
	organization := q.Resource.Organization
	if q.Resource.Type == check.Organization {
		organization = q.Resource.ID
	}
	principal, err := a.principal(ctx, organization, user)
	if err != nil {
		return check.Decision{}, err
	}
	return decideOn(&principal, decide.Ask(c, q.Permission, ""), now.UnixMicro()), nil
}

// decideOn is the decision on a resolved principal. It allocates nothing. The resource is not part of the question: no
// principal is limited to single ones.
func decideOn(p *decide.Principal, q decide.Question, now int64) check.Decision {
	d := decide.Decide(p, q, now)
	return check.Decision{Allow: d.Allow, Reason: d.Reason, Needs: d.Needs}
}

// misasked says what is wrong with a question that nobody is allowed: a permission that the charter does not have, or a
// type of resource that it does not have or not with this permission. Empty: nothing is.
func misasked(c *charter.Charter, p charter.Permission, resource string) decide.Reason {
	if _, known := c.Need(p); !known {
		return decide.UnknownPermission
	}
	if resource == check.Organization {
		return ""
	}
	for _, listed := range c.Resources[resource] {
		if listed == p {
			return ""
		}
	}
	return decide.UnknownResource
}

// unavailable tells of an error that is not the asker's: it is logged whole, and never answered yes.
func (a *Access) unavailable(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		a.config.Log.LogAttrs(ctx, slog.LevelError, "check without an answer", slog.Any("error", err))
	}
	return errNoDatabase
}
