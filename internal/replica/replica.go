// Package replica lets several servers answer from their own memory and still never from what was changed: the protocol
// of leases and fences. It knows neither what is remembered nor how servers and database are reached.
//
// Each server registers in the database, as one incarnation, and holds a lease that it renews. A change locks its scopes,
// lists all incarnations, and has each of them forget the scopes before it commits. One that does not answer is evicted,
// which ends its renewals, and the change waits until its lease is over. So nobody answers from memory what a change has
// made untrue, from the moment of its commit on:
//
//   - I1: an answer comes from memory only while the server's own clock is before the deadline, which is a lease's length
//     after a moment before the registration or renewal was sent. The clock is read after the request was.
//   - I2: nothing is remembered before the incarnation is registered: every later change finds it in the list.
//   - I3: a change commits only if every incarnation in the list has forgotten its scopes, or was evicted, and the lease's
//     length and a margin were waited for on the waiter's own clock, from the answer of the eviction on.
//   - I4: no reading crosses a fence and is remembered: its share of the scopes' locks was had in a statement before the one
//     that read, and nothing was forgotten meanwhile.
//   - I5: a fence ends with the locks of its transaction, never by a timer.
//   - I6: changes never rest on what is remembered.
//   - I8: what cannot be known is an error, and never a yes.
//   - I9: entry, count of fences and deadline that decide together are of one incarnation, and an incarnation that was
//     evicted never has a deadline again.
//   - I10: only its own process takes the row of a living incarnation away, after it has forgotten everything.
//   - I11: an answer read from the database counts only while the lease is alive, on the history of the database (the
//     timeline) that the lease is from: a primary that was deposed still answers reads.
//
// A strict server takes no fences and remembers nothing. It is not in the list, and no change waits for it. It holds a
// lease all the same, for I11: one that it renews by a commit which a deposed primary cannot make.
//
// No two clocks are compared, only how fast they run: see Params.Rate.
package replica

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Scope names what an entry dies with, in a way that all servers understand.
type Scope string

// Incarnation names one registration of one process. It is random and never used again.
type Incarnation string

// Timeline numbers the histories of a database: a standby that is promoted begins the next one.
type Timeline uint32

// Params are the lengths of the protocol.
type Params struct {
	Lease  time.Duration // how long a server answers from memory without having reached the database
	Rate   float64       // how much faster one server's clock may run than another's, as a part of one
	Margin time.Duration // for the grain of clocks
	Ack    time.Duration // how long a server has to answer a fence before it is evicted
}

// Usual are the lengths that servers run with.
var Usual = Params{Lease: 2 * time.Second, Rate: 0.01, Margin: 10 * time.Millisecond, Ack: 50 * time.Millisecond}

// Over is how long after an eviction no lease of the evicted can be alive.
func (p Params) Over() time.Duration {
	return p.Lease + time.Duration(float64(p.Lease)*p.Rate) + p.Margin
}

// Longest is how long a change may have to wait for servers that do not answer.
func (p Params) Longest() time.Duration { return p.Ack + p.Over() }

// Promise says in sentences what the lengths mean for whoever takes a right away.
func (p Params) Promise() string {
	return fmt.Sprintf("While every server answers, a change of rights returns as soon as each of them has said that it forgot. "+
		"While one does not, it returns %.2f seconds later at most: %d ms for its answer, a lease of %g s, %g %% of that for clocks that run unevenly, and %d ms. "+
		"Until the change has returned, the old right holds. Of what is sent afterwards, no server accepts anything.",
		p.Longest().Seconds(), p.Ack.Milliseconds(), p.Lease.Seconds(), p.Rate*100, p.Margin.Milliseconds())
}

// Instant is a moment on a server's own clocks. Boot counts while the machine is suspended too, and only its differences
// mean something.
type Instant struct{ Boot, Wall time.Duration }

// Clock reads a server's clocks.
type Clock interface {
	Now() Instant
	// Wait returns when Boot has advanced by d, or with the error of ctx.
	Wait(ctx context.Context, d time.Duration) error
}

// Member is an incarnation in the list.
type Member struct {
	Name        string // of the server, for people
	Incarnation Incarnation
	Address     string // where it takes fences
	Secret      string // what its instance secret is known by: see Fingerprint
	Evicted     bool
	ExpiresAt   int64 // on the database's clock, in Unix microseconds: a hint of who is gone, and nothing decides by it
	Figures
}

// Figures are what an incarnation tells of itself.
type Figures struct {
	StartedAt int64 // Unix microseconds
	FencedAt  int64 // when it last forgot something for a change; 0: never
	Fences    int64 // how often it did
	Waits     int64 // how many changes of its own had to wait for a server that did not answer
}

// Base is the database server that a connection leads to.
type Base struct {
	Timeline Timeline
	Alone    bool // it names no standby that commits wait for
}

// Registry keeps the list. Each call is a transaction of its own, committed as durably as changes are, on connections
// that changes do not use. The timeline is that of the connection.
type Registry interface {
	Register(ctx context.Context, m Member, lease time.Duration) (Base, error)
	// Renew gives false for one that is evicted or gone. It has to be a committed write: a deposed primary answers reads.
	Renew(ctx context.Context, m Member, lease time.Duration) (bool, Base, error)
	// Pulse commits something, and changes nothing.
	Pulse(ctx context.Context) (Base, error)
	// Evict gives false for one that is gone.
	Evict(ctx context.Context, i Incarnation) (bool, Timeline, error)
	Remove(ctx context.Context, i Incarnation) error
	// List gives all rows, and the database's clock in Unix microseconds.
	List(ctx context.Context) ([]Member, int64, error)
}

// Transport reaches other servers.
type Transport interface {
	// Fence has an incarnation forget scopes. Nil says that this very incarnation's process has done so.
	Fence(ctx context.Context, address string, i Incarnation, scopes []Scope) error
	// Tell says what has changed, to whoever is at the address.
	Tell(ctx context.Context, address string, n Notice) error
}

// Notice says what a change that was committed has changed: for pages that are open, which ask again. No answer depends on
// its arriving. Or it says how often callers have called at the server that sends it, by limit and name: for limits that
// hold among all servers.
type Notice struct {
	Scopes  []Scope                   `json:"scopes,omitempty"`
	Streams []string                  `json:"streams,omitempty"`
	Taken   map[string]map[uint64]int `json:"taken,omitempty"`
}

// Tx is the transaction of a change. It is READ COMMITTED: each statement sees what was committed before it.
type Tx interface {
	// Lock locks scopes until the transaction ends: nobody else's change of them, and no reading of them that is to be
	// remembered, runs beside it.
	Lock(ctx context.Context, scopes []Scope) error
	// Members are all rows of the list, whatever they say.
	Members(ctx context.Context) ([]Member, Timeline, error)
}

// Config is what a Replica is made of.
type Config struct {
	Name      string
	Address   string // where it takes fences; empty: nowhere, so it is strict
	Secret    string
	Params    Params
	Clock     Clock
	Registry  Registry
	Transport Transport
	Drop      func(scopes []Scope) // forgets scopes, and every reading of them that began before
	Reset     func()               // forgets everything, and every reading that began before
	// Waited is told how long a fence took, and how many servers had to be evicted for it. Nil: nobody is.
	Waited func(took time.Duration, evicted int)
	// Deposed is told that the database server was replaced: just now, and connections of before lead to that one; else a
	// connection to that one was seen once more. Nil: nobody is.
	Deposed func(justNow bool)
	Log     *slog.Logger
}

// Replica is one server. It is safe for concurrent use.
type Replica struct {
	c       Config
	hooks   Hooks
	current atomic.Pointer[Lease]
	reads   atomic.Pointer[Lease] // of a strict server, by which alone it reads
	kicked  chan struct{}
	started int64
	fenced  atomic.Int64 // when, in Unix microseconds
	fences  atomic.Int64
	waits   atomic.Int64
	left    []Incarnation // of this process, to be taken away; for Run alone
	others  atomic.Pointer[[]Member]

	mu       sync.Mutex
	mine     map[Incarnation]bool // every incarnation that this process has been
	renewed  chan struct{}        // closed at the next renewal
	retiring map[Incarnation]*retirement
	newest   Timeline      // seen
	since    time.Duration // on Clock's Boot: when it was first seen
}

// New makes a server of the list. Run registers it.
func New(c Config) *Replica {
	r := &Replica{c: c, hooks: sound(), kicked: make(chan struct{}, 1), mine: map[Incarnation]bool{}, renewed: make(chan struct{}),
		retiring: map[Incarnation]*retirement{}, started: time.Now().UnixMicro()}
	if Break != nil {
		Break(&r.hooks)
	}
	return r
}

// Errors of the protocol. All mean that nothing was changed or answered, and that it may be tried again.
var (
	ErrNoLease = errors.New("this server holds no lease: it cannot reach the database")
	ErrDeposed = errors.New("this is a database server that was replaced by another one")
	ErrGrace   = errors.New("the database server was replaced just now: leases from before have to end first")
)

// Strict reports whether the server remembers nothing: it takes no fences.
func (r *Replica) Strict() bool { return r.c.Address == "" }

// Lease is one incarnation's right to answer from memory. A nil one is never alive.
type Lease struct {
	replica     *Replica
	incarnation Incarnation
	term        atomic.Pointer[term] // nil: not registered yet, or over for good
	over        atomic.Bool
}

// term is a lease as it was last renewed.
type term struct {
	until  time.Duration // on Clock's Boot
	offset time.Duration // of Wall from Boot at the renewal
	base   Base
}

// maxJump is how far Wall may move against Boot within a lease. More means that a clock cannot be trusted.
const maxJump = 100 * time.Millisecond

func alive(now Instant, until, offset time.Duration) bool {
	jump := now.Wall - now.Boot - offset
	return now.Boot < until && jump <= maxJump && jump >= -maxJump
}

// Live reports whether what the incarnation remembers may be answered now. Take the lease before the entry, and ask
// after the request has arrived (I1, I9).
func (l *Lease) Live() bool {
	if l == nil {
		return false
	}
	t := l.term.Load()
	return t != nil && l.replica.hooks.Live(l.replica.c.Clock.Now(), t.until, t.offset)
}

// Covers reports whether an answer counts that was read from the database on a timeline (I11).
func (l *Lease) Covers(from Timeline) bool {
	t := l.term.Load()
	if t == nil || !l.replica.hooks.Covers(t.base.Timeline == from) {
		l.replica.see(from) // the connection leads to a server that was replaced, or to the one in its place
		return false
	}
	return l.Live()
}

// Undisputed reports whether an answer counts whatever connection it was read on. It does while the lease is alive, where it
// is of a database that was never promoted and names no standby that commits wait for. One that named some after the lease
// was renewed may have been replaced since: but what has taken its place takes no change before the lease is over.
func (l *Lease) Undisputed() bool {
	if l == nil {
		return false
	}
	t := l.term.Load()
	return t != nil && t.base == Base{Timeline: 1, Alone: true} && l.Live()
}

// Keeps reports whether a reading may be remembered for an incarnation: it had a share of the locks before it read, and
// nothing that it dies with was forgotten meanwhile (I2, I4).
func (r *Replica) Keeps(l *Lease, shared, current bool) bool {
	return r.hooks.Keeps(shared, current) && l.Live()
}

// At passes a point of the protocol.
func (r *Replica) At(p Point) { r.hooks.At(p) }

// Patience is how long a reading is waited for: later, the lease that it began with is over unless the database answers.
func (r *Replica) Patience() time.Duration { return r.c.Params.Lease }

// Lease is that of the current incarnation, by which it answers from memory; nil before the first, and for a strict server.
func (r *Replica) Lease() *Lease { return r.current.Load() }

// Reading is the lease by which what is read counts; nil before the first.
func (r *Replica) Reading() *Lease {
	if r.Strict() {
		return r.reads.Load()
	}
	return r.current.Load()
}

// Hold gives a lease that is alive, by which what is read counts. Where it is over, it waits for a renewal; ErrNoLease if
// there is none in time.
func (r *Replica) Hold(ctx context.Context) (*Lease, error) {
	if l := r.Reading(); l.Live() {
		return l, nil
	}
	patience := time.NewTimer(r.c.Params.Lease)
	defer patience.Stop()
	for {
		r.mu.Lock()
		renewed := r.renewed
		r.mu.Unlock()
		if l := r.Reading(); l.Live() {
			return l, nil
		}
		r.kick()
		select {
		case <-renewed:
		case <-ctx.Done():
			return nil, ErrNoLease
		case <-patience.C:
			return nil, ErrNoLease
		}
	}
}

func (r *Replica) kick() {
	select {
	case r.kicked <- struct{}{}:
	default:
	}
}

// Run keeps the lease until ctx ends, and then leaves the list.
func (r *Replica) Run(ctx context.Context) {
	var janitor sync.WaitGroup
	defer janitor.Wait()
	swept := r.c.Clock.Now().Boot
	for ctx.Err() == nil {
		if again := r.beat(ctx); again {
			continue
		}
		if now := r.c.Clock.Now().Boot; !r.Strict() && now-swept >= r.c.Params.Lease {
			swept = now
			janitor.Go(func() { r.sweep(ctx) })
		}
		wait := r.c.Params.Lease / 3
		if !r.Reading().Live() { // somebody may be waiting for it: see Hold
			wait = r.c.Params.Lease / 40
		}
		pause := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-pause.C:
		case <-r.kicked:
		}
		pause.Stop()
	}
	r.leave(context.WithoutCancel(ctx))
}

// beat registers or renews once. True: the incarnation is over, and the next one may begin at once.
func (r *Replica) beat(ctx context.Context) (again bool) {
	ctx, cancel := context.WithTimeout(ctx, r.c.Params.Lease)
	defer cancel()
	l := r.Lease()
	if r.Strict() || l == nil || l.over.Load() {
		begin := r.register
		if r.Strict() {
			begin = r.pulse
		}
		if err := begin(ctx); err != nil && ctx.Err() == nil {
			r.c.Log.WarnContext(ctx, "no lease: checks have no answer until the database has one", slog.Any("error", err))
		}
		return false
	}
	asked := r.c.Clock.Now() // before it is sent: I1
	found, base, err := r.hooks.Renew(ctx, r.c.Registry, r.member(l.incarnation), r.c.Params.Lease)
	r.hooks.At(Renewed)
	switch {
	case err != nil || !r.see(base.Timeline):
		return false // the deadline stays as it is
	case !found, base.Timeline != l.term.Load().base.Timeline:
		r.c.Log.WarnContext(ctx, "evicted: everything is forgotten, and this server registers anew", slog.String("incarnation", string(l.incarnation)))
		r.drop(l)
		return true
	}
	r.extend(l, asked, base)
	return false
}

// pulse gives a strict server a lease, or renews it.
func (r *Replica) pulse(ctx context.Context) error {
	asked := r.c.Clock.Now()
	base, err := r.c.Registry.Pulse(ctx)
	if err != nil {
		return err
	}
	if !r.see(base.Timeline) {
		return ErrDeposed
	}
	l := &Lease{replica: r} // another one each time: what it was for has no past
	r.reads.Store(l)
	r.extend(l, asked, base)
	return nil
}

// register begins an incarnation.
func (r *Replica) register(ctx context.Context) error {
	l := &Lease{replica: r, incarnation: Incarnation(rand.Text())}
	r.mu.Lock()
	r.mine[l.incarnation] = true // before it is in the list: a fence may come before the answer
	r.mu.Unlock()
	r.current.Store(l)
	asked := r.c.Clock.Now()
	base, err := r.c.Registry.Register(ctx, r.member(l.incarnation), r.c.Params.Lease)
	if err == nil && !r.see(base.Timeline) {
		err = ErrDeposed
	}
	if err != nil { // the row may be there: this process answers for it until it is taken away
		l.over.Store(true)
		r.left = append(r.left, l.incarnation)
		return err
	}
	r.extend(l, asked, base)
	r.takeAway(ctx)
	return nil
}

func (r *Replica) member(i Incarnation) Member {
	return Member{Name: r.c.Name, Incarnation: i, Address: r.c.Address, Secret: r.c.Secret,
		Figures: Figures{StartedAt: r.started, FencedAt: r.fenced.Load(), Fences: r.fences.Load(), Waits: r.waits.Load()}}
}

// extend sets the deadline of an incarnation that is in the list, or of a strict server's lease.
func (r *Replica) extend(l *Lease, asked Instant, base Base) {
	if l.over.Load() {
		panic("replica: an incarnation that was evicted gets a deadline") // I9
	}
	l.term.Store(&term{until: r.hooks.Deadline(asked, r.c.Clock.Now(), r.c.Params), offset: asked.Wall - asked.Boot, base: base})
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.renewed)
	r.renewed = make(chan struct{})
}

// drop ends an incarnation for good, and forgets what it remembered before another one begins.
func (r *Replica) drop(l *Lease) {
	l.over.Store(true)
	l.term.Store(nil)
	r.c.Reset()
	r.left = append(r.left, l.incarnation)
}

// takeAway takes the rows of earlier incarnations of this process away: I10.
func (r *Replica) takeAway(ctx context.Context) {
	for len(r.left) > 0 && r.c.Registry.Remove(ctx, r.left[0]) == nil {
		r.left = r.left[1:]
	}
}

func (r *Replica) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.c.Params.Lease)
	defer cancel()
	if l := r.Lease(); l != nil && !l.over.Load() {
		r.drop(l)
	}
	r.takeAway(ctx)
}

// see notes the timeline of a connection. False: it is of a server that was replaced.
func (r *Replica) see(t Timeline) bool {
	now := r.c.Clock.Now().Boot
	r.mu.Lock()
	replaced, justNow := r.newest != 0 && t != r.newest, t > r.newest
	if t > r.newest {
		r.newest, r.since = t, now
	}
	current := t == r.newest
	r.mu.Unlock()
	if replaced && r.c.Deposed != nil {
		r.hooks.Deposed(func() { r.c.Deposed(justNow) })
	}
	return current
}
