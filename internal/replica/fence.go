package replica

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Accept forgets scopes for another server's change, and reports whether the incarnation is this process's, so that this
// may be acknowledged. Another process at the same address proves nothing.
func (r *Replica) Accept(i Incarnation, scopes []Scope) bool {
	r.mu.Lock()
	known := r.mine[i]
	r.mu.Unlock()
	if !r.hooks.Own(known) {
		return false
	}
	r.forget(scopes)
	return true
}

func (r *Replica) forget(scopes []Scope) {
	r.c.Drop(scopes)
	r.fences.Add(1)
	r.fenced.Store(time.Now().UnixMicro())
}

// Fence makes a change of scopes safe to commit: afterwards nobody answers from memory about them what was true before,
// nor remembers it until the transaction has ended. It is called in the transaction, which must not commit after an error.
func (r *Replica) Fence(ctx context.Context, tx Tx, scopes []Scope) error {
	began := time.Now()
	var members []Member
	err := r.hooks.Order(
		func() error { return tx.Lock(ctx, scopes) },
		func() (err error) { members, err = r.list(ctx, tx); return err })
	if err != nil {
		return err
	}
	var evicted atomic.Int64
	errs := make([]error, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		if r.hooks.Listed(m) {
			all.Go(func() { errs[i] = r.reach(ctx, m, scopes, &evicted) })
		}
	}
	all.Wait()
	if evicted.Load() > 0 {
		r.waits.Add(1)
	}
	if r.c.Waited != nil {
		r.c.Waited(time.Since(began), int(evicted.Load()))
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// list gives all incarnations, on a database server that takes changes now.
func (r *Replica) list(ctx context.Context, tx Tx) ([]Member, error) {
	members, timeline, err := tx.Members(ctx)
	if err != nil {
		return nil, fmt.Errorf("list of servers: %w", err)
	}
	others := slices.DeleteFunc(slices.Clone(members), r.itself)
	r.others.Store(&others)
	if !r.see(timeline) {
		return nil, ErrDeposed
	}
	now := r.c.Clock.Now().Boot
	r.mu.Lock()
	since := now - r.since
	r.mu.Unlock()
	if timeline > 1 && since < r.c.Params.Over() && r.hooks.Grace(since) {
		return nil, ErrGrace
	}
	return members, nil
}

// reach has one incarnation forget, or sees to it that it answers nothing from memory any more.
func (r *Replica) reach(ctx context.Context, m Member, scopes []Scope, evicted *atomic.Int64) error {
	sent := r.c.Clock.Now()
	if r.itself(m) {
		r.forget(scopes)
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, r.c.Params.Ack)
	err := r.c.Transport.Fence(limited, m.Address, m.Incarnation, scopes)
	cancel()
	if err == nil {
		return nil
	}
	evicted.Add(1)
	r.hooks.At(BeforeEvict)
	r.c.Log.WarnContext(ctx, "a server did not answer a fence and is evicted: the change waits until its lease is over",
		slog.String("server", m.Name), slog.String("address", m.Address), slog.Any("error", err))
	return r.retire(ctx, m, sent)
}

func (r *Replica) itself(m Member) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mine[m.Incarnation]
}

// retirement is the wait for an incarnation's lease to be over. Whoever needs it joins it: it began after an eviction
// that was committed, and at its end the lease is over for everybody.
type retirement struct {
	done chan struct{}
	err  error
}

// retire evicts an incarnation and waits until its lease is over (I3). It goes on when the caller gives up: another one
// may need it.
func (r *Replica) retire(ctx context.Context, m Member, sent Instant) error {
	r.mu.Lock()
	w, found := r.retiring[m.Incarnation]
	if !found {
		w = &retirement{done: make(chan struct{})}
		r.retiring[m.Incarnation] = w
		go r.retireNow(context.WithoutCancel(ctx), m, sent, w)
	}
	r.mu.Unlock()
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Replica) retireNow(ctx context.Context, m Member, sent Instant, w *retirement) {
	ctx, cancel := context.WithTimeout(ctx, 2*r.c.Params.Longest())
	defer cancel()
	w.err = r.evict(ctx, m, sent)
	r.mu.Lock()
	delete(r.retiring, m.Incarnation)
	r.mu.Unlock()
	close(w.done)
}

// evict ends an incarnation's renewals, and returns when its last lease is over.
func (r *Replica) evict(ctx context.Context, m Member, sent Instant) error {
	found, timeline, err := r.c.Registry.Evict(ctx, m.Incarnation)
	if err != nil {
		return fmt.Errorf("eviction of a server: %w", err)
	}
	if !r.see(timeline) {
		return ErrDeposed
	}
	if !found {
		return nil // whoever took the row away has waited, or was that process itself
	}
	if err := r.hooks.Over(ctx, r.c.Clock, r.c.Params, m, sent, r.c.Clock.Now()); err != nil {
		return err
	}
	if err := r.c.Registry.Remove(ctx, m.Incarnation); err != nil {
		r.c.Log.WarnContext(ctx, "the row of a server that is gone stays for now", slog.Any("error", err))
	}
	return nil
}

// sweep looks who is there, and retires whoever has not renewed for two leases, so that a change seldom has to wait.
func (r *Replica) sweep(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, r.c.Params.Lease)
	members, now, err := r.c.Registry.List(limited)
	cancel()
	if err != nil {
		return
	}
	others := slices.DeleteFunc(members, r.itself)
	r.others.Store(&others)
	var all sync.WaitGroup
	for _, m := range others {
		if m.Evicted || m.ExpiresAt+r.c.Params.Lease.Microseconds() < now {
			all.Go(func() { _ = r.retire(ctx, m, r.c.Clock.Now()) }) // the next change tries again
		}
	}
	all.Wait()
}

// Others are the other servers, as they were last seen.
func (r *Replica) Others() []Member {
	if others := r.others.Load(); others != nil {
		return *others
	}
	return nil
}

// Tell tells the other servers something, as far as they answer within a time.
func (r *Replica) Tell(ctx context.Context, n Notice, within time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	var all sync.WaitGroup
	for _, m := range r.Others() {
		all.Go(func() { _ = r.c.Transport.Tell(ctx, m.Address, n) }) // see Notice
	}
	all.Wait()
}
