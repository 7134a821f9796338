package access

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// stripes count the fences. Principals that share a stripe only cost each other a fill that is not kept.
const stripes = 4096

// fences says which principals are being changed, and which entries die with each of them. A change fences its
// principals after it has taken its locks and before it commits: their entries go, no reading that began before or in
// between is kept, and until the release every question about them reads the database. So there is nothing to swap at
// the commit, and nothing that can fail between the commit and the answer.
type fences struct {
	sync.Mutex
	seed   maphash.Seed
	counts [stripes]struct {
		seq  uint64 // fences so far
		held int    // fences not yet released
	}
	dependents map[op.Fence]map[any]struct{} // the keys of the entries, by their types
}

// ticket is taken before the first reading of what can change, and shown when the result is to be remembered.
type ticket struct {
	scopes scopes
	seq    [2]uint64
	open   bool // nobody was changing the principals
}

func (f *fences) stripe(p op.Fence) uint64 { return maphash.Comparable(f.seed, p) % stripes }

// ticket begins a reading about the principals.
func (f *fences) ticket(about scopes) ticket {
	f.Lock()
	defer f.Unlock()
	t := ticket{scopes: about, open: true}
	for i, p := range about {
		count := &f.counts[f.stripe(p)]
		t.seq[i] = count.seq
		t.open = t.open && count.held == 0
	}
	return t
}

// current reports whether nobody has fenced the principals since the ticket was taken, nor when it was. The caller
// holds the lock.
func (f *fences) current(t ticket) bool {
	for i, p := range t.scopes {
		if f.counts[f.stripe(p)].seq != t.seq[i] {
			return false
		}
	}
	return t.open
}

// note says that the entry under a key dies with the principals. The caller holds the lock.
func (f *fences) note(key any, about scopes) {
	for _, p := range about {
		if f.dependents[p] == nil {
			f.dependents[p] = map[any]struct{}{}
		}
		f.dependents[p][key] = struct{}{}
	}
}

// forget says that the entry under a key is gone. The caller holds the lock.
func (f *fences) forget(key any, about scopes) {
	for _, p := range about {
		delete(f.dependents[p], key)
		if len(f.dependents[p]) == 0 {
			delete(f.dependents, p)
		}
	}
}

// Fence drops what is remembered about the principals, and keeps anything new about them from being remembered until
// release is called, after the transaction has ended. It is for op.Config.Fence, never waits and never fails.
func (a *Access) Fence(_ context.Context, principals []op.Fence) (release func(), err error) {
	f := &a.fences
	f.Lock()
	defer f.Unlock()
	held := make([]uint64, len(principals))
	for i, p := range principals {
		held[i] = f.stripe(p)
		f.counts[held[i]].seq++
		f.counts[held[i]].held++
		for key := range f.dependents[p] {
			a.drop(key)
		}
	}
	return sync.OnceFunc(func() { f.release(held) }), nil
}

func (f *fences) release(held []uint64) {
	f.Lock()
	defer f.Unlock()
	for _, stripe := range held {
		f.counts[stripe].held--
	}
}

// drop removes an entry by its key, whatever its type. The caller holds the lock of the fences.
func (a *Access) drop(key any) {
	var about scopes
	switch k := key.(type) {
	case secret.Hash:
		about, _ = a.credentials.remove(k)
	case memberKey:
		about, _ = a.members.remove(k)
	case userKey:
		about, _ = a.users.remove(k)
	}
	a.fences.forget(key, about)
}

// keep remembers what was read since the ticket was taken, unless its principals were fenced in the meantime.
func keep[K comparable, V any](a *Access, c *cache[K, V], t ticket, k K, v V) {
	a.hooks.beforeKeep(&t)
	a.fences.Lock()
	defer a.fences.Unlock()
	if !a.fences.current(t) {
		return
	}
	c.put(k, entry[V]{v, t.scopes}, func(gone K, about scopes) { a.fences.forget(gone, about) })
	a.fences.note(k, t.scopes)
}
